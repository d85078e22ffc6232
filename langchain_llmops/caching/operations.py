"""Running an exact cache: invalidate, take feedback, see what is hot, warm it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_llmops.caching.counter import CacheCounter
from langchain_llmops.caching.failures import FailureMemory
from langchain_llmops.caching.hot import HotQuestions
from langchain_llmops.caching.requests.request_cache import RequestCache

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_llmops.caching.hot import HotQuestion
    from langchain_llmops.caching.invalidation import (
        Invalidation,
        Invalidator,
        Predicate,
    )

__all__ = ["CacheOperations"]


class CacheOperations(RequestCache):
    """What is done to a cache from outside the calls.

    Args:
        invalidator: Removes answers from all of its tiers.

    Attributes:
        counter: Where what is done with this cache is counted, by its layers too.
        failures: What its layers remember of errors that would come again.
    """

    def __init__(self, invalidator: Invalidator) -> None:
        super().__init__()
        self._invalidator = invalidator
        self.counter = CacheCounter()
        self.failures = FailureMemory()
        self._hot = HotQuestions()

    def invalidate(
        self,
        tags: Iterable[str] = (),
        *,
        namespace: Any = None,
        predicate: Predicate | None = None,
        dry_run: bool = False,
    ) -> Invalidation:
        """Have answers never given again: those with a tag, of a scope, or chosen.

        Tags and scopes take constant time, whatever is stored, and hold at once here,
        after `tag_ttl` in every other process that shares a tier. An answer that the
        model is working on goes too. `predicate`, and `dry_run`, look at every stored
        answer, in tiers that can list them (memory, SQLite); other processes drop their
        copies within a second.

        Args:
            tags: Those that have one of these tags.
            namespace: Those of this scope.
            predicate: Those for which it returns true.
            dry_run: Only count them.

        Returns:
            What went.

        Raises:
            ConfigurationError: Not exactly one of the three is given, or a tier cannot
                list its answers.
            StorageError: A tier failed: what should go may still be given.
        """
        if not dry_run:
            self.failures.clear()
        return self._invalidator.invalidate(
            tags=tags, namespace=namespace, predicate=predicate, dry_run=dry_run
        )

    async def ainvalidate(
        self,
        tags: Iterable[str] = (),
        *,
        namespace: Any = None,
        predicate: Predicate | None = None,
        dry_run: bool = False,
    ) -> Invalidation:
        """Invalidate as `invalidate` does; never blocks the event loop."""
        if not dry_run:
            self.failures.clear()
        return await self._invalidator.ainvalidate(
            tags=tags, namespace=namespace, predicate=predicate, dry_run=dry_run
        )

    def feedback(self, hit_id: str, *, correct: bool) -> None:
        """Say whether a hit was right; a wrong answer is removed from every tier.

        Other processes drop their copies within a second. The model is asked the next
        time, and its new answer is stored.

        Args:
            hit_id: `response_metadata["cache"]["hit_id"]` of the answer.
            correct: Whether the answer was right.

        Raises:
            StorageError: A tier failed and may still have it.
        """
        if not correct:
            self._invalidator.drop(hit_id)
            self.counter.add("quarantined")

    async def afeedback(self, hit_id: str, *, correct: bool) -> None:
        """Say it as `feedback` does; never blocks the event loop."""
        if not correct:
            await self._invalidator.adrop(hit_id)
            self.counter.add("quarantined")

    def hot(self, n: int = 10) -> list[HotQuestion]:
        """Return what was asked most of this cache in this process, at most 1,000."""
        return self._hot.top(n)
