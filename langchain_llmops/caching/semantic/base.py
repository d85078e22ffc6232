"""Where a semantic cache keeps its questions: the seam between cache and index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.caching.semantic.vector_rows import Vector

__all__ = ["Match", "QuestionCounts", "QuestionStore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A stored question near the one that was asked.

    Attributes:
        key: What it was added under: the exact key of its answer.
        text: The stored question.
        similarity: Cosine, at most 1.
    """

    key: str
    text: str
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionCounts:
    """What a store of questions holds, as far as it knows without waiting.

    Attributes:
        entries: Questions that can be found now; `None` if it is not known.
        partitions: Partitions that hold one; `None` if it is not known.
        evicted: Questions that had to leave for want of room.
        errors: Failures of a file or server behind it.
    """

    entries: int | None
    partitions: int | None
    evicted: int = 0
    errors: int = 0


class QuestionStore(Protocol):
    """Keep questions with answers, and find the nearest ones of a partition.

    `SemanticCache` calls it from threads and event loops at once; every method must be
    safe there. A method without an async twin never waits for a file or a server. The
    others may, and their twins never block the event loop. A file or server that fails
    never makes a method raise: it is counted in `counts().errors`, logged once, and the
    method does without (no match, nothing kept).
    """

    @property
    def news_due(self) -> bool:
        """Whether `catch_up` has something to do now; read before each lookup."""
        ...

    @property
    def calibration(self) -> str | None:
        """The latest record that any process kept, as of the last `catch_up`.

        The same object as long as it is the same record.
        """
        ...

    def bind(self, embedding: str) -> None:
        """Learn which model the vectors are of; called once, before anything else.

        May block: it opens what must be opened and reads what is there. Questions of
        other models may share the same file or database; they are never returned.

        Raises:
            ConfigurationError: It is bound to another model already.
            StorageError: The file or server cannot be used at all.
        """
        ...

    def catch_up(self) -> None:
        """Take in what other processes changed, their calibration included."""
        ...

    async def acatch_up(self) -> None:
        """Catch up as `catch_up` does; never blocks the event loop."""
        ...

    def search(
        self, partition: str, vector: Vector, *, floor: float, limit: int = 8
    ) -> list[Match]:
        """Return the nearest questions of a partition, the nearest first.

        Args:
            partition: The only one that is looked at.
            vector: A direction: float32, of length 1.
            floor: Smallest cosine of interest.
            limit: How many to return at most.
        """
        ...

    async def asearch(
        self, partition: str, vector: Vector, *, floor: float, limit: int = 8
    ) -> list[Match]:
        """Return what `search` returns; never blocks the event loop."""
        ...

    def knows(self, key: str) -> bool:
        """Return whether `add` would be in vain: kept already, or quarantined.

        `False` where that cannot be told at once; `True` counts as a use.
        """
        ...

    def touch(self, key: str) -> None:
        """Note that a question was of use: the least recently used leave first."""
        ...

    def add(self, partition: str, key: str, text: str, vector: Vector) -> None:
        """Keep a question, in place of the one with its key, unless quarantined.

        Args:
            partition: Where it may be found, and nowhere else.
            key: Identifies it across partitions.
            text: The question.
            vector: Its direction: float32, of length 1.

        Raises:
            ConfigurationError: The vector is not as long as the ones before.
        """
        ...

    async def aadd(self, partition: str, key: str, text: str, vector: Vector) -> None:
        """Keep a question as `add` does; never blocks the event loop."""
        ...

    def forget(self, keys: Sequence[str]) -> None:
        """Remove questions; those that are not there are passed over."""
        ...

    async def aforget(self, keys: Sequence[str]) -> None:
        """Remove questions as `forget` does; never blocks the event loop."""
        ...

    def quarantine(self, key: str) -> None:
        """Never return a question again, in any process, even if it is added again."""
        ...

    async def aquarantine(self, key: str) -> None:
        """Quarantine as `quarantine` does; never blocks the event loop."""
        ...

    def keep_calibration(self, record: str) -> None:
        """Keep a record for this model, in place of the one before."""
        ...

    async def akeep_calibration(self, record: str) -> None:
        """Keep a record as `keep_calibration` does; never blocks the event loop."""
        ...

    def clear(self) -> None:
        """Forget every question of the model, quarantined ones too; not the record."""
        ...

    async def aclear(self) -> None:
        """Forget everything as `clear` does; never blocks the event loop."""
        ...

    def counts(self) -> QuestionCounts:
        """Return what it holds, and what happened to it."""
        ...

    def close(self) -> None:
        """Release connections; what is kept stays."""
        ...
