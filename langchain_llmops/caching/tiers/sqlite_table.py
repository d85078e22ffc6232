"""The table behind `SQLiteTier`: its statements, and how it is kept small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sqlalchemy import (
    Column,
    Float,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    delete,
    func,
    select,
)
from sqlalchemy.dialects.sqlite import insert

from langchain_llmops.caching.tiers.base import Entry
from langchain_llmops.caching.tiers.epochs import new_epoch
from langchain_llmops.caching.tiers.sqlite_value import RANKS, RowValues
from langchain_llmops.storage.engine import create_tables, open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Connection

    from langchain_llmops.caching.tiers.epochs import Epochs

__all__ = ["SQLiteTable"]

_SWEEP_ROWS: Final = 1_000
"""Expired rows removed in one sweep, so that no write waits for a large clean-up."""
_SCAN_ROWS: Final = 500

_METADATA = MetaData()
_CACHE = Table(
    "llmops_cache",
    _METADATA,
    Column("key", String, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    Column("expires_at", Float, index=True),
    Column("stored_at", Float, nullable=False, index=True),
)
_EPOCHS = Table(
    "llmops_cache_epochs",
    _METADATA,
    Column("name", String, primary_key=True),
    Column("epoch", String, nullable=False),
)
_GET = select(_CACHE.c.value, _CACHE.c.expires_at).where(
    _CACHE.c.key == bindparam("wanted")
)
_INSERT = insert(_CACHE)
_SET = _INSERT.on_conflict_do_update(
    index_elements=[_CACHE.c.key],
    set_={
        name: _INSERT.excluded[name] for name in ("value", "expires_at", "stored_at")
    },
)
_EXPIRED = (
    select(_CACHE.c.key)
    .where(_CACHE.c.expires_at <= bindparam("now"))
    .limit(_SWEEP_ROWS)
)
_PAGE = (
    select(_CACHE.c.key, _CACHE.c.value, _CACHE.c.expires_at)
    .where(_CACHE.c.key > bindparam("after"))
    .order_by(_CACHE.c.key)
    .limit(_SCAN_ROWS)
)
_REMOVE = delete(_CACHE).where(_CACHE.c.key == bindparam("gone"))
_READ_EPOCHS = select(_EPOCHS.c.name, _EPOCHS.c.epoch).where(
    _EPOCHS.c.name.in_(bindparam("names", expanding=True))
)
_NEW_EPOCH = insert(_EPOCHS)
_FIRST_EPOCH = _NEW_EPOCH.on_conflict_do_nothing()
_NEXT_EPOCH = _NEW_EPOCH.on_conflict_do_update(
    index_elements=[_EPOCHS.c.name], set_={"epoch": _NEW_EPOCH.excluded.epoch}
)
_COUNT = select(func.count()).select_from(_CACHE)
_OLDEST = select(_CACHE.c.key).order_by(_CACHE.c.stored_at).limit(bindparam("rows"))


class SQLiteTable:
    """Rows of encoded answers in one file; every method blocks and may raise.

    Args:
        path: The file; made with its folder if it is not there.
        busy_timeout_s: Seconds that a write waits for another writer.
        by_value: Whether the least valuable rows leave, rather than the oldest.

    Raises:
        StorageError: The file cannot be used: not a database, locked, read-only.
    """

    def __init__(
        self, path: str | Path, *, busy_timeout_s: float, by_value: bool = False
    ) -> None:
        self._values = RowValues() if by_value else None
        self.engine = open_engine(path, busy_timeout_s=busy_timeout_s)
        try:
            create_tables(self.engine, _METADATA)
            if by_value:
                create_tables(self.engine, RANKS)
        except BaseException:
            self.engine.dispose()
            raise

    def get(self, key: str, now: float) -> Entry | None:
        """Return the entry of a key, unless it expired by `now`."""
        with self.engine.connect() as connection:
            row = connection.execute(_GET, {"wanted": key}).first()
        if row is None:
            return None
        value, expires_at = row
        if expires_at is not None and expires_at <= now:
            return None
        if self._values is not None:
            self._values.used(key)
        return Entry(value, expires_at)

    def set(
        self, key: str, entry: Entry, now: float, *, sweep_to_bytes: int | None
    ) -> int:
        """Write an entry, and sweep in the same transaction if a size is given.

        Returns:
            How many unexpired rows had to go.
        """
        row = {
            "key": key,
            "value": entry.value,
            "expires_at": entry.expires_at,
            "stored_at": now,
        }
        with self.engine.begin() as connection:
            connection.execute(_SET, row)
            if self._values is not None:
                self._values.stored(connection, key, entry)
            if sweep_to_bytes is None:
                return 0
            return _sweep(connection, now, sweep_to_bytes, self._values)

    def epochs(self, names: Sequence[str]) -> Epochs:
        """Return the epoch of each name; a name that has none gets one."""
        with self.engine.connect() as connection:
            found = _read_epochs(connection, names)
        missing = [name for name in names if name not in found]
        if missing:
            with self.engine.begin() as connection:
                connection.execute(_FIRST_EPOCH, _new_epochs(missing))
                found |= _read_epochs(connection, missing)
        return found

    def renew(self, names: Sequence[str]) -> Epochs:
        """Give each name a new epoch, and return them."""
        rows = _new_epochs(names)
        with self.engine.begin() as connection:
            connection.execute(_NEXT_EPOCH, rows)
        return {row["name"]: row["epoch"] for row in rows}

    def scan(self, now: float) -> Iterator[tuple[str, Entry]]:
        """Yield every key with its entry, a few hundred rows at a time."""
        after = ""
        while True:
            with self.engine.connect() as connection:
                rows = connection.execute(_PAGE, {"after": after}).all()
            if not rows:
                return
            for key, value, expires_at in rows:
                if expires_at is None or expires_at > now:
                    yield key, Entry(value, expires_at)
            after = rows[-1][0]

    def remove(self, keys: Sequence[str]) -> None:
        """Remove the rows of these keys."""
        with self.engine.begin() as connection:
            connection.execute(_REMOVE, [{"gone": key} for key in keys])
            if self._values is not None:
                self._values.forget_gone(connection)

    def clear(self) -> None:
        """Remove every row."""
        with self.engine.begin() as connection:
            connection.execute(delete(_CACHE))
            if self._values is not None:
                self._values.forget_gone(connection)


def _new_epochs(names: Sequence[str]) -> list[dict[str, str]]:
    return [{"name": name, "epoch": new_epoch()} for name in names]


def _read_epochs(connection: Connection, names: Sequence[str]) -> Epochs:
    rows = connection.execute(_READ_EPOCHS, {"names": list(names)})
    return {row.name: row.epoch for row in rows}


def _sweep(
    connection: Connection, now: float, max_bytes: int, values: RowValues | None
) -> int:
    """Remove expired rows, then, if the data is too large, a tenth of the others."""
    expired = delete(_CACHE).where(_CACHE.c.key.in_(_EXPIRED))
    if values is not None:
        values.forget_expired(connection, now, _SWEEP_ROWS)
        values.count_uses(connection)
    connection.execute(expired, {"now": now})
    if _data_bytes(connection) <= max_bytes:
        return 0
    rows = max(1, connection.execute(_COUNT).scalar_one() // 10)
    if values is not None:
        return values.evict(connection, rows)
    oldest = delete(_CACHE).where(_CACHE.c.key.in_(_OLDEST))
    return connection.execute(oldest, {"rows": rows}).rowcount


def _data_bytes(connection: Connection) -> int:
    pages, free, size = (
        connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)
