"""Open a database that several threads and processes share, or say why not."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    NoSuchModuleError,
)
from sqlalchemy.schema import CreateIndex, CreateTable

from langchain_llmops.errors import (
    ConfigurationError,
    MissingExtraError,
    StorageError,
)

if TYPE_CHECKING:
    from sqlalchemy import URL, MetaData
    from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

__all__ = ["create_tables", "open_engine", "storage_error"]


_WAL_RETRY_S: Final = 0.002
_CREATING: Final = 0x6C6C6D6F7073
"""The lock in PostgreSQL of those who create tables."""


def open_engine(target: str | Path, *, busy_timeout_s: float = 5.0) -> Engine:
    """Open a database and check that it can be used.

    A SQLite file is opened for many readers beside one writer (WAL, `synchronous =
    NORMAL`: a crash of the machine may lose the last commits, never the file), with
    foreign keys on. Its folder is made if needed. The engine is safe across threads and
    after a fork; it blocks, so call it from a thread on an event loop.

    Args:
        target: Path of a SQLite file, or an SQLAlchemy URL.
        busy_timeout_s: Seconds that a SQLite statement waits for another writer.

    Returns:
        The engine; `dispose()` closes its connections.

    Raises:
        ConfigurationError: The URL is malformed or names an unknown database.
        MissingExtraError: The driver of that database is not installed.
        StorageError: The database cannot be used: not a database, locked, read-only,
            a folder that cannot be made, a server that does not answer.
    """
    url = _url(target)
    try:
        engine = create_engine(url)
    except NoSuchModuleError as error:
        raise ConfigurationError(
            f"{url.drivername!r} is no database that SQLAlchemy knows: "
            "use sqlite:///path or postgresql+psycopg://…"
        ) from error
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"A database at {url.drivername!r}", "postgres") from (
            error
        )
    _guard_forks(engine)
    if url.get_backend_name() == "sqlite":
        _make_folder(url)
        _set_pragmas(engine, busy_timeout_s)
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                # Reads the header, which opening alone does not.
                connection.exec_driver_sql("PRAGMA schema_version")
    except DBAPIError as error:
        engine.dispose()
        raise storage_error(engine, error) from error
    return engine


def create_tables(engine: Engine, metadata: MetaData) -> None:
    """Create the tables and indexes that are not there yet.

    Safe when several processes do it at once, which `metadata.create_all` is not: it
    looks first, and fails if another was faster.

    Raises:
        StorageError: The database is locked, read-only or full.
    """
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                # IF NOT EXISTS fails for all but one of those who create at once.
                connection.execute(select(func.pg_advisory_xact_lock(_CREATING)))
            for table in metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
    except DBAPIError as error:
        raise storage_error(engine, error) from error


def storage_error(engine: Engine, error: DBAPIError) -> StorageError:
    """Return one clear sentence for a database that failed: what, where, way out."""
    where = engine.url.render_as_string()  # hides the password
    if engine.dialect.name == "sqlite" and engine.url.database:
        where = engine.url.database
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
        reason, way_out = "is not a usable SQLite database", "move it away"
    elif code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        reason, way_out = "is locked by another program", "close that program"
    elif code == sqlite3.SQLITE_READONLY:
        reason, way_out = "cannot be written", "make it writable"
    elif code == sqlite3.SQLITE_FULL:
        reason, way_out = "cannot grow: the disk is full", "free some space"
    elif code == sqlite3.SQLITE_CANTOPEN:
        reason, way_out = "cannot be opened", "make it and its folder writable"
    else:
        cause = str(error.orig).partition("\n")[0]
        reason, way_out = f"cannot be used ({cause})", "check the address"
    return StorageError(f"{where!r} {reason}: {way_out}, or give another path")


def _url(target: str | Path) -> URL:
    text = os.fspath(target)
    if "://" not in text:
        return make_url("sqlite://").set(database=str(Path(text).expanduser()))
    try:
        return make_url(text)
    except ArgumentError as error:
        raise ConfigurationError(
            f"{text!r} is not a database URL: use a file path, sqlite:///path "
            "or postgresql+psycopg://…"
        ) from error


def _make_folder(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        return
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"the folder {str(folder)!r} cannot be made ({error.strerror}): "
            "make it writable, or give another path"
        ) from error


def _set_pragmas(engine: Engine, busy_timeout_s: float) -> None:
    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _: ConnectionPoolEntry) -> None:
        connection.execute(f"PRAGMA busy_timeout = {int(busy_timeout_s * 1000)}")
        _switch_to_wal(connection, busy_timeout_s)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")


def _switch_to_wal(connection: sqlite3.Connection, timeout_s: float) -> None:
    """Switch a file to WAL, which lasts, even if other processes do it just now.

    The busy timeout does not cover this statement: of several that open a new file at
    once all but one would fail.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(_WAL_RETRY_S)
        else:
            return


def _guard_forks(engine: Engine) -> None:
    """Give a forked process connections of its own; shared ones corrupt files."""

    @event.listens_for(engine, "connect")
    def remember(_: Any, record: ConnectionPoolEntry) -> None:
        record.info["pid"] = os.getpid()

    @event.listens_for(engine, "checkout")
    def check(
        _: Any, record: ConnectionPoolEntry, proxy: PoolProxiedConnection
    ) -> None:
        if record.info["pid"] != os.getpid():
            # Forgotten, not closed: closing it here would drop the parent's locks.
            record.dbapi_connection = None  # type: ignore[misc]  # SQLAlchemy's recipe
            proxy.dbapi_connection = None  # type: ignore[misc]  # same
            raise DisconnectionError("the connection belongs to the parent process")
