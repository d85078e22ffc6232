"""Who calls the model and who waits for the answer: the rules, without the waiting.

A flight is one model call that several callers want. The first to board leads; the
others wait. It ends in one of three ways:

- *committed*: the answer is in the cache, and everyone reads it there;
- *dissolved*: the answer is complete but must not be stored (empty, cut, withheld). The
  next try may be better, so everyone calls the model, all at once: waiting for one
  another would only be slower;
- *left*: the leader failed or was cancelled. Nothing is known about the answer, and the
  one who waited longest leads next.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from threading import RLock
from typing import Final, TypeAlias

__all__ = ["FlightTable", "Ticket", "Turn", "Wake"]

Wake: TypeAlias = Callable[[], bool]
"""Wakes one who waits, from any thread; `False` if it can never wake again."""


class Turn(Enum):
    """What a caller does now."""

    WAIT = "wait"
    """Nothing, until it is woken with another turn."""
    LEAD = "lead"
    """Call the model; others wait for it."""
    READ = "read"
    """Read the answer in the cache."""
    ALONE = "alone"
    """Call the model; nobody waits for it."""


class _Flight:
    __slots__ = ("key", "leader", "waiters")

    def __init__(self, key: str, leader: Ticket) -> None:
        self.key: Final = key
        self.leader = leader
        # In the order of boarding; a dict, so that one of thousands leaves in O(1).
        self.waiters: dict[Ticket, None] = {}


class Ticket:
    """One caller's part in a flight; only the table changes it.

    Attributes:
        turn: What its holder does now.
        inherited: Whether the lead was taken over from a leader that failed.
    """

    __slots__ = ("flight", "inherited", "owner", "turn", "wake")

    def __init__(self, key: str, owner: object) -> None:
        self.owner: Final = owner
        self.turn = Turn.LEAD
        self.inherited = False
        self.flight = _Flight(key, self)
        self.wake: Wake = bool


class FlightTable:
    """The flights under way, by the key of what is asked.

    No method waits or raises. Safe across threads and event loops. A call that meets no
    other costs two short turns of one lock. A flight leaves the table when it ends.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight] = {}
        # Reentrant: the garbage collector may close an abandoned stream, which leaves
        # its flight, in the middle of any of these methods.
        self._lock = RLock()
        self._landings = 0

    def __len__(self) -> int:
        """Return how many flights are under way and open to newcomers."""
        return len(self._flights)

    @property
    def landings(self) -> int:
        """How many answers were committed.

        Note it before looking in the cache: if it is the same after boarding, nothing
        was committed in between, and a miss is still a miss.
        """
        return self._landings

    def board(
        self, key: str, *, owner: object, waiter: Callable[[], Wake] | None
    ) -> Ticket:
        """Lead a new flight, or join the one under way.

        Args:
            key: What is asked.
            owner: The thread or task that calls. It never waits for itself: one that
                asks again in the middle of a stream that it leads goes alone.
            waiter: Makes what wakes the caller, if it has to wait; `None` for one that
                must not wait, and goes alone instead.
        """
        ticket = Ticket(key, owner)
        with self._lock:
            flight = self._flights.setdefault(key, ticket.flight)
            if flight is ticket.flight:
                return ticket
            if waiter is None or flight.leader.owner == owner:
                ticket.turn = Turn.ALONE
                return ticket
            ticket.flight = flight
            ticket.turn = Turn.WAIT
            ticket.wake = waiter()
            flight.waiters[ticket] = None
        return ticket

    def end(self, ticket: Ticket, *, committed: bool) -> None:
        """Let everyone go on, if the ticket leads.

        Args:
            ticket: Of the one whose answer is complete.
            committed: Whether the answer is in the cache.
        """
        with self._lock:
            if committed:
                self._landings += 1
            if ticket.turn is not Turn.LEAD:
                return
            ticket.turn = Turn.ALONE
            self._close(ticket.flight)
            waiters = list(ticket.flight.waiters)
            ticket.flight.waiters.clear()
            for waiter in waiters:
                waiter.turn = Turn.READ if committed else Turn.ALONE
        for waiter in waiters:
            waiter.wake()

    def leave(self, ticket: Ticket) -> None:
        """Stop waiting, or hand the lead to the next; nothing after the end."""
        gone: Ticket | None = ticket
        while gone is not None:
            heir = self._depart(gone)
            gone = None if heir is None or heir.wake() else heir

    def expire(self, ticket: Ticket) -> None:
        """Send one that waited too long on alone.

        Its leader may be stuck for good (a stream that nobody reads any more): the
        flight takes no newcomers, the next caller of the key leads a new one.
        """
        with self._lock:
            if ticket.turn is Turn.WAIT:
                ticket.turn = Turn.ALONE
                del ticket.flight.waiters[ticket]
                self._close(ticket.flight)

    def _depart(self, ticket: Ticket) -> Ticket | None:
        """Take a ticket out, and return who has to be woken to lead in its place."""
        with self._lock:
            turn, ticket.turn = ticket.turn, Turn.ALONE
            flight = ticket.flight
            if turn is Turn.WAIT:
                del flight.waiters[ticket]
            if turn is not Turn.LEAD:
                return None
            if not flight.waiters:
                self._close(flight)
                return None
            heir = next(iter(flight.waiters))
            del flight.waiters[heir]
            heir.turn = Turn.LEAD
            heir.inherited = True
            flight.leader = heir
            return heir

    def _close(self, flight: _Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
