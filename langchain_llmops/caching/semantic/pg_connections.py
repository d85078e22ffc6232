"""Connections to one PostgreSQL server that wait for it no longer than they are told.

psycopg waits as long as it takes, and cancelling waits for the server again. Here the
client itself keeps a deadline: a connection that misses it, or whose caller is
cancelled, is thrown away without another word to the server.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from threading import Lock, Semaphore
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Generic, TypeAlias, TypeVar

from pgvector import HalfVector
from pgvector.psycopg.halfvec import HalfVectorBinaryDumper
from psycopg import (
    AsyncConnection,
    BaseConnection,
    Connection,
    Error,
    OperationalError,
    waiting,
)
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import QueryCanceled

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from psycopg.abc import PQGen

__all__ = ["PgConnections", "Row", "Statement"]

Statement: TypeAlias = "tuple[str, Sequence[Any] | Mapping[str, Any]]"
"""SQL, and its parameters."""
Row: TypeAlias = "tuple[Any, ...]"

_Value = TypeVar("_Value")
_AnyConnection = TypeVar("_AnyConnection", bound=BaseConnection[Any])

_LOOK_EVERY_S: Final = 0.05
"""How often one who waits looks at the clock."""
_PLACE: Final = ("host", "port", "dbname")
_LEAST_CONNECT_S: Final = 2
"""libpq's own least time to connect, on the synchronous side."""


