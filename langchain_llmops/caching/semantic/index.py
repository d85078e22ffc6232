"""Questions in this process's memory, and in a file if there is one."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from langchain_llmops.caching.semantic.base import QuestionCounts
from langchain_llmops.caching.semantic.vector_index import VectorIndex
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from langchain_llmops.caching.semantic.base import Match
    from langchain_llmops.caching.semantic.log import QuestionLog
    from langchain_llmops.caching.semantic.vector_rows import Vector

__all__ = ["LoggedQuestion", "QuestionIndex"]

logger = logging.getLogger(__name__)

_NEWS_EVERY_S: Final = 1.0
"""How soon a question that another process learnt can be served here."""

_QUARANTINE: Final = 100_000

_INLINE_ENTRIES: Final = 200_000
"""Beyond so many questions a search takes over a millisecond: it leaves the loop."""


class LoggedQuestion(NamedTuple):
    """A question as the log keeps it.

    Attributes:
        key: The exact key of its answer.
        partition: Where it may be found.
        question: Its text.
        vector: Its direction, half precision.
        quarantined: Whether it must not be served any more.
    """

    key: str
    partition: str
    question: str
    vector: Vector
    quarantined: bool


class QuestionIndex:
    """The `QuestionStore` of one process, kept in step with a file that others share.

    Safe across threads and event loops. Without a file nothing blocks. With one, each
    process searches a copy of its own, which is a second behind the others.

    Args:
        max_entries: Questions kept; the least recently used leave.
        path: The SQLite file; `None` keeps questions in memory only.
        clock: Seconds that only go up.

    Raises:
        ConfigurationError: `max_entries` is not positive.
    """

    def __init__(
        self,
        *,
        max_entries: int,
        path: str | Path | None,
        clock: Callable[[], float],
    ) -> None:
        self._vectors = VectorIndex(max_entries=max_entries)
        self._max_entries = max_entries
        self._path = path
        self._log: QuestionLog | None = None
        self._clock = clock
        self._lock = Lock()
        self._reading = Lock()
        self._next_news = float("-inf")
        self._embedding: str | None = None
        self._width: int | None = None  # of the model's own vectors
        self._quarantined: OrderedDict[str, None] = OrderedDict()
        self._record: str | None = None
        self._evicted = self._errors = 0
        self._told = False

    @property
    def news_due(self) -> bool:
        """Whether `catch_up` has something to do now."""
        return self._log is not None and self._clock() >= self._next_news

    @property
    def calibration(self) -> str | None:
        """The latest record that any process kept, as of the last `catch_up`."""
        return self._record

    def bind(self, embedding: str) -> None:
        """Open the file, if there is one, for questions of a model, and read them.

        Raises:
            ConfigurationError: It is bound to another model already.
            StorageError: The file cannot be used.
        """
        if self._embedding not in {None, embedding}:
            raise ConfigurationError(
                f"these questions belong to {self._embedding!r}, not to "
                f"{embedding!r}: give each embedding model its own"
            )
        if self._embedding is None and self._path is not None:
            # Here: SQLAlchemy takes a fifth of a second to import.
            from langchain_llmops.caching.semantic.log import (  # noqa: PLC0415
                QuestionLog,
            )

            self._log = QuestionLog(
                self._path, embedding=embedding, max_entries=self._max_entries
            )
        self._embedding = embedding
        self.catch_up()

    def catch_up(self) -> None:
        """Take in what the file learnt from any process; blocks, never raises."""
        if self._log is None or not self._reading.acquire(blocking=False):
            return
        try:
            self._next_news = self._clock() + _NEWS_EVERY_S
            for question in self._log.news():
                if question.quarantined:
                    self._take_out(question.key)
                elif question.key not in self._quarantined:
                    self._take_in(question)
            record = self._log.calibration()
            if record is not None and record != self._record:
                self._record = record
        except Exception as error:  # noqa: BLE001 - whatever a database raises
            self._failed(error)
        finally:
            self._reading.release()

    async def acatch_up(self) -> None:
        """Catch up as `catch_up` does, in a thread."""
        await asyncio.to_thread(self.catch_up)

    def search(
        self, partition: str, vector: Vector, *, floor: float, limit: int = 8
    ) -> list[Match]:
        """Return the nearest questions of a partition, the nearest first."""
        self._adopt(vector.size)
        return self._vectors.search(partition, vector, limit=limit, floor=floor)

    async def asearch(
        self, partition: str, vector: Vector, *, floor: float, limit: int = 8
    ) -> list[Match]:
        """Return what `search` returns; a long search runs in a thread."""
        if len(self._vectors) <= _INLINE_ENTRIES:
            return self.search(partition, vector, floor=floor, limit=limit)
        return await asyncio.to_thread(
            self.search, partition, vector, floor=floor, limit=limit
        )

    def knows(self, key: str) -> bool:
        """Return whether a question is kept already, or quarantined."""
        self._vectors.touch(key)
        return key in self._vectors or key in self._quarantined

    def touch(self, key: str) -> None:
        """Note that a question was of use."""
        self._vectors.touch(key)

    def add(self, partition: str, key: str, text: str, vector: Vector) -> None:
        """Keep a question, unless it is quarantined; blocks with a file.

        Raises:
            ConfigurationError: The vector is not as long as the ones before.
        """
        if key in self._quarantined:
            return
        row = LoggedQuestion(
            key=key,
            partition=partition,
            question=text,
            vector=vector,
            quarantined=False,
        )
        self._adopt(vector.size)
        evicted = self._vectors.add(partition, key, text, vector)
        with self._lock:
            self._evicted += len(evicted)
        if self._log is not None:
            self._logged(self._log.append, row)
            if evicted:
                self._logged(self._log.forget, evicted)

    async def aadd(self, partition: str, key: str, text: str, vector: Vector) -> None:
        """Keep a question as `add` does; never blocks the event loop."""
        await self._off_loop(self.add, partition, key, text, vector)

    def forget(self, keys: Sequence[str]) -> None:
        """Remove questions; blocks with a file."""
        for key in keys:
            self._vectors.remove(key)
        if self._log is not None:
            self._logged(self._log.forget, keys)

    async def aforget(self, keys: Sequence[str]) -> None:
        """Remove questions as `forget` does; never blocks the event loop."""
        await self._off_loop(self.forget, keys)

    def quarantine(self, key: str) -> None:
        """Never return a question again, in any process; blocks with a file."""
        self._take_out(key)
        if self._log is not None:
            tombstone = LoggedQuestion(
                key=key,
                partition="",
                question="",
                vector=np.empty(0, np.float32),
                quarantined=True,
            )
            self._logged(self._log.append, tombstone)

    async def aquarantine(self, key: str) -> None:
        """Quarantine as `quarantine` does; never blocks the event loop."""
        await self._off_loop(self.quarantine, key)

    def keep_calibration(self, record: str) -> None:
        """Keep a record, in the file if there is one; blocks then."""
        self._record = record
        if self._log is not None:
            self._logged(self._log.keep_calibration, record)

    async def akeep_calibration(self, record: str) -> None:
        """Keep a record as `keep_calibration` does; never blocks the event loop."""
        await self._off_loop(self.keep_calibration, record)

    def clear(self) -> None:
        """Forget every question, what is quarantined too; blocks with a file."""
        with self._lock:
            self._quarantined.clear()
        self._width = None
        self._vectors.clear()
        if self._log is not None:
            self._logged(self._log.clear)

    async def aclear(self) -> None:
        """Forget everything as `clear` does; never blocks the event loop."""
        await self._off_loop(self.clear)

    def counts(self) -> QuestionCounts:
        """Return what is in memory, and what happened to it."""
        return QuestionCounts(
            entries=len(self._vectors),
            partitions=self._vectors.partitions,
            evicted=self._evicted,
            errors=self._errors,
        )

    def close(self) -> None:
        """Release the file; what it keeps stays."""
        if self._log is not None:
            self._log.close()

    async def _off_loop(self, operation: Callable[..., None], *args: object) -> None:
        """Run what blocks only if there is a file to write to."""
        if self._log is None:
            operation(*args)
        else:
            await asyncio.to_thread(operation, *args)

    def _adopt(self, width: int) -> None:
        """Keep to the width of the first vector that the model itself returned.

        A model may have changed its width under its old name since the log was
        written: what was logged before is of no use then.
        """
        if self._width is not None:
            return
        with self._lock:
            self._width = width
        if self._log is not None and self._vectors.width not in {None, width}:
            self._vectors.clear()
            self._log.rewind()
            self._next_news = float("-inf")

    def _take_in(self, question: LoggedQuestion) -> None:
        width = self._width or self._vectors.width or question.vector.size
        if question.vector.size == width and question.key not in self._vectors:
            self._vectors.add(
                question.partition, question.key, question.question, question.vector
            )

    def _take_out(self, key: str) -> None:
        with self._lock:
            self._quarantined[key] = None
            if len(self._quarantined) > _QUARANTINE:
                self._quarantined.popitem(last=False)
        self._vectors.remove(key)

    def _logged(self, operation: Callable[..., None], *args: object) -> None:
        try:
            operation(*args)
        except Exception as error:  # noqa: BLE001 - whatever a database raises
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self._errors += 1
            told, self._told = self._told, True
        if not told:
            logger.warning(
                "the questions of a semantic cache are not kept (%s: %s). Further "
                "failures are only counted in stats().log_errors.",
                type(error).__name__,
                error,
            )
