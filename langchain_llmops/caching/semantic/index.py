"""The questions that a semantic cache knows: in memory, and on disk if there is one."""

from __future__ import annotations

import logging
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from langchain_llmops.caching.semantic.vector_index import VectorIndex

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_llmops.caching.semantic.log import QuestionLog
    from langchain_llmops.caching.semantic.stats import SemanticCounter
    from langchain_llmops.caching.semantic.vector_index import Match
    from langchain_llmops.caching.semantic.vector_rows import Vector

__all__ = ["LoggedQuestion", "QuestionIndex"]

logger = logging.getLogger(__name__)

_NEWS_EVERY_S: Final = 1.0
"""How soon a question that another process learnt can be served here."""

_GRACE_S: Final = 30.0
"""How long an answer must be out of reach before its question is dropped: a tier that
failed rests for a few seconds, and its answers come back."""

_QUARANTINE: Final = 100_000


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
    """Questions by meaning, kept in step with a log that processes share.

    Safe across threads. With a log, the methods that say so block.

    Args:
        max_entries: Questions in memory.
        log: Where questions last; `None` keeps them in memory only.
        counter: Counts what happens.
        clock: Seconds that only go up.
    """

    def __init__(
        self,
        *,
        max_entries: int,
        log: QuestionLog | None,
        counter: SemanticCounter,
        clock: Callable[[], float],
    ) -> None:
        self.vectors = VectorIndex(max_entries=max_entries)
        self.lasting = log is not None
        self._log = log
        self._counter = counter
        self._clock = clock
        self._lock = Lock()
        self._reading = Lock()
        self._next_news = float("-inf")
        self._width: int | None = None  # of the model's own vectors
        self._missing: OrderedDict[str, float] = OrderedDict()
        self._quarantined: OrderedDict[str, None] = OrderedDict()
        self._told = False

    @property
    def news_due(self) -> bool:
        """Whether `catch_up` has something to do."""
        return self._log is not None and self._clock() >= self._next_news

    def catch_up(self) -> None:
        """Take in what the log learnt from any process; blocks, never raises."""
        if self._log is None or not self._reading.acquire(blocking=False):
            return
        try:
            self._next_news = self._clock() + _NEWS_EVERY_S
            for question in self._log.news():
                if question.quarantined:
                    self._take_out(question.key)
                elif question.key not in self._quarantined:
                    self._add(question)
        except Exception as error:  # noqa: BLE001 - whatever a database raises
            self._failed(error)
        finally:
            self._reading.release()

    def is_settled(self, key: str) -> bool:
        """Return whether a question needs no vector: known already, or quarantined."""
        self.vectors.touch(key)
        return key in self.vectors or key in self._quarantined

    def add(self, partition: str, key: str, question: str, vector: Vector) -> None:
        """Remember a question; blocks with a log, never raises because of it.

        Raises:
            ConfigurationError: The vector is not as long as the ones before.
        """
        row = LoggedQuestion(
            key=key,
            partition=partition,
            question=question,
            vector=vector,
            quarantined=False,
        )
        self._adopt(vector.size)
        evicted = self.vectors.add(partition, key, question, vector)
        self._counter.add("evicted", len(evicted))
        if self._log is not None:
            self._logged(self._log.append, row)
            if evicted:
                self._logged(self._log.forget, evicted)

    def search(self, partition: str, vector: Vector, floor: float) -> list[Match]:
        """Return the nearest questions that may be served, the nearest first."""
        self._adopt(vector.size)
        return self.vectors.search(partition, vector, floor=floor)

    def found(self, key: str) -> None:
        """Note that a question's answer is there."""
        self.vectors.touch(key)
        if self._missing:
            with self._lock:
                self._missing.pop(key, None)

    def missing(self, key: str) -> None:
        """Note that a question's answer is not there; blocks with a log.

        The question is dropped once its answer has been out of reach for a while.
        """
        now = self._clock()
        with self._lock:
            since = self._missing.setdefault(key, now)
            if now - since < _GRACE_S:
                return
            del self._missing[key]
        if self.vectors.remove(key):
            self._counter.add("lost")
            if self._log is not None:
                self._logged(self._log.forget, [key])

    def quarantine(self, key: str) -> None:
        """Never serve a question again, in any process; blocks with a log."""
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

    def clear(self) -> None:
        """Forget every question, what is quarantined too; blocks with a log."""
        with self._lock:
            self._missing.clear()
            self._quarantined.clear()
        self._width = None
        self.vectors.clear()
        if self._log is not None:
            self._logged(self._log.clear)

    def close(self) -> None:
        """Release the log; what it keeps stays."""
        if self._log is not None:
            self._log.close()

    def _adopt(self, width: int) -> None:
        """Keep to the width of the first vector that the model itself returned.

        A model may have changed its width under its old name since the log was
        written: what was logged before is of no use then.
        """
        if self._width is not None:
            return
        with self._lock:
            self._width = width
        if self._log is not None and self.vectors.width not in {None, width}:
            self.vectors.clear()
            self._log.rewind()
            self._next_news = float("-inf")

    def _add(self, question: LoggedQuestion) -> None:
        width = self._width or self.vectors.width or question.vector.size
        if question.vector.size == width and question.key not in self.vectors:
            self.vectors.add(
                question.partition, question.key, question.question, question.vector
            )

    def _take_out(self, key: str) -> None:
        with self._lock:
            self._quarantined[key] = None
            if len(self._quarantined) > _QUARANTINE:
                self._quarantined.popitem(last=False)
        self.vectors.remove(key)

    def _logged(self, operation: Callable[..., None], *args: object) -> None:
        try:
            operation(*args)
        except Exception as error:  # noqa: BLE001 - whatever a database raises
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self._counter.add("log_errors")
        told, self._told = self._told, True
        if not told:
            logger.warning(
                "the questions of a semantic cache are not kept (%s: %s). Further "
                "failures are only counted in stats().log_errors.",
                type(error).__name__,
                error,
            )
