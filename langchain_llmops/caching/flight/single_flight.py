"""Make one model call of many identical ones that come at the same time.

Threads and event loops wait for the same flights (`flight_table.FlightTable`), each in
its own way: a thread on an event, a task on a future of its loop.
"""

from __future__ import annotations

import asyncio
import math
from threading import Event, get_ident
from typing import TYPE_CHECKING, Final, Self

from langchain_llmops.caching.flight.table import FlightTable, Ticket, Turn, Wake
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_llmops.caching.flight.lease import HeldLease, LeaseKeeper

__all__ = ["Seat", "SingleFlight"]


class SingleFlight:
    """Hand out seats: who has one may go on, because it is its turn.

    ```python
    from langchain_llmops.caching.flight.single_flight import SingleFlight

    flights, cache, key = SingleFlight(), {}, "question"


    def call_the_model():
        return "answer"


    since = flights.landings
    answer = cache.get(key)
    if answer is None:
        with flights.seat(key, since=since) as seat:  # waits here; or `async with`
            if seat.look_again:
                answer = cache.get(key)
            if answer is None:
                answer = call_the_model()
                cache[key] = answer
            seat.end(committed=True)
    assert cache == {"question": "answer"}
    ```

    A seat that is left before its `end` (an error, a cancellation, a stream nobody
    reads on) hands over to one of those who wait. A synchronous caller on a thread
    whose event loop runs never waits: its leader may be a task of that loop. It leads
    if nobody else does, and goes alone otherwise.

    Safe across threads and event loops; keeps nothing of a loop after the wait.

    Args:
        max_wait_s: Seconds that one caller waits at most, then it goes alone. The bound
            on what no rule can see: a leading stream whose reader has stopped to read,
            or threads that wait while their leader needs one of them.
        leases: Keeps other processes from making the same call; `None` for this
            process only.

    Raises:
        ConfigurationError: `max_wait_s` is not positive.
    """

    def __init__(
        self, *, max_wait_s: float = 60.0, leases: LeaseKeeper | None = None
    ) -> None:
        if not 0 < max_wait_s < math.inf:
            raise ConfigurationError(
                f"max_wait_s={max_wait_s!r} must be positive seconds, e.g. 60"
            )
        self.table: Final = FlightTable()
        self.max_wait_s: Final = max_wait_s
        self.leases: Final = leases

    @property
    def landings(self) -> int:
        """How many answers were committed; to be noted before a look in the cache."""
        return self.table.landings

    def seat(self, key: str | None, *, since: int = 0) -> Seat:
        """Return a seat to be entered with `with` or `async with`.

        Args:
            key: What is asked; `None` for a call that shares with nobody.
            since: `landings`, as it was before the cache was looked in.
        """
        return Seat(self, key, since)


class Seat:
    """One caller's turn; entering waits for it, leaving gives it up.

    Attributes:
        look_again: Whether the answer may be in the cache by now.
        took_over: Whether it is its turn because the one before it, of this process or
            of another, is gone; with an answer or without.
    """

    __slots__ = (
        "_flights",
        "_key",
        "_lease",
        "_since",
        "_ticket",
        "look_again",
        "took_over",
    )

    def __init__(self, flights: SingleFlight, key: str | None, since: int) -> None:
        self._flights = flights
        self._key = key
        self._since = since
        self._ticket: Ticket | None = None
        self._lease: HeldLease | None = None
        self.look_again = False
        self.took_over = False

    def end(self, *, committed: bool) -> None:
        """Say that the answer is complete, and whether it is in the cache."""
        if self._ticket is not None:
            self._flights.table.end(self._ticket, committed=committed)

    def __enter__(self) -> Self:
        """Wait for the turn; blocks, unless an event loop runs on this thread."""
        if self._key is None:
            return self
        may_wait = not _on_running_loop()
        waiter = _ThreadWaiter()
        ticket = self._board(get_ident(), waiter.prepare if may_wait else None)
        try:
            if ticket.turn is Turn.WAIT:
                waiter.wait(self._flights.max_wait_s)
                self._flights.table.expire(ticket)
            if ticket.turn is Turn.LEAD and self._flights.leases is not None:
                self._lease = self._flights.leases.take(self._key, may_wait=may_wait)
        except BaseException:
            self._flights.table.leave(ticket)
            raise
        self._look()
        return self

    def __exit__(self, *_: object) -> None:
        """Give up what `end` has not ended."""
        if self._ticket is None or self._key is None:
            return
        try:
            if self._lease is not None and self._flights.leases is not None:
                self._flights.leases.give_back(self._key, self._lease.token)
        finally:
            self._flights.table.leave(self._ticket)

    async def __aenter__(self) -> Self:
        """Wait for the turn, on an event loop and with no thread."""
        if self._key is None:
            return self
        waiter = _LoopWaiter()
        ticket = self._board(asyncio.current_task(), waiter.prepare)
        try:
            if ticket.turn is Turn.WAIT:
                await waiter.wait(self._flights.max_wait_s)
                self._flights.table.expire(ticket)
            if ticket.turn is Turn.LEAD and self._flights.leases is not None:
                self._lease = await self._flights.leases.atake(self._key)
        except BaseException:
            self._flights.table.leave(ticket)
            raise
        self._look()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Give up what `end` has not ended; waits for nothing but a lease."""
        if self._ticket is None or self._key is None:
            return
        try:
            if self._lease is not None and self._flights.leases is not None:
                await self._flights.leases.agive_back(self._key, self._lease.token)
        finally:
            self._flights.table.leave(self._ticket)

    def _board(self, owner: object, waiter: Callable[[], Wake] | None) -> Ticket:
        assert self._key is not None  # noqa: S101 - the callers looked
        self._ticket = self._flights.table.board(self._key, owner=owner, waiter=waiter)
        return self._ticket

    def _look(self) -> None:
        assert self._ticket is not None  # noqa: S101 - the callers boarded
        turn = self._ticket.turn
        self.took_over = turn is Turn.LEAD and (
            self._ticket.inherited or (self._lease is not None and self._lease.waited)
        )
        self.look_again = turn is Turn.READ or (
            turn is Turn.LEAD
            and (
                self._ticket.inherited
                or self._flights.leases is not None
                or self._flights.landings != self._since
            )
        )


class _ThreadWaiter:
    """An event, made only for a caller that has to wait."""

    __slots__ = ("_event",)

    def prepare(self) -> Wake:
        event = self._event = Event()

        def wake() -> bool:
            event.set()
            return True

        return wake

    def wait(self, seconds: float) -> None:
        self._event.wait(seconds)


class _LoopWaiter:
    """A future of the running loop, made only for a caller that has to wait."""

    __slots__ = ("_future",)

    def prepare(self) -> Wake:
        loop = asyncio.get_running_loop()
        future = self._future = loop.create_future()

        def wake() -> bool:
            try:
                loop.call_soon_threadsafe(_resolve, future)
            except RuntimeError:  # the loop is closed: its tasks never run again
                return False
            return True

        return wake

    async def wait(self, seconds: float) -> None:
        await asyncio.wait((self._future,), timeout=seconds)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _on_running_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
