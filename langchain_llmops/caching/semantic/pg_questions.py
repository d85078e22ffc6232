"""Questions in PostgreSQL with pgvector: one index for any number of processes."""

from __future__ import annotations

import logging
import math
import time
from threading import Lock
from typing import TYPE_CHECKING, Final, TypeVar

from langchain_llmops._lazy import require
from langchain_llmops.caching.semantic.base import QuestionCounts
from langchain_llmops.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_llmops.caching.semantic.base import Match
    from langchain_llmops.caching.semantic.pg_operations import PgOperations, Steps
    from langchain_llmops.caching.semantic.vector_rows import Vector

__all__ = ["PgVectorQuestions"]

logger = logging.getLogger(__name__)

_REST_S: Final = 5.0
"""How long a server that failed is left alone, so that no call waits in vain."""
_PATIENCE: Final = 20
"""How many times longer than a lookup creating tables and evicting may take."""

_Value = TypeVar("_Value")


class PgVectorQuestions:
    """Keep the questions of a `SemanticCache` in PostgreSQL, searched by pgvector.

    For those who outgrow one process: nothing is copied into memory, and what one
    process learns, forgets or quarantines holds for all of them at the next lookup,
    on every host. A lookup is one round trip. Partitions of up to 5,000 questions are
    compared in full; larger ones are searched through an HNSW index, which is walked on
    until enough of its finds are in the partition. Vectors are kept in half precision.

    The tables are created when they are first needed; several processes may do it at
    once. Each embedding model has tables of its own, and so has each width of its
    vectors: models share a database without seeing each other.

    A server that is gone, slow or full never fails a call: exact hits go on, the server
    is left alone for five seconds, and what happened is counted in
    `stats().log_errors`. A quarantine that cannot be written holds in this process, and
    is written when the server is back.

    Safe across threads, event loops and forks. The asynchronous side is psycopg's own;
    its connections end with their event loop.

    Args:
        url: `"postgresql://user:password@host:5432/database"`, or what SQLAlchemy or
            libpq take for it.
        max_entries: Questions kept per embedding model; the least recently used leave.
            Uses are written once a minute, and the number is kept to within a
            hundredth per process.
        prefix: What the tables' names begin with. Caches with other prefixes are apart;
            caches with the same must share their answers too.
        timeout_s: Seconds that a lookup or a write may take. A synchronous one may take
            two more if it has to connect.
        connections: Connections per process, and per event loop.
        clock: Seconds that only go up.

    Raises:
        MissingExtraError: `psycopg` or `pgvector` is not installed.
        ConfigurationError: An argument is out of range, or the URL is wrong.

    Example:
        ```python
        from langchain_core.embeddings import DeterministicFakeEmbedding
        from langchain_llmops import SemanticCache
        from langchain_llmops.caching import PgVectorQuestions

        questions = PgVectorQuestions("postgresql://app@localhost:5432/cache")
        cache = SemanticCache(DeterministicFakeEmbedding(size=64), questions=questions)
        ```
    """

    def __init__(
        self,
        url: str,
        *,
        max_entries: int = 1_000_000,
        prefix: str = "llmops_questions",
        timeout_s: float = 0.5,
        connections: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for module in ("psycopg", "pgvector"):
            require(module, feature="PgVectorQuestions", extra="postgres")
        # Here: psycopg is optional.
        from langchain_llmops.caching.semantic import pg_schema  # noqa: PLC0415
        from langchain_llmops.caching.semantic.pg_connections import (  # noqa: PLC0415
            PgConnections,
        )

        for name, count in (("max_entries", max_entries), ("connections", connections)):
            if count < 1:
                raise ConfigurationError(f"{name}={count!r}: use 1 or more")
        if not 0 < timeout_s < math.inf:
            raise ConfigurationError(
                f"timeout_s={timeout_s!r} must be positive seconds, e.g. 0.5"
            )
        pg_schema.check_prefix(prefix)
        self._prefix = prefix
        self._max_entries = max_entries
        self._patience_s = timeout_s * _PATIENCE
        self._connections = PgConnections(
            url, timeout_s=timeout_s, limit=connections, settings=pg_schema.SESSION
        )
        self._clock = clock
        self._lock = Lock()
        self._embedding: str | None = None
        self._bound: PgOperations | None = None
        self._resting_until = float("-inf")
        self._errors = 0
        self._told = False

    @property
    def news_due(self) -> bool:
        """Whether `catch_up` has something to do now."""
        return self._operations.news_due

    @property
    def calibration(self) -> str | None:
        """The latest record that any process kept, as of the last `catch_up`."""
        return self._operations.record

    def bind(self, embedding: str) -> None:
        """Open the tables for the questions of a model; creates those that are missing.

        Blocks. A server out of reach is no error: it is asked again later.

        Raises:
            ConfigurationError: These questions are bound to another model already.
            StorageError: The server is there but cannot be used: it has no pgvector, or
                the tables may not be created.
        """
        if self._embedding not in {None, embedding}:
            raise ConfigurationError(
                f"these questions belong to {self._embedding!r}, not to "
                f"{embedding!r}: give each embedding model its own"
            )
        if self._bound is None:
            from langchain_llmops.caching.semantic import (  # noqa: PLC0415
                pg_operations,
                pg_schema,
            )

            self._embedding = embedding
            self._bound = pg_operations.PgOperations(
                pg_schema.PgSchema(prefix=self._prefix, embedding=embedding),
                place=self._connections.place,
                max_entries=self._max_entries,
                clock=self._clock,
            )
        try:
            self._finish(self._bound.catch_up())
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever keeps the server away
            self._failed(error)

    def catch_up(self) -> None:
        """Read the calibration; write what was collected, if it is time."""
        self._do(self._operations.catch_up())

    async def acatch_up(self) -> None:
        """Catch up as `catch_up` does; never blocks the event loop."""
        await self._ado(self._operations.catch_up())

    def search(
        self, partition: str, vector: Vector, *, floor: float, limit: int = 8
    ) -> list[Match]:
        """Return the nearest questions of a partition, the nearest first."""
        steps = self._operations.search(partition, vector, floor, limit)
        return self._do(steps) or []

    async def asearch(
        self, partition: str, vector: Vector, *, floor: float, limit: int = 8
    ) -> list[Match]:
        """Return what `search` returns; never blocks the event loop."""
        steps = self._operations.search(partition, vector, floor, limit)
        return await self._ado(steps) or []

    def knows(self, key: str) -> bool:
        """Return `False`: the server knows. `True` while a quarantine is unwritten."""
        return self._operations.quarantines(key)

    def touch(self, key: str) -> None:
        """Note that a question was of use; written within a minute."""
        self._operations.touch(key)

    def add(self, partition: str, key: str, text: str, vector: Vector) -> None:
        """Keep a question, unless it is quarantined.

        Raises:
            ConfigurationError: The vector has more dimensions than pgvector can index.
        """
        self._do(self._operations.add(partition, key, text, vector))

    async def aadd(self, partition: str, key: str, text: str, vector: Vector) -> None:
        """Keep a question as `add` does; never blocks the event loop."""
        await self._ado(self._operations.add(partition, key, text, vector))

    def forget(self, keys: Sequence[str]) -> None:
        """Remove questions."""
        self._do(self._operations.forget(keys))

    async def aforget(self, keys: Sequence[str]) -> None:
        """Remove questions as `forget` does; never blocks the event loop."""
        await self._ado(self._operations.forget(keys))

    def quarantine(self, key: str) -> None:
        """Never return a question again, in any process."""
        self._operations.take_out(key)
        self._do(self._operations.quarantine())

    async def aquarantine(self, key: str) -> None:
        """Quarantine as `quarantine` does; never blocks the event loop."""
        self._operations.take_out(key)
        await self._ado(self._operations.quarantine())

    def keep_calibration(self, record: str) -> None:
        """Keep a record for the model, in place of the one before."""
        self._do(self._operations.keep(record))

    async def akeep_calibration(self, record: str) -> None:
        """Keep a record as `keep_calibration` does; never blocks the event loop."""
        await self._ado(self._operations.keep(record))

    def clear(self) -> None:
        """Forget every question of the model, quarantined ones too.

        A server that is left alone is tried all the same.
        """
        self._do(self._operations.clear(), rested=True)

    async def aclear(self) -> None:
        """Forget everything as `clear` does; never blocks the event loop."""
        await self._ado(self._operations.clear(), rested=True)

    def counts(self) -> QuestionCounts:
        """Return what happened here; `entries` as this process last counted them."""
        return QuestionCounts(
            entries=self._operations.entries,
            partitions=None,
            evicted=self._operations.evicted,
            errors=self._errors,
        )

    def close(self) -> None:
        """Close the connections; the questions stay. A later use opens new ones."""
        self._connections.close()

    @property
    def _operations(self) -> PgOperations:
        if self._bound is None:
            raise ConfigurationError(
                f"{type(self).__name__} knows no embedding model yet: give it to "
                "SemanticCache(embeddings, questions=…), or call bind() first"
            )
        return self._bound

    def _do(self, steps: Steps[_Value], *, rested: bool = False) -> _Value | None:
        """Return what an operation returns; `None` if the server failed or rests."""
        if not rested and self._clock() < self._resting_until:
            return None
        try:
            return self._finish(steps)
        except Exception as error:  # noqa: BLE001 - whatever a server raises
            self._failed(error)
            return None

    async def _ado(
        self, steps: Steps[_Value], *, rested: bool = False
    ) -> _Value | None:
        """Return what `_do` returns; never blocks the event loop."""
        if not rested and self._clock() < self._resting_until:
            return None
        try:
            return await self._afinish(steps)
        except Exception as error:  # noqa: BLE001 - whatever a server raises
            self._failed(error)
            return None

    def _finish(self, steps: Steps[_Value]) -> _Value:
        try:
            batch = next(steps)
            while True:
                timeout_s = self._patience_s if batch.patient else None
                try:
                    rows = self._connections.run(batch.statements, timeout_s=timeout_s)
                except Exception as error:  # noqa: BLE001 - the operation decides
                    batch = steps.throw(error)
                else:
                    batch = steps.send(rows)
        except StopIteration as done:
            value: _Value = done.value
            return value

    async def _afinish(self, steps: Steps[_Value]) -> _Value:
        run = self._connections.arun
        try:
            batch = next(steps)
            while True:
                timeout_s = self._patience_s if batch.patient else None
                try:
                    rows = await run(batch.statements, timeout_s=timeout_s)
                except Exception as error:  # noqa: BLE001 - the operation decides
                    batch = steps.throw(error)
                else:
                    batch = steps.send(rows)
        except StopIteration as done:
            value: _Value = done.value
            return value

    def _failed(self, error: Exception) -> None:
        if self._bound is not None:
            self._bound.failed()
        with self._lock:
            self._errors += 1
            self._resting_until = self._clock() + _REST_S
            told, self._told = self._told, True
        if not told:
            logger.warning(
                "no semantic lookup in %s (%s: %s). Exact hits go on; further failures "
                "are only counted in stats().log_errors.",
                self._connections.place,
                type(error).__name__,
                error,
            )
