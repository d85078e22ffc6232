"""A tier that cannot fail a call: what it raises is counted, logged once, survived."""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from langchain_llmops.caching.tiers.base import Entry, Tier

__all__ = ["GuardedTier"]

logger = logging.getLogger(__name__)


class GuardedTier:
    """Guard the operations of one tier.

    A failure lets the tier rest for a while, so that a backend that answers slowly
    or not at all is not waited for on every call.

    Args:
        tier: The tier; its errors end here, cancellation and exits do not.
        rest: How long it is left alone after a failure.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, tier: Tier, *, rest: timedelta, clock: Callable[[], float]
    ) -> None:
        self.tier = tier
        self.name = tier.name
        self.errors = 0
        self.rested = 0
        self._rest_s = rest.total_seconds()
        self._clock = clock
        self._resting_until = float("-inf")
        self._lock = Lock()
        self._told = False

    def get(self, key: str, now: float) -> Entry | None:
        """Return what the tier has; `None` too if it failed or rests."""
        if self._rests(now):
            return None
        try:
            return self.tier.get(key, now)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            self._failed("get", error)
            return None

    async def aget(self, key: str, now: float) -> Entry | None:
        """Return what `get` returns; never blocks the event loop."""
        if self._rests(now):
            return None
        try:
            return await self.tier.aget(key, now)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            self._failed("get", error)
            return None

    def set(self, key: str, entry: Entry, now: float) -> bool:
        """Keep a value; `False` if the tier failed or rests."""
        if self._rests(now):
            return False
        try:
            self.tier.set(key, entry, now)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            self._failed("set", error)
            return False
        return True

    async def aset(self, key: str, entry: Entry, now: float) -> bool:
        """Keep a value as `set` does; never blocks the event loop."""
        if self._rests(now):
            return False
        try:
            await self.tier.aset(key, entry, now)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            self._failed("set", error)
            return False
        return True

    def clear(self) -> None:
        """Forget every value; a resting tier is tried all the same."""
        try:
            self.tier.clear()
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            self._failed("clear", error)

    async def aclear(self) -> None:
        """Forget every value as `clear` does; never blocks the event loop."""
        try:
            await self.tier.aclear()
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            self._failed("clear", error)

    def resting(self, now: float) -> bool:
        """Return whether the tier is left alone now, because it failed."""
        return now < self._resting_until

    def damaged(self, error: Exception) -> None:
        """Count a value that could not be read; the tier itself works."""
        with self._lock:
            self.errors += 1
        self._tell("a value was ignored", error)

    def _rests(self, now: float) -> bool:
        if now >= self._resting_until:
            return False
        with self._lock:
            self.rested += 1
        return True

    def _failed(self, operation: str, error: Exception) -> None:
        with self._lock:
            self.errors += 1
            # The clock again: the failure may have taken its time.
            self._resting_until = self._clock() + self._rest_s
        self._tell(f"{operation} failed and the call went on without it", error)

    def _tell(self, what: str, error: Exception) -> None:
        with self._lock:
            told, self._told = self._told, True
        if not told:
            logger.warning(
                "cache tier %r: %s (%s: %s). Further failures are only counted in "
                "stats().errors.",
                self.name,
                what,
                type(error).__name__,
                error,
            )
