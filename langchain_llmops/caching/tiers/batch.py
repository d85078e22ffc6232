"""Many values at once: what some tiers do in one round trip, and the others one by one.

A tier need not know about batches. One that does is asked only once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from langchain_llmops.caching.tiers.base import Tier
from langchain_llmops.caching.tiers.guarded import GuardedTier

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_llmops.caching.tiers.base import Entry

__all__ = ["BatchTier", "GuardedBatches"]


@runtime_checkable
class BatchTier(Tier, Protocol):
    """A tier with a quick way to read and write many values."""

    def get_many(self, keys: Sequence[str], now: float) -> list[Entry | None]:
        """Return what is kept under each key, in the order of the keys."""
        ...

    async def aget_many(self, keys: Sequence[str], now: float) -> list[Entry | None]:
        """Return what `get_many` returns; never blocks the event loop."""
        ...

    def set_many(self, entries: Mapping[str, Entry], now: float) -> None:
        """Keep several values."""
        ...

    async def aset_many(self, entries: Mapping[str, Entry], now: float) -> None:
        """Keep several values as `set_many` does; never blocks the event loop."""
        ...


class GuardedBatches(GuardedTier):
    """A guarded tier for many values: a failure is one failure, however many there are.

    A tier that fails half-way is not tried for the rest: it rests.
    """

    def get_many(self, keys: Sequence[str], now: float) -> list[Entry | None]:
        """Return what the tier has; `None` for each key if it failed or rests."""
        if not isinstance(self.tier, BatchTier):
            return [self.get(key, now) for key in keys]
        if not keys or self._rests(now):
            return [None] * len(keys)
        try:
            return self.tier.get_many(keys, now)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            self._failed("get", error)
            return [None] * len(keys)

    async def aget_many(self, keys: Sequence[str], now: float) -> list[Entry | None]:
        """Return what `get_many` returns; never blocks the event loop."""
        if not isinstance(self.tier, BatchTier):
            return [await self.aget(key, now) for key in keys]
        if not keys or self._rests(now):
            return [None] * len(keys)
        try:
            return await self.tier.aget_many(keys, now)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            self._failed("get", error)
            return [None] * len(keys)

    def set_many(self, entries: Mapping[str, Entry], now: float) -> int:
        """Keep several values; return how many were."""
        if not isinstance(self.tier, BatchTier):
            return sum(self.set(key, entry, now) for key, entry in entries.items())
        if not entries or self._rests(now):
            return 0
        try:
            self.tier.set_many(entries, now)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            self._failed("set", error)
            return 0
        return len(entries)

    async def aset_many(self, entries: Mapping[str, Entry], now: float) -> int:
        """Keep several values as `set_many` does; never blocks the event loop."""
        if not isinstance(self.tier, BatchTier):
            kept = [await self.aset(key, entry, now) for key, entry in entries.items()]
            return sum(kept)
        if not entries or self._rests(now):
            return 0
        try:
            await self.tier.aset_many(entries, now)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            self._failed("set", error)
            return 0
        return len(entries)
