"""The tier on this machine's disk: survives restarts, shared by processes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, get_args

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_llmops.caching.tiers.base import Entry
    from langchain_llmops.caching.tiers.epochs import Epochs

__all__ = ["SQLiteTier"]

_Rule = Literal["oldest", "value"]

_SWEEP_EVERY: Final = 64
"""Writes between two looks at the file's size and at what has expired."""


class SQLiteTier:
    """Keep values in a SQLite file that several processes may share.

    A value that one process writes is seen by the others at once. Reads take no lock
    (WAL) and write nothing; async methods run in a thread. Making the tier opens the
    file, which blocks. Safe across threads, event loops and forks.

    Args:
        path: The file; made with its folder if it is not there.
        max_bytes: Size that the data in the file may take. Beyond it a tenth of the
            answers goes. Checked now and then: a few writes may exceed it.
        evict: Which tenth goes: `"oldest"`, what was stored first, or `"value"`, what
            saves the least dollars per byte, as in `MemoryTier`. The latter makes a
            write half as dear again; uses that a tier above answered are not seen.
        busy_timeout_s: Seconds that a write waits for another writer.

    Raises:
        ConfigurationError: `max_bytes` is not positive, or `evict` is unknown.
        StorageError: The file cannot be used: not a database, locked, read-only.
    """

    name: Final = "sqlite"
    reach: Final = 1
    """Who shares it: the processes of this machine."""

    def __init__(
        self,
        path: str | Path,
        *,
        max_bytes: int = 1024 * 1024 * 1024,
        evict: _Rule = "oldest",
        busy_timeout_s: float = 1.0,
    ) -> None:
        if max_bytes < 1:
            raise ConfigurationError(
                f"max_bytes={max_bytes!r} keeps nothing: give a positive number"
            )
        if evict not in get_args(_Rule):
            raise ConfigurationError(
                f'evict={evict!r} is unknown: use "oldest" or "value"'
            )
        # SQLAlchemy takes a tenth of a second to import: only those who use it wait.
        from langchain_llmops.caching.tiers.sqlite_table import (  # noqa: PLC0415 - as said
            SQLiteTable,
        )

        self.path = Path(path)
        self._table = SQLiteTable(
            path, busy_timeout_s=busy_timeout_s, by_value=evict == "value"
        )
        self._max_bytes = max_bytes
        self._lock = Lock()
        self._writes = 0
        self._evictions = 0

    @property
    def evictions(self) -> int:
        """How many unexpired values this process had to remove for want of room."""
        return self._evictions

    def get(self, key: str, now: float) -> Entry | None:
        """Return what is kept under a key, unless it expired by `now`."""
        return self._table.get(key, now)

    async def aget(self, key: str, now: float) -> Entry | None:
        """Return what `get` returns, from a thread."""
        return await asyncio.to_thread(self.get, key, now)

    def set(self, key: str, entry: Entry, now: float) -> None:
        """Keep a value, in place of the one that was there."""
        with self._lock:
            sweeps = self._writes % _SWEEP_EVERY == 0
            self._writes += 1
        bound = self._max_bytes if sweeps else None
        gone = self._table.set(key, entry, now, sweep_to_bytes=bound)
        with self._lock:
            self._evictions += gone

    async def aset(self, key: str, entry: Entry, now: float) -> None:
        """Keep a value as `set` does, from a thread."""
        await asyncio.to_thread(self.set, key, entry, now)

    def clear(self) -> None:
        """Forget every value, for every process that shares the file."""
        self._table.clear()

    async def aclear(self) -> None:
        """Forget every value as `clear` does, from a thread."""
        await asyncio.to_thread(self.clear)

    def epochs(self, names: Sequence[str]) -> Epochs:
        """Return the epoch of each name; a name that has none gets one."""
        return self._table.epochs(names)

    async def aepochs(self, names: Sequence[str]) -> Epochs:
        """Return what `epochs` returns, from a thread."""
        return await asyncio.to_thread(self.epochs, names)

    def renew(self, names: Sequence[str]) -> Epochs:
        """Give each name a new epoch, and return them."""
        return self._table.renew(names)

    async def arenew(self, names: Sequence[str]) -> Epochs:
        """Renew as `renew` does, from a thread."""
        return await asyncio.to_thread(self.renew, names)

    def scan(self, now: float) -> Iterator[tuple[str, Entry]]:
        """Yield every key with its entry, those that expired by `now` left out."""
        return self._table.scan(now)

    def remove(self, keys: Sequence[str]) -> None:
        """Forget the values of these keys, in one transaction."""
        self._table.remove(keys)

    def close(self) -> None:
        """Close the connections; the values stay. A later use opens new ones."""
        self._table.engine.dispose()
