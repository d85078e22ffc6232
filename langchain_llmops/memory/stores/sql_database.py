"""One SQL database, for threads, event loops and forks alike."""

from __future__ import annotations

import asyncio
import os
from contextlib import nullcontext
from dataclasses import dataclass, field
from threading import Lock, Semaphore
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from langchain_llmops._lazy import require
from langchain_llmops.errors import ConfigurationError, StorageError
from langchain_llmops.storage.engine import create_tables, open_engine, storage_error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from sqlalchemy import URL, Connection, Engine, MetaData
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

__all__ = ["SQLDatabase", "SQLOperation"]

T = TypeVar("T")

_CONNECTIONS: Final = 8
"""Connections per process, and per event loop; further callers take turns."""


@dataclass(frozen=True, slots=True)
class SQLOperation(Generic[T]):
    """A transaction.

    Args:
        database: Where.
        work: What is done with the connection; committed after it.
        writes: Whether it begins with a write.
    """

    database: SQLDatabase
    work: Callable[[Connection], T]
    writes: bool

    def run(self) -> T:
        """Carry out the transaction in this thread."""
        return self.database.run(self.work, writes=self.writes)

    async def arun(self) -> T:
        """Carry out the transaction: in a thread for SQLite, else natively."""
        return await self.database.arun(self.work, writes=self.writes)


