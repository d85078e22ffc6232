"""Keep several processes from making the same call: a lease in a store they share.

The leader of a process takes the lease of a key before it calls the model, renews it
while the call runs, and gives it back at the end. Leaders of other processes ask for it
again and again; once they have it they look in the shared cache first. If a process is
killed its lease runs out, and one of the others makes the call.

Every lease has a token of its own, and only its holder can renew it or give it back. A
holder that was taken for dead (a machine that slept) may still store its answer later,
and the store does not refuse it: both answers belong to the same key, so it does not
matter whose is kept. What can be lost is the price of a second call, never a right
answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
from threading import Lock, Thread
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["FlightLease", "HeldLease", "LeaseKeeper"]

logger = logging.getLogger(__name__)

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.25
_REST_S: Final = 5.0
"""How long a store that failed is left alone; meanwhile processes do not wait."""


class FlightLease(Protocol):
    """Leases of keys in a store that processes share; a method may raise.

    `RedisLease` and `SQLiteLease` are two. Safe across threads and event loops.
    """

    ttl_s: float
    """Seconds that a lease lasts if it is not renewed."""

    def acquire(self, key: str) -> str | None:
        """Take the lease of a key: its token, or `None` while another has it."""
        ...

    async def aacquire(self, key: str) -> str | None:
        """Take the lease as `acquire` does; never blocks the event loop."""
        ...

    def renew(self, key: str, token: str) -> bool:
        """Let a lease last `ttl_s` from now; `False` if it is another's by now."""
        ...

    def release(self, key: str, token: str) -> None:
        """Give a lease back, if it is still the one with this token."""
        ...

    async def arelease(self, key: str, token: str) -> None:
        """Give a lease back as `release` does; never blocks the event loop."""
        ...


class HeldLease(NamedTuple):
    """A lease that was taken.

    Attributes:
        token: What renews it and gives it back.
        waited: Whether another process had it before.
    """

    token: str
    waited: bool


class LeaseKeeper:
    """Take leases, wait for those of others, and renew what is held.

    A store that fails never fails a call: for a few seconds processes go without
    leases, which is logged once and counted. One daemon thread renews the leases of all
    calls, each third of their time; it runs while there are any. No lease is renewed
    for longer than `max_wait_s`, since by then nobody waits for it.

    Safe across threads and event loops.

    Args:
        lease: Where the leases are.
        max_wait_s: Seconds that a caller waits for another process, then goes without.
        on_error: Called for each failure of the store.
        clock: Seconds that only go up.
        sleep: Waits in a thread: between two questions, and between renewals.
        asleep: Waits on an event loop.
    """

    def __init__(
        self,
        lease: FlightLease,
        *,
        max_wait_s: float,
        on_error: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        asleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._lease = lease
        self._max_wait_s = max_wait_s
        self._on_error = on_error
        self._clock = clock
        self._sleep = sleep
        self._asleep = asleep
        self._lock = Lock()
        # Token: key, and when it is renewed no more.
        self._held: dict[str, tuple[str, float]] = {}
        self._renewing = False
        self._rest_until = 0.0
        self.errors = 0

    def take(self, key: str, *, may_wait: bool) -> HeldLease | None:
        """Return the lease of a key; `None` to go on without.

        Args:
            key: What is asked.
            may_wait: Whether to wait while another process has it.
        """
        waited = False
        for pause in self._pauses():
            try:
                token = self._lease.acquire(key)
            except Exception as error:  # noqa: BLE001 - a lost store never fails a call
                self._failed(error)
                return None
            if token is not None:
                if self._hold(key, token):
                    self._start()
                return HeldLease(token, waited)
            if not may_wait:
                return None
            waited = True
            self._sleep(pause)
        return None

    async def atake(self, key: str) -> HeldLease | None:
        """Return what `take` returns; waits on the event loop."""
        waited = False
        for pause in self._pauses():
            try:
                token = await self._lease.aacquire(key)
            except Exception as error:  # noqa: BLE001 - a lost store never fails a call
                self._failed(error)
                return None
            if token is not None:
                if self._hold(key, token):
                    # Who starts a thread waits for it: that is left to another thread.
                    asyncio.get_running_loop().run_in_executor(None, self._start)
                return HeldLease(token, waited)
            waited = True
            await self._asleep(pause)
        return None

    def give_back(self, key: str, token: str) -> None:
        """Let the next process have the lease; left alone, it runs out."""
        self._drop(token)
        try:
            self._lease.release(key, token)
        except Exception as error:  # noqa: BLE001 - a lost store never fails a call
            self._failed(error)

    async def agive_back(self, key: str, token: str) -> None:
        """Give a lease back as `give_back` does; never blocks the event loop."""
        self._drop(token)
        try:
            await self._lease.arelease(key, token)
        except Exception as error:  # noqa: BLE001 - a lost store never fails a call
            self._failed(error)

    def renew_all(self) -> bool:
        """Renew what is held; `False`, and no further call is due, if nothing is."""
        now = self._clock()
        with self._lock:
            held = list(self._held.items())
            self._renewing = bool(held)
        for token, (key, until) in held:
            try:
                kept = now < until and self._lease.renew(key, token)
            except Exception as error:  # noqa: BLE001 - the next round may succeed
                self._failed(error)
                continue
            if not kept:
                self._drop(token)
        return bool(held)

    def _pauses(self) -> Iterator[float]:
        """Yield the pauses between two questions, until it is time to give up."""
        now = self._clock()
        if now < self._rest_until:
            return
        give_up_at = now + self._max_wait_s
        pause = _FIRST_PAUSE_S
        while self._clock() < give_up_at:
            yield pause
            pause = min(1.5 * pause, _LONGEST_PAUSE_S)

    def _hold(self, key: str, token: str) -> bool:
        """Note a lease, and return whether renewing has to be started."""
        with self._lock:
            self._held[token] = (key, self._clock() + self._max_wait_s)
            start, self._renewing = not self._renewing, True
        return start

    def _drop(self, token: str) -> None:
        with self._lock:
            self._held.pop(token, None)

    def _start(self) -> None:
        Thread(target=self._renew_on, name="llmops-flight-lease", daemon=True).start()

    def _renew_on(self) -> None:
        while True:
            self._sleep(self._lease.ttl_s / 3)
            if not self.renew_all():
                return

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self.errors += 1
            first = self.errors == 1
            self._rest_until = self._clock() + _REST_S
        self._on_error()
        if first:
            logger.warning(
                "the store of flight leases failed (%s: %s): until it is back, several "
                "processes may make the same call. Further failures are only counted.",
                type(error).__name__,
                error,
            )
