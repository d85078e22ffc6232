"""The tier in this process: bounded, by age of use or by what an entry saves."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final, get_args

from langchain_llmops.caching.tiers.epochs import LocalEpochs
from langchain_llmops.caching.tiers.eviction import (
    EvictionRule,
    LeastRecent,
    LeastValuable,
)
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_llmops.caching.tiers.base import Entry
    from langchain_llmops.caching.tiers.epochs import Epochs
    from langchain_llmops.caching.tiers.eviction import EvictionOrder

__all__ = ["MemoryTier"]

_OVERHEAD: Final = 400
"""Bytes that an entry takes beside its value: key, dictionary slots, object headers."""


class MemoryTier:
    """Keep values in memory, bounded in entries and in bytes.

    Every operation takes constant time, a microsecond or less; with `evict="value"` a
    store may take the logarithm of what is kept. Safe across threads and event loops;
    nothing survives the process.

    Args:
        max_entries: How many values are kept.
        max_bytes: Memory they may take, keys and bookkeeping included (estimated). A
            value that is larger by itself is not kept.
        evict: What leaves for want of room: `"lru"`, what was not used for longest, or
            `"value"`, what saves the least dollars per byte, counting how often it is
            used; what was dear once ages (GreedyDual-Size-Frequency). An answer of
            unknown price is taken to cost per token what the priced ones cost; one of
            unknown tokens to be as dear as it is long.

    Raises:
        ConfigurationError: A bound is not positive, or `evict` is unknown.
    """

    name: Final = "memory"
    reach: Final = 0
    """Who shares it: this process."""

    def __init__(
        self,
        *,
        max_entries: int = 10_000,
        max_bytes: int = 64 * 1024 * 1024,
        evict: EvictionRule = "lru",
    ) -> None:
        for label, bound in (("max_entries", max_entries), ("max_bytes", max_bytes)):
            if bound < 1:
                raise ConfigurationError(
                    f"{label}={bound!r} keeps nothing: give a positive number"
                )
        if evict not in get_args(EvictionRule):
            raise ConfigurationError(
                f'evict={evict!r} is unknown: use "lru" or "value"'
            )
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._entries: dict[str, Entry] = {}
        self._order: EvictionOrder = (
            LeastRecent() if evict == "lru" else LeastValuable()
        )
        self._bytes = 0
        self._evictions = 0
        self._epochs = LocalEpochs()

    @property
    def evictions(self) -> int:
        """How many unexpired values had to go for want of room."""
        return self._evictions

    @property
    def size_bytes(self) -> int:
        """Memory that the values take, as `max_bytes` counts it."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str, now: float) -> Entry | None:
        """Return what is kept under a key, unless it expired by `now`."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if entry.expires_at is not None and entry.expires_at <= now:
                self._remove(key)
                return None
            self._order.use(key)
            return entry

    async def aget(self, key: str, now: float) -> Entry | None:
        """Return what `get` returns."""
        return self.get(key, now)

    def set(self, key: str, entry: Entry, now: float) -> None:
        """Keep a value, in place of the one that was there."""
        size = len(entry.value) + _OVERHEAD
        with self._lock:
            if key in self._entries:
                self._remove(key)
            if size > self._max_bytes:
                return
            self._entries[key] = entry
            self._order.add(key, usd=entry.usd, tokens=entry.tokens, size=size)
            self._bytes += size
            while (
                len(self._entries) > self._max_entries or self._bytes > self._max_bytes
            ):
                self._evict(now)

    async def aset(self, key: str, entry: Entry, now: float) -> None:
        """Keep a value as `set` does."""
        self.set(key, entry, now)

    def clear(self) -> None:
        """Forget every value."""
        with self._lock:
            self._entries.clear()
            self._order.clear()
            self._bytes = 0

    async def aclear(self) -> None:
        """Forget every value."""
        self.clear()

    def epochs(self, names: Sequence[str]) -> Epochs:
        """Return the epoch of each name; a name that has none gets one."""
        return self._epochs.epochs(names)

    async def aepochs(self, names: Sequence[str]) -> Epochs:
        """Return what `epochs` returns."""
        return self._epochs.epochs(names)

    def renew(self, names: Sequence[str]) -> Epochs:
        """Give each name a new epoch, and return them."""
        return self._epochs.renew(names)

    async def arenew(self, names: Sequence[str]) -> Epochs:
        """Renew as `renew` does."""
        return self._epochs.renew(names)

    def scan(self, now: float) -> Iterator[tuple[str, Entry]]:
        """Yield every key with its entry, those that expired by `now` left out."""
        with self._lock:
            entries = list(self._entries.items())
        for key, entry in entries:
            if entry.expires_at is None or entry.expires_at > now:
                yield key, entry

    def remove(self, keys: Sequence[str]) -> None:
        """Forget the values of these keys."""
        with self._lock:
            for key in keys:
                if key in self._entries:
                    self._remove(key)

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _evict(self, now: float) -> None:
        entry = self._forget(self._order.evict())
        if entry.expires_at is None or entry.expires_at > now:
            self._evictions += 1

    def _remove(self, key: str) -> None:
        self._order.remove(key)
        self._forget(key)

    def _forget(self, key: str) -> Entry:
        entry = self._entries.pop(key)
        self._bytes -= len(entry.value) + _OVERHEAD
        return entry
