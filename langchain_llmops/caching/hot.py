"""Which questions are asked most: the Space-Saving sketch, bounded in memory."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop, heappush
from threading import Lock
from typing import Final

from langchain_llmops.errors import ConfigurationError

__all__ = ["HotQuestion", "HotQuestions"]

_CHARACTERS: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HotQuestion:
    """A question that is asked often.

    Attributes:
        key: The key of its exact request; also the `hit_id` of its hits.
        text: The last user turn, cut at 2,000 characters; `None` if it is not text.
        count: How often it was asked, at most; the truth is `error` lower at most.
        error: How much of `count` may belong to questions that were forgotten.
    """

    key: str
    text: str | None
    count: int
    error: int


class HotQuestions:
    """Count requests by key, and keep the frequent ones.

    Whatever makes up more than one in `capacity` of all requests is kept for certain.
    A request costs under a microsecond, one that takes the place of another the
    logarithm of `capacity`. Safe across threads.

    Args:
        capacity: How many keys are counted at once.

    Raises:
        ConfigurationError: `capacity` is not positive.
    """

    def __init__(self, capacity: int = 1_000) -> None:
        if capacity < 1:
            raise ConfigurationError(f"capacity={capacity!r} must be positive")
        self._capacity = capacity
        self._lock = Lock()
        self._counts: dict[str, int] = {}
        self._about: dict[str, tuple[str | None, int]] = {}
        # Counts as they were: a key's true count is looked up when it comes on top.
        self._heap: list[tuple[int, str]] = []

    def add(self, key: str, text: str | None) -> None:
        """Count a request."""
        with self._lock:
            count = self._counts.get(key)
            if count is not None:
                self._counts[key] = count + 1
                return
            error = self._make_room() if len(self._counts) >= self._capacity else 0
            self._counts[key] = error + 1
            self._about[key] = (text and text[:_CHARACTERS], error)
            heappush(self._heap, (error + 1, key))

    def top(self, n: int) -> list[HotQuestion]:
        """Return the `n` most frequent questions, the most frequent first."""
        with self._lock:
            ranked = sorted(self._counts.items(), key=lambda pair: -pair[1])[:n]
            about = [self._about[key] for key, _ in ranked]
        return [
            HotQuestion(key=key, text=text, count=count, error=error)
            for (key, count), (text, error) in zip(ranked, about, strict=True)
        ]

    def clear(self) -> None:
        """Forget all counts."""
        with self._lock:
            self._counts.clear()
            self._about.clear()
            self._heap.clear()

    def _make_room(self) -> int:
        """Forget the rarest key; return how often it was asked, at most."""
        while True:
            noted, key = heappop(self._heap)
            count = self._counts[key]
            if count == noted:
                del self._counts[key], self._about[key]
                return count
            heappush(self._heap, (count, key))
