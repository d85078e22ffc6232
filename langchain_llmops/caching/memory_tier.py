"""The tier in this process: least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_llmops.caching.tier import Entry

__all__ = ["MemoryTier"]

_OVERHEAD: Final = 400
"""Bytes that an entry takes beside its value: key, dictionary slots, object headers."""


class MemoryTier:
    """Keep values in memory, bounded in entries and in bytes.

    Every operation takes constant time, a microsecond or less. Safe across threads and
    event loops; nothing survives the process.

    Args:
        max_entries: How many values are kept.
        max_bytes: Memory they may take, keys and bookkeeping included (estimated). A
            value that is larger by itself is not kept.

    Raises:
        ConfigurationError: A bound is not positive.
    """

    name: Final = "memory"

    def __init__(
        self, *, max_entries: int = 10_000, max_bytes: int = 64 * 1024 * 1024
    ) -> None:
        for label, bound in (("max_entries", max_entries), ("max_bytes", max_bytes)):
            if bound < 1:
                raise ConfigurationError(
                    f"{label}={bound!r} keeps nothing: give a positive number"
                )
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._bytes = 0
        self._evictions = 0

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
            self._entries.move_to_end(key)
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
            self._bytes += size
            while (
                len(self._entries) > self._max_entries or self._bytes > self._max_bytes
            ):
                self._evict_oldest(now)

    async def aset(self, key: str, entry: Entry, now: float) -> None:
        """Keep a value as `set` does."""
        self.set(key, entry, now)

    def clear(self) -> None:
        """Forget every value."""
        with self._lock:
            self._entries.clear()
            self._bytes = 0

    async def aclear(self) -> None:
        """Forget every value."""
        self.clear()

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def _evict_oldest(self, now: float) -> None:
        key, entry = next(iter(self._entries.items()))
        self._remove(key)
        if entry.expires_at is None or entry.expires_at > now:
            self._evictions += 1

    def _remove(self, key: str) -> None:
        self._bytes -= len(self._entries.pop(key).value) + _OVERHEAD
