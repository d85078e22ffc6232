"""What retrievals found, kept for a while: by the same question, or one almost so."""

from __future__ import annotations

import functools
import math
import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from langchain_llmops.caching.flight.single_flight import SingleFlight
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from langchain_core.documents import Document

__all__ = [
    "Key",
    "Near",
    "RetrievalCache",
    "RetrievalCacheStats",
    "Same",
    "marked",
    "twin",
]

Key: TypeAlias = "tuple[str, tuple[Hashable, ...]]"
"""The normalised question, and everything else that the answer depends on."""

_CANDIDATES: Final = 4
"""Similar questions that are looked at before giving up."""


class Same:
    """Stands for objects in a key: equal for the very same ones, and keeps them alive.

    Args:
        things: The objects.
    """

    __slots__ = ("_ids", "_things")

    def __init__(self, *things: object) -> None:
        self._things = things
        self._ids = tuple(map(id, things))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self._ids == other._ids

    def __hash__(self) -> int:
        return hash(self._ids)

    def __repr__(self) -> str:
        return f"<{', '.join(map(str, self._ids))}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalCacheStats:
    """Counts since the cache was made, and how much it keeps now.

    Args:
        hits: Questions answered by an equal one.
        near_hits: Questions answered by one that is almost the same.
        misses: Questions that had to be searched.
        entries: Answers that are kept.
    """

    hits: int
    near_hits: int
    misses: int
    entries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A question that may be answered by a similar one.

    Args:
        question: As its key has it.
        vector: Its embedding.
        floor: Smallest cosine between two questions that may share an answer.
    """

    question: str
    vector: list[float]
    floor: float


class RetrievalCache:
    """Keep what retrievers found, in memory, bounded in time and number.

    May be shared by several retrievers: every key says which store it is about, and the
    store's generation. Safe across threads and event loops; a look takes about a
    microsecond. A copy (`deepcopy`, pickle) is empty: its documents belong to this
    process.

    Args:
        ttl_s: Seconds that an answer is kept; `None` for as long as there is room.
        max_entries: Answers that are kept; the least recently used leave first.
        clock: Seconds that only go up.

    Raises:
        ConfigurationError: A bound is not positive.
    """

    def __init__(
        self,
        *,
        ttl_s: float | None = 300.0,
        max_entries: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if ttl_s is not None and not ttl_s > 0:
            raise ConfigurationError(
                f"ttl={ttl_s!r} keeps nothing: give positive seconds, or cache=False"
            )
        if max_entries < 1:
            raise ConfigurationError(f"max_entries={max_entries!r}: use 1 or more")
        self._ttl_s = math.inf if ttl_s is None else ttl_s
        self._max_entries = max_entries
        self._clock = clock
        self._lock = Lock()
        self._entries: OrderedDict[Key, tuple[float, tuple[Document, ...]]] = (
            OrderedDict()
        )
        # Questions by meaning; made by the first that is to be found so.
        self._questions: Any = None
        self._hits = self._near_hits = self._misses = 0
        self.flights: Final = SingleFlight()

    def __reduce__(self) -> tuple[Any, ...]:
        ttl_s = None if math.isinf(self._ttl_s) else self._ttl_s
        make = functools.partial(
            RetrievalCache,
            ttl_s=ttl_s,
            max_entries=self._max_entries,
            clock=self._clock,
        )
        return make, ()

    def get(self, key: Key) -> tuple[Document, ...] | None:
        """Return what is kept under a key; not to be changed, only copied."""
        now = self._clock()
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            if entry[0] <= now:
                self._forget(key)
                return None
            self._entries.move_to_end(key)
            self._hits += 1
            return entry[1]

    def put(
        self, key: Key, documents: tuple[Document, ...], near: Near | None = None
    ) -> None:
        """Keep an answer.

        Args:
            key: What it answers.
            documents: Copies that nobody else holds.
            near: Lets similar questions find it; `None` for this one only.
        """
        with self._lock:
            self._entries[key] = (self._clock() + self._ttl_s, documents)
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_entries:
                self._forget(next(iter(self._entries)))
            if near is not None and key in self._entries:
                self._remember(key, near)

    def get_near(self, key: Key, near: Near) -> tuple[Document, ...] | None:
        """Return the answer of a question that is almost the same.

        A question that differs in a number, a negation, an opposite or who did what to
        whom is never taken for the same, however near it lies.

        Args:
            key: The question's own key: all but the question must be equal.
            near: The question's vector, and how near the other must be.
        """
        from langchain_llmops.caching.semantic.embedder import (  # noqa: PLC0415 - numpy
            unit_vector,
        )
        from langchain_llmops.caching.semantic.guards import (  # noqa: PLC0415 - as above
            conflict,
        )

        unit = unit_vector(near.vector)
        if self._questions is None or unit is None:
            return None
        now = self._clock()
        for match in self._questions.search(
            repr(key[1]), unit, limit=_CANDIDATES, floor=near.floor
        ):
            other = (match.text, key[1])
            with self._lock:
                entry = self._entries.get(other)
            if entry is None or entry[0] <= now or conflict(near.question, match.text):
                continue
            with self._lock:
                self._near_hits += 1
            return tuple(marked(one, score_of=match.text) for one in entry[1])
        return None

    def missed(self) -> None:
        """Count a question that had to be searched."""
        with self._lock:
            self._misses += 1

    def clear(self) -> None:
        """Forget every answer."""
        with self._lock:
            self._entries.clear()
            if self._questions is not None:
                self._questions.clear()

    def stats(self) -> RetrievalCacheStats:
        """Return how often the cache was of use."""
        with self._lock:
            return RetrievalCacheStats(
                hits=self._hits,
                near_hits=self._near_hits,
                misses=self._misses,
                entries=len(self._entries),
            )

    def _remember(self, key: Key, near: Near) -> None:
        from langchain_llmops.caching.semantic.embedder import (  # noqa: PLC0415 - numpy
            unit_vector,
        )
        from langchain_llmops.caching.semantic.vector_index import (  # noqa: PLC0415
            VectorIndex,
        )

        unit = unit_vector(near.vector)
        if unit is None:
            return
        if self._questions is None:
            self._questions = VectorIndex(max_entries=self._max_entries)
        self._questions.add(repr(key[1]), repr(key), near.question, unit)

    def _forget(self, key: Key) -> None:
        del self._entries[key]
        if self._questions is not None:
            self._questions.remove(repr(key))


def twin(document: Document) -> Document:
    """Return a copy of a document with metadata of its own, one level deep.

    By way of the pickle protocol, without a pickle: a hit makes one for each document,
    and this takes a third of `model_copy`'s time.
    """
    state = document.__getstate__()
    fields = state["__dict__"] = state["__dict__"].copy()
    fields["metadata"] = fields["metadata"].copy()
    made: Document = object.__new__(type(document))
    made.__setstate__(state)
    return made


def marked(document: Document, **marks: object) -> Document:
    """Return a copy with marks in its metadata."""
    made = twin(document)
    made.metadata.update(marks)
    return made