class SQLDatabase:
    """Transactions on a SQLite file or in PostgreSQL.

    Nothing is opened before the first transaction. One that finds its connection closed
    by the server is tried once more, unless it was being committed. On an event loop
    SQLite works in a thread, PostgreSQL natively. Safe across threads, event loops and
    forks; connections of an event loop end with it.

    Args:
        url: `sqlite:///path` or `postgresql://…`.
        metadata: The tables to create if they are missing.
        timeout_s: Seconds that a transaction may wait for a server, or for another
            writer of the file.

    Attributes:
        dialect: `sqlite` or `postgresql`.

    Raises:
        ConfigurationError: The URL is that of something else.
        MissingExtraError: The driver is not installed.
    """

    def __init__(self, url: str, metadata: MetaData, *, timeout_s: float) -> None:
        self._url = _address(url, timeout_s)
        self.dialect = self._url.get_backend_name()
        self._metadata = metadata
        self._timeout_s = timeout_s
        self._process = _Process()

    def run(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        """Do work in a transaction of its own.

        Raises:
            StorageError: The database cannot be used.
        """
        mine, engine = self._mine(), self._opened()
        # SQLite lets one write at a time, and those who wait for it poll.
        alone = mine.writer if writes and self.dialect == "sqlite" else nullcontext()
        with mine.turns, alone:
            try:
                return _transact(engine, work)
            except DBAPIError as error:
                raise storage_error(engine, error) from error

    async def arun(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        """Do work as `run` does; never blocks the event loop.

        A transaction in a thread cannot be stopped: if the caller is cancelled it is
        waited for, so that whoever comes next finds it done.
        """
        if self.dialect == "sqlite":
            return await _in_thread(lambda: self.run(work, writes=writes))
        if self._mine().engine is None:
            await _in_thread(self._opened)
        pool = await self._loop_pool()
        engine = pool.engine.sync_engine
        async with pool.turns:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await _atransact(pool.engine, work)
            except DBAPIError as error:
                raise storage_error(engine, error) from error
            except TimeoutError as error:
                raise StorageError(
                    f"{engine.url.render_as_string()!r} did not answer within "
                    f"{self._timeout_s} s: check the server, or raise timeout_s"
                ) from error

    def close(self) -> None:
        """Close the connections of threads; those of an event loop end with it."""
        mine = self._mine()
        with mine.lock:
            engine, mine.engine = mine.engine, None
            mine.pools.clear()
        if engine is not None:
            engine.dispose()

    async def aclose(self) -> None:
        """Close the connections of threads and those of this event loop."""
        pool = self._mine().pools.pop(asyncio.get_running_loop(), None)
        if pool is not None:
            await pool.held.aclose()
        await asyncio.to_thread(self.close)

    def _opened(self) -> Engine:
        mine = self._mine()
        with mine.lock:
            if mine.engine is None:
                mine.engine = self._open()
            return mine.engine

    def _open(self) -> Engine:
        url = self._url.render_as_string(hide_password=False)
        engine = open_engine(url, busy_timeout_s=self._timeout_s)
        try:
            create_tables(engine, self._metadata)
        except BaseException:
            engine.dispose()
            raise
        return engine

    async def _loop_pool(self) -> _LoopPool:
        mine, loop = self._mine(), asyncio.get_running_loop()
        pool = mine.pools.get(loop)
        if pool is None:
            engine = create_async_engine(
                self._url, pool_size=_CONNECTIONS, max_overflow=0
            )
            held = _hold(engine)
            await anext(held)
            pool = _LoopPool(engine, asyncio.Semaphore(_CONNECTIONS), held)
            with mine.lock:
                for known in [known for known in mine.pools if known.is_closed()]:
                    del mine.pools[known]
                mine.pools[loop] = pool
        return pool

    def _mine(self) -> _Process:
        """Return what this process uses: a fork begins anew.

        Locks may be held there by threads that are not, and connections are the
        parent's.
        """
        if self._process.pid != os.getpid():
            self._process = _Process()
        return self._process


@dataclass(slots=True)
class _Process:
    """Connections of one process, and turns to use them."""

    pid: int = field(default_factory=os.getpid)
    lock: Lock = field(default_factory=Lock)
    writer: Lock = field(default_factory=Lock)
    turns: Semaphore = field(default_factory=lambda: Semaphore(_CONNECTIONS))
    engine: Engine | None = None
    pools: dict[asyncio.AbstractEventLoop, _LoopPool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _LoopPool:
    """The connections of an event loop, and turns to use one."""

    engine: AsyncEngine
    turns: asyncio.Semaphore
    held: AsyncGenerator[None]


async def _hold(engine: AsyncEngine) -> AsyncGenerator[None]:
    """Hold connections open. `asyncio.run` ends by closing all generators."""
    try:
        yield
    finally:
        await engine.dispose()


def _transact(engine: Engine, work: Callable[[Connection], T]) -> T:
    for last in (False, True):
        with engine.connect() as connection:
            try:
                result = work(connection)
            except DBAPIError as error:
                if last or not error.connection_invalidated:
                    raise
                continue  # the server had hung up: nothing was done
            connection.commit()
            return result
    raise AssertionError("unreachable")


async def _atransact(engine: AsyncEngine, work: Callable[[Connection], T]) -> T:
    for last in (False, True):
        connection: AsyncConnection
        async with engine.connect() as connection:
            try:
                result = await connection.run_sync(work)
            except DBAPIError as error:
                if last or not error.connection_invalidated:
                    raise
                continue  # as above
            await connection.commit()
            return result
    raise AssertionError("unreachable")


def _address(url: str, timeout_s: float) -> URL:
    try:
        address = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise ConfigurationError(
            "the URL given is not that of a database: use sqlite:///path or "
            "postgresql://user:password@host:5432/database"
        ) from error
    kind = address.get_backend_name()
    if kind == "sqlite":
        if not address.database or address.database == ":memory:":
            raise ConfigurationError(
                f"{url!r} names no file: use sqlite:///path, or memory://"
            )
        return address
    require("psycopg", feature="ConversationStore on PostgreSQL", extra="postgres")
    address = address.set(drivername="postgresql+psycopg")
    wait = str(max(2, round(timeout_s)))
    asked: dict[str, Any] = {
        "connect_timeout": wait,
        "tcp_user_timeout": f"{wait}000",
        # What waits for a lock, say, ends by itself; a thread cannot be called off.
        "options": f"-c statement_timeout={round(timeout_s * 1000)}",
    }
    return address.update_query_dict({**asked, **address.query})


async def _in_thread(work: Callable[[], T]) -> T:
    future = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        raise