class PgConnections:
    """A few connections for threads, and a few for every event loop that asks.

    Nothing is connected before the first statement. A connection that the server closed
    in the meantime is replaced without the caller noticing. Safe across threads, event
    loops and forks; connections of an event loop end with it.

    Args:
        url: `postgresql://…`, the same as an SQLAlchemy URL, or libpq's `name=value`
            pairs.
        timeout_s: Seconds that statements run together may take.
        limit: Connections per process, and per event loop; further callers take turns.
        settings: SQL that every connection begins with.

    Attributes:
        place: Where the server is, for messages: no password.

    Raises:
        ConfigurationError: The URL cannot be read.
    """

    def __init__(
        self, url: str, *, timeout_s: float, limit: int, settings: str
    ) -> None:
        scheme, found, rest = url.partition("://")
        self._url = f"{scheme.partition('+')[0]}://{rest}" if found else url
        try:
            address = conninfo_to_dict(self._url)
        except Error as error:  # a URL may hold a password: not shown
            raise ConfigurationError(
                "the URL given is no address of a PostgreSQL server: use one like "
                '"postgresql://user:password@host:5432/database"'
            ) from error
        parts = (f"{name}={address[name]}" for name in _PLACE if name in address)
        self.place = " ".join(parts) or "the default database"
        self._timeout_s = timeout_s
        self._limit = limit
        self._settings = f"{_limit(timeout_s)};{settings}"
        self._pid = os.getpid()
        self._lock = Lock()
        self._threads = _ThreadPool(limit)
        self._loops: dict[asyncio.AbstractEventLoop, _LoopPool] = {}

    def run(
        self, statements: Sequence[Statement], *, timeout_s: float | None = None
    ) -> list[Row]:
        """Run statements in one transaction and return the rows of the last.

        Args:
            statements: SQL that may be run a second time, should the server have hung
                up on the first.
            timeout_s: Seconds for these, if they may take longer than others. To
                connect may take two more.

        Raises:
            TimeoutError: The deadline passed.
            psycopg.Error: What the server says, or that it is gone.
        """
        statements, timeout_s = self._planned(statements, timeout_s)
        pool = self._thread_pool()
        if not pool.turns.acquire(timeout=timeout_s):
            raise TimeoutError(f"no connection was free within {timeout_s} s")
        try:
            connection = pool.take()
            if connection is not None:
                try:
                    return _run(pool, connection, statements, timeout_s)
                except OperationalError as error:
                    if isinstance(error, QueryCanceled):
                        raise
                    pool.discard()  # they were all opened before the server went
            return _run(pool, self._connect(timeout_s), statements, timeout_s)
        finally:
            pool.turns.release()

    async def arun(
        self, statements: Sequence[Statement], *, timeout_s: float | None = None
    ) -> list[Row]:
        """Run statements as `run` does; never blocks the event loop.

        A caller's wait for its turn is not the server's, and does not count; but if the
        server fails another one meanwhile, the caller fails too.
        """
        statements, timeout_s = self._planned(statements, timeout_s)
        pool = await self._loop_pool()
        begun = monotonic()
        async with pool.turns:
            if pool.failed_at >= begun:
                raise TimeoutError("the server failed others while this one waited")
            try:
                return await self._arun(pool, statements, timeout_s)
            except (OperationalError, TimeoutError):
                pool.failed_at = monotonic()
                raise

    def close(self) -> None:
        """Close the connections; a later use opens new ones."""
        with self._lock:
            pools: list[_Pool[Any]] = [self._threads, *self._loops.values()]
            self._threads = _ThreadPool(self._limit)
            self._loops = {}
        for pool in pools:
            pool.close()

    async def _arun(
        self, pool: _LoopPool, statements: Sequence[Statement], timeout_s: float
    ) -> list[Row]:
        connection = pool.take()
        if connection is not None:
            try:
                return await _arun(pool, connection, statements, timeout_s)
            except OperationalError as error:
                if isinstance(error, QueryCanceled):
                    raise
                pool.discard()
        try:
            async with asyncio.timeout(timeout_s):
                connection = await self._aconnect(timeout_s)
        except TimeoutError as error:
            raise TimeoutError(f"no connection within {timeout_s} s") from error
        return await _arun(pool, connection, statements, timeout_s)

    def _planned(
        self, statements: Sequence[Statement], timeout_s: float | None
    ) -> tuple[Sequence[Statement], float]:
        """Return what to send, as one transaction, and for how long to wait."""
        if timeout_s is not None:
            longer = _limit(timeout_s).replace("SET", "SET LOCAL")
            statements = [(longer, ()), *statements]
        if len(statements) > 1:  # one alone is a transaction of its own
            statements = [("BEGIN", ()), *statements, ("COMMIT", ())]
        return statements, timeout_s or self._timeout_s

    def _connect(self, timeout_s: float) -> _ThreadConnection:
        connection = _ThreadConnection.connect(
            self._url,
            autocommit=True,
            connect_timeout=max(_LEAST_CONNECT_S, round(timeout_s)),
        )
        connection.deadline = monotonic() + timeout_s
        connection.adapters.register_dumper(HalfVector, HalfVectorBinaryDumper)
        connection.execute(self._settings)
        return connection

    async def _aconnect(self, timeout_s: float) -> _LoopConnection:
        connection = await _LoopConnection.connect(self._url, autocommit=True)
        connection.deadline = monotonic() + timeout_s
        connection.adapters.register_dumper(HalfVector, HalfVectorBinaryDumper)
        await connection.execute(self._settings)
        return connection

    def _leave_parent(self) -> None:
        """Leave connections to the process that opened them, if this is a fork of it.

        They are forgotten, not closed: a word on its socket would end the parent's.
        """
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._lock = Lock()
            self._threads, self._loops = _ThreadPool(self._limit), {}

    def _thread_pool(self) -> _ThreadPool:
        self._leave_parent()
        return self._threads

    async def _loop_pool(self) -> _LoopPool:
        self._leave_parent()
        loop = asyncio.get_running_loop()
        pool = self._loops.get(loop)
        if pool is None:
            pool = _LoopPool(self._limit)
            await pool.end_with_loop()
            with self._lock:
                for known in [known for known in self._loops if known.is_closed()]:
                    self._loops.pop(known).close()
                self._loops[loop] = pool
        return pool


