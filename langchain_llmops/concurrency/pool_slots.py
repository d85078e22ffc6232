"""A fixed number of slots, given out in the order of asking to threads and tasks."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import Future, wait
from contextlib import suppress
from threading import Lock

__all__ = ["PoolSlots"]


class PoolSlots:
    """Slots for threads and tasks of any loop, first come, first served.

    A slot that comes back goes straight to whoever waits longest, so that nobody slips
    in between. Keeps nothing of a loop after the wait.
    """

    def __init__(self, size: int) -> None:
        self._lock = Lock()
        self._free = size
        self._waiting: deque[Future[None]] = deque()

    def take(self, timeout_s: float | None) -> bool:
        """Wait on this thread; `False` if the time is over, or a loop runs here."""
        turn = self._ask()
        try:
            wait((turn,), timeout=0 if _on_running_loop() else timeout_s)
        except BaseException:
            self._withdraw(turn)
            raise
        return not self._withdraw_late(turn)

    async def atake(self, timeout_s: float | None) -> bool:
        """Wait on this loop; `False` if the time is over."""
        turn = self._ask()
        if turn.done():
            return True
        try:
            await asyncio.wait((_on_loop(turn),), timeout=timeout_s)
        except BaseException:
            self._withdraw(turn)
            raise
        return not self._withdraw_late(turn)

    def give_back(self) -> None:
        """Hand a slot to the next one."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    return
                turn = self._waiting.popleft()
            if turn.set_running_or_notify_cancel():
                turn.set_result(None)
                return

    def _ask(self) -> Future[None]:
        turn: Future[None] = Future()
        with self._lock:
            if self._free:
                self._free -= 1
                turn.set_result(None)
            else:
                self._waiting.append(turn)
        return turn

    def _withdraw(self, turn: Future[None]) -> None:
        """Leave the line, or give back the slot that has just come."""
        if not self._withdraw_late(turn):
            self.give_back()

    def _withdraw_late(self, turn: Future[None]) -> bool:
        """Leave the line unless the slot has come; say whether it was left."""
        if not turn.cancel():  # it has the slot, or is just being given it
            return False
        with self._lock, suppress(ValueError):
            self._waiting.remove(turn)
        return True


def _on_loop(turn: Future[None]) -> asyncio.Future[None]:
    """Return a future of the running loop that is done when the turn has come."""
    loop = asyncio.get_running_loop()
    woken: asyncio.Future[None] = loop.create_future()

    def resolve() -> None:
        if not woken.done():
            woken.set_result(None)

    def wake(_: Future[None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: its task gives the slot back
            loop.call_soon_threadsafe(resolve)

    turn.add_done_callback(wake)
    return woken


def _on_running_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
