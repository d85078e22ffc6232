"""Rows in, each once, with the sums beside them in the same transaction."""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Table, delete, inspect, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from langchain_llmops.cost.ledger.rollups import MEASURES, rollups_of
from langchain_llmops.cost.ledger.rows import CallRow, first_of_each
from langchain_llmops.cost.ledger.tables import (
    CALLS,
    METADATA,
    ROLLUPS,
    SCHEMA,
    SCHEMA_VERSION,
    UNIT_PRICES,
)
from langchain_llmops.errors import ConfigurationError, StorageError
from langchain_llmops.storage import create_tables, open_engine, storage_error

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Engine

__all__ = ["LedgerStore", "Written"]

_CHUNK = 500
# Writers of one ledger take turns: what SQLite's file lock does, PostgreSQL does so.
_TURN = "SELECT pg_advisory_xact_lock(6841095422018811)"


class Written(NamedTuple):
    """What became of rows: new ones, and those that the ledger had already."""

    new: int
    known: int


class LedgerStore:
    """The ledger's tables in a SQLite file or a PostgreSQL database.

    Opens on first use. Blocks. Safe across threads; a forked process makes its own.

    Args:
        url: SQLAlchemy URL.
        busy_timeout_s: Seconds that a write waits for another writer of a file.
        create: Whether tables that are missing are made.
    """

    def __init__(
        self, url: str, *, busy_timeout_s: float = 5.0, create: bool = True
    ) -> None:
        self._url = url
        self._busy_timeout_s = busy_timeout_s
        self._create = create
        self._lock = Lock()
        self._engine: Engine | None = None

    def engine(self) -> Engine:
        """Return the engine of a database that has the tables.

        Raises:
            ConfigurationError: There is no ledger, and none is to be made.
            StorageError: The database cannot be used, or a newer version wrote it.
        """
        with self._lock:
            if self._engine is None:
                engine = open_engine(self._url, busy_timeout_s=self._busy_timeout_s)
                try:
                    self._prepare(engine)
                except BaseException:
                    engine.dispose()
                    raise
                self._engine = engine
            return self._engine

    def write(self, rows: Iterable[CallRow]) -> Written:
        """Add rows and their sums, all or nothing; a run that is there counts once.

        A row that is unsettled gives way to one that is not.

        Raises:
            StorageError: The database cannot be used; nothing was added.
        """
        engine = self.engine()
        offered = first_of_each(rows)
        try:
            with engine.connect() as connection:
                _take_turn(connection)
                new, gone = _sort_out(connection, offered)
                _add(connection, new, gone)
                connection.commit()
        except DBAPIError as error:
            raise storage_error(engine, error) from error
        return Written(len(new), len(offered) - len(new))

    def close(self) -> None:
        """Close the connections; a later use opens new ones."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def _prepare(self, engine: Engine) -> None:
        try:
            found = inspect(engine).has_table(SCHEMA.name)
        except SQLAlchemyError as error:
            if isinstance(error, DBAPIError):
                raise storage_error(engine, error) from error
            raise
        if not found:
            if not self._create:
                raise ConfigurationError(
                    f"there is no ledger in {engine.url.render_as_string()!r}: "
                    "give the URL that UsageLedger writes to"
                )
            create_tables(engine, METADATA)
        self._check_version(engine)

    def _check_version(self, engine: Engine) -> None:
        insert = _insert_sql(SCHEMA, engine.dialect.name)
        try:
            with engine.connect() as connection:
                version = connection.scalar(select(SCHEMA.c.version))
                if version is None:
                    connection.exec_driver_sql(insert, (SCHEMA_VERSION,))
                    connection.commit()
        except DBAPIError as error:
            raise storage_error(engine, error) from error
        if version is not None and version > SCHEMA_VERSION:
            raise StorageError(
                f"the ledger in {engine.url.render_as_string()!r} has version "
                f"{version!r}, newer than {SCHEMA_VERSION!r}: upgrade langchain-llmops"
            )


def _take_turn(connection: Connection) -> None:
    if connection.dialect.name == "sqlite":
        # Not upgraded later from a read lock, which fails if another one writes.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql(_TURN)


def _sort_out(
    connection: Connection, offered: dict[bytes, CallRow]
) -> tuple[list[CallRow], list[CallRow]]:
    """Return the rows to add, and those of the ledger that give way to them."""
    known: dict[bytes, str] = {}
    for ids in _chunks(list(offered)):
        found = select(CALLS.c.run_id, CALLS.c.basis).where(CALLS.c.run_id.in_(ids))
        known.update(
            (bytes(row.run_id), row.basis) for row in connection.execute(found)
        )
    if not known:
        return list(offered.values()), []
    late = {
        run_id
        for run_id, basis in known.items()
        if basis == "unsettled" != offered[run_id].basis
    }
    new = [row for id_, row in offered.items() if id_ not in known or id_ in late]
    return new, list(_removed(connection, late))


def _removed(connection: Connection, run_ids: Collection[bytes]) -> Iterator[CallRow]:
    for ids in _chunks(list(run_ids)):
        theirs = CALLS.c.run_id.in_(ids)
        for row in connection.execute(select(CALLS).where(theirs)).all():
            yield CallRow._make((bytes(row[0]), *row[1:-1], None))
        connection.execute(delete(CALLS).where(theirs))


def _add(
    connection: Connection, new: Sequence[CallRow], gone: Sequence[CallRow]
) -> None:
    if not new:
        return
    kind = connection.dialect.name
    prices = sorted({row.price for row in new if row.price is not None})
    if prices:
        connection.exec_driver_sql(_insert_sql(UNIT_PRICES, kind), list(prices))
    rows = [(*row[:-1], row.price and row.price.id) for row in new]
    connection.exec_driver_sql(_insert_sql(CALLS, kind), rows)
    for table, cells in zip(ROLLUPS, rollups_of(new, gone), strict=True):
        totals = [(*key, *measures) for key, measures in cells.items()]
        connection.exec_driver_sql(_addition_sql(table, kind), totals)


# Statements take tuples in the order of the columns. A dictionary per row, as
# `Connection.execute` has them, takes longer than the database does.


@cache
def _insert_sql(table: Table, kind: str) -> str:
    insert = _dialect(kind).insert(table)
    return _text(insert.on_conflict_do_nothing(), kind)


@cache
def _addition_sql(table: Table, kind: str) -> str:
    insert = _dialect(kind).insert(table)
    addition = insert.on_conflict_do_update(
        index_elements=list(table.primary_key),
        set_={name: table.c[name] + insert.excluded[name] for name in MEASURES},
    )
    return _text(addition, kind)


def _text(statement: Any, kind: str) -> str:
    style = "qmark" if kind == "sqlite" else "format"
    return str(statement.compile(dialect=_dialect(kind).dialect(paramstyle=style)))


def _dialect(kind: str) -> Any:
    return sqlite if kind == "sqlite" else postgresql


def _chunks(items: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(items), _CHUNK):
        yield items[start : start + _CHUNK]