class _ThreadConnection(Connection[Row]):
    """A connection that gives up waiting at its deadline."""

    deadline = float("inf")

    def wait(
        self,
        gen: PQGen[_Value],
        interval: float = _LOOK_EVERY_S,
        timeout: float | None = None,  # noqa: ARG002 - psycopg's signature
    ) -> _Value:
        steps = _until(self.deadline, gen)
        return waiting.wait(steps, self.pgconn.socket, interval=interval)

    def __del__(self, *_: object) -> None:
        """Warn of nothing: libpq's part closes itself, but never after a fork."""


class _LoopConnection(AsyncConnection[Row]):
    """A connection that gives up waiting at its deadline."""

    deadline = float("inf")

    async def wait(
        self,
        gen: PQGen[_Value],
        interval: float = _LOOK_EVERY_S,
        timeout: float | None = None,  # noqa: ARG002, ASYNC109 - psycopg's signature
    ) -> _Value:
        steps = _until(self.deadline, gen)
        return await waiting.wait_async(steps, self.pgconn.socket, interval=interval)

    def __del__(self, *_: object) -> None:
        """Warn of nothing: libpq's part closes itself, but never after a fork."""


class _Pool(Generic[_AnyConnection]):
    """Idle connections; the last used is the first to be used again."""

    def __init__(self) -> None:
        self._idle: deque[_AnyConnection] = deque()
        self._closed = False

    def take(self) -> _AnyConnection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def put(self, connection: _AnyConnection) -> None:
        self._idle.append(connection)
        if self._closed:
            self.discard()

    def discard(self) -> None:
        while (connection := self.take()) is not None:
            connection.pgconn.finish()

    def close(self) -> None:
        self._closed = True
        self.discard()


class _ThreadPool(_Pool[_ThreadConnection]):
    """The connections of a process's threads, and turns to use one."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.turns = Semaphore(limit)


class _LoopPool(_Pool[_LoopConnection]):
    """The connections of an event loop, and turns to use one."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.turns = asyncio.Semaphore(limit)
        self.failed_at = float("-inf")
        self._held: AsyncGenerator[None] | None = None

    async def end_with_loop(self) -> None:
        """Let the loop close the connections: `asyncio.run` closes all generators."""
        self._held = self._hold()
        await anext(self._held)

    async def _hold(self) -> AsyncGenerator[None]:
        try:
            yield
        finally:
            self.close()


def _run(
    pool: _ThreadPool,
    connection: _ThreadConnection,
    statements: Sequence[Statement],
    timeout_s: float,
) -> list[Row]:
    connection.deadline = monotonic() + timeout_s
    rows: list[Row] = []
    try:
        for sql, parameters in statements:
            cursor = connection.execute(sql, parameters, binary=True)
            if cursor.description is not None:
                rows = cursor.fetchall()
    except BaseException:
        connection.pgconn.finish()
        raise
    pool.put(connection)
    return rows


async def _arun(
    pool: _LoopPool,
    connection: _LoopConnection,
    statements: Sequence[Statement],
    timeout_s: float,
) -> list[Row]:
    connection.deadline = monotonic() + timeout_s
    rows: list[Row] = []
    try:
        for sql, parameters in statements:
            cursor = await connection.execute(sql, parameters, binary=True)
            if cursor.description is not None:
                rows = await cursor.fetchall()
    except BaseException:
        connection.pgconn.finish()
        raise
    pool.put(connection)
    return rows


def _limit(timeout_s: float) -> str:
    """Return the setting that has the server stop when nobody waits any more."""
    return f"SET statement_timeout = {max(1, round(timeout_s * 1000))}"


def _until(deadline: float, steps: PQGen[_Value]) -> PQGen[_Value]:
    """Return what psycopg's steps return, unless the deadline passes in between."""
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if monotonic() > deadline:
                raise TimeoutError("the server did not answer in time")
            wanted = steps.send(ready)
    except StopIteration as done:
        value: _Value = done.value
        return value
