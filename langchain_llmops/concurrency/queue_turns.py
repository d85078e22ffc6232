"""`Turnstile`: threads and event loops wait for their turn at one set of limits."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from langchain_llmops.concurrency.queue_errors import QueueTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_llmops.concurrency.limits import Limits
    from langchain_llmops.concurrency.queue_order import Ticket

__all__ = ["Turnstile"]

T = TypeVar("T")

_Return: TypeAlias = "tuple[Ticket, int | None, float | None]"

_WAIT_LESS = "raise queue_timeout_s or the limits, or try again later"
_LONGEST_S = 3600.0
_USE_ASYNC = "call it asynchronously there (ainvoke, astream), or on another thread"


class Turnstile:
    """Lets calls through limits one by one, in the queue's order.

    Safe across threads and event loops, which share the limits. Who waits is woken when
    its turn has come. Where only time is in the way, one of those who wait, the oldest,
    sleeps until then and lets the others through as well.

    Args:
        limits: What is kept.
        clock: Seconds that never go back.
    """

    def __init__(
        self, limits: Limits, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.RLock()
        self._busy = False
        self._returned: deque[_Return] = deque()
        self._watch: tuple[Ticket, float] | None = None

    def counts(self) -> tuple[int, int]:
        """Return how many calls are under way, and how many wait."""
        with self._lock:
            return self._limits.running, self._limits.waiting

    def enter(self, ticket: Ticket) -> None:
        """Wait for the turn of a call.

        Raises:
            QueueTimeoutError: It cannot be, or was not, in time; or this thread runs an
                event loop, and waiting would stop whoever is to give a slot back.
        """
        if self._exclusively(partial(self._asks, ticket, sync=True)):
            return
        turn, look = threading.Event(), partial(self._look, ticket)
        ticket.wake = turn.set
        try:
            while (pause_s := self._exclusively(look)) is not None:
                turn.wait(pause_s)
                turn.clear()
        except BaseException:
            self.abandon(ticket)
            raise

    async def aenter(self, ticket: Ticket) -> None:
        """Wait as `enter` does, on an event loop; cancelled, the place is given up."""
        if self._exclusively(partial(self._asks, ticket, sync=False)):
            return
        loop = asyncio.get_running_loop()
        turn, look = asyncio.Event(), partial(self._look, ticket)
        ticket.wake = lambda: _wake(loop, turn)
        try:
            while (pause_s := self._exclusively(look)) is not None:
                turn.clear()
                await _sleep(loop, turn, pause_s)
        except BaseException:
            self.abandon(ticket)
            raise

    def leave(
        self, ticket: Ticket, *, tokens: int | None = None, later_s: float | None = None
    ) -> None:
        """Give a slot back, and let the next one through.

        Args:
            ticket: A call that was let through.
            tokens: What it used, if known.
            later_s: For how long the provider wants no further call.
        """
        self._returned.append((ticket, tokens, later_s))
        self._collect()

    def abandon(self, ticket: Ticket) -> None:
        """Give up the place of a call that waits, or the slot that it just got."""
        self._returned.append((ticket, 0, None))
        self._collect()

    def _collect(self) -> None:
        """Take back what was returned, unless whoever holds the lock is about to.

        That is this very thread where the garbage collector, which may run amid any
        step, ends a forgotten stream.
        """
        with self._lock:
            while self._returned and not self._busy:
                self._busy = True
                try:
                    now_s = self._clock()
                    self._take_back(*self._returned.popleft(), now_s)
                    if self._limits.waiting:
                        self._turn(now_s)
                finally:
                    self._busy = False

    def _exclusively(self, act: Callable[[float], T]) -> T:
        with self._lock:
            self._busy = True
            try:
                return act(self._clock())
            finally:
                self._busy = False
                if self._returned:
                    self._collect()

    def _take_back(
        self, ticket: Ticket, tokens: int | None, later_s: float | None, now_s: float
    ) -> None:
        if ticket.went_at_s is None:
            self._limits.drop(ticket)
            return
        self._limits.end(ticket, now_s, tokens=tokens)
        if later_s is not None:
            self._limits.pause(now_s + later_s)

    def _asks(self, ticket: Ticket, now_s: float, *, sync: bool) -> bool:
        if self._limits.ask(ticket, now_s):
            return True
        if sync and _on_loop():
            why = "this thread runs an event loop, where no call may wait"
            raise QueueTimeoutError(why, 0.0, ticket.tenant, _USE_ASYNC)
        if ticket.timeout_s is not None:
            wait_s = self._limits.expected_wait_s(ticket, now_s)
            if wait_s > ticket.timeout_s:
                why = f"it would take {wait_s:.3g} s, of {ticket.timeout_s:.3g} s"
                raise QueueTimeoutError(why, 0.0, ticket.tenant, _WAIT_LESS)
        self._limits.join(ticket)
        return False

    def _look(self, ticket: Ticket, now_s: float) -> float | None:
        """Return `None` if a call's turn has come, else how long to sleep at most."""
        if self._watch is not None and self._watch[0] is ticket:
            self._watch = None
        self._turn(now_s, looking=ticket)
        if ticket.went_at_s is not None:
            return None
        until_s = now_s + _LONGEST_S
        if ticket.timeout_s is not None:
            deadline_s = ticket.asked_at_s + ticket.timeout_s
            if deadline_s <= now_s:
                waited_s = now_s - ticket.asked_at_s
                raise QueueTimeoutError(
                    "its time is up", waited_s, ticket.tenant, _WAIT_LESS
                )
            until_s = min(until_s, deadline_s)
        if self._watch is not None and self._watch[0] is ticket:
            until_s = min(until_s, self._watch[1])
        return max(0.0, until_s - now_s)

    def _turn(self, now_s: float, *, looking: Ticket | None = None) -> None:
        """Let through whoever may go, and have somebody watch the clock for the rest.

        A call whose loop is closed gives back at once what it got.
        """
        while (ticket := self._limits.next_to_go(now_s)) is not None:
            if ticket is not looking and not _told(ticket):
                self._limits.end(ticket, now_s, tokens=0)
        while (watch := self._limits.alarm_s(now_s)) is not None:
            known = self._watch
            if known is not None and known[0] is watch[0] and known[1] <= watch[1]:
                return
            self._watch = watch
            if watch[0] is looking or _told(watch[0]):
                return
            self._limits.drop(watch[0])


def _on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _told(ticket: Ticket) -> bool:
    if ticket.wake is None:
        return True  # it joined just now, and looks before it sleeps
    try:
        ticket.wake()
    except RuntimeError:
        return False
    return True


def _wake(loop: asyncio.AbstractEventLoop, turn: asyncio.Event) -> None:
    loop.call_soon_threadsafe(turn.set)


async def _sleep(
    loop: asyncio.AbstractEventLoop, turn: asyncio.Event, pause_s: float
) -> None:
    """Wait to be woken. Not by `asyncio.wait_for`, which may lose a cancellation."""
    timer = loop.call_later(pause_s, turn.set)
    try:
        await turn.wait()
    finally:
        timer.cancel()
