"""What stands in for a model call: an error remembered, or an answer past its time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from langchain_llmops.caching.failures import FailureMemory, comes_again

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from langchain_llmops.caching.base import CacheHit, CacheRequest
    from langchain_llmops.caching.counter import CacheCounter

__all__ = ["Substitutes"]


class Substitutes:
    """Keep a model from failing twice at the same, and its caller from noticing.

    Safe across threads and event loops.

    Args:
        cache: The cache. One that offers `fallback` and `afallback` is asked.
        failures: Where errors are remembered; `None` for a place of their own.
        counter: Counts what is given.
        negative_s: Seconds that an error is remembered; 0: not at all.
        clock: Seconds that only go up.
    """

    def __init__(
        self,
        cache: object,
        *,
        failures: FailureMemory | None,
        counter: CacheCounter,
        negative_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._counter = counter
        self._negative_s = negative_s
        self._clock = clock
        self._failures = FailureMemory() if failures is None else failures
        self._fallback: Callable[[CacheRequest], CacheHit | None] | None = getattr(
            cache, "fallback", None
        )
        self._afallback: Callable[[CacheRequest], Awaitable[CacheHit | None]] | None = (
            getattr(cache, "afallback", None)
        )

    @contextmanager
    def failing(self, request: CacheRequest) -> Iterator[None]:
        """Raise the error that a request had a moment ago, or remember its own.

        Put the model call inside, and both outside of what catches errors for `spare`.
        """
        known = None
        if self._negative_s and request.read:
            known = self._failures.recall(request.key, self._clock())
        if known is not None:
            self._counter.add("negative_hits")
            raise known
        try:
            yield
        except Exception as error:
            if self._negative_s and request.store and comes_again(error):
                self._failures.remember(
                    request.key, error, ttl_s=self._negative_s, now=self._clock()
                )
            raise

    def answered(self, request: CacheRequest) -> None:
        """Forget the error of a request, now that the model answered it."""
        self._failures.forget(request.key)

    def spare(self, request: CacheRequest, stale: CacheHit | None) -> CacheHit | None:
        """Return what to serve instead of the model's error, if there is something.

        Args:
            request: What failed.
            stale: The answer that the call was to refresh.
        """
        if stale is None and self._fallback is not None and request.read:
            return self._fallback(request)
        return self._given(stale)

    async def aspare(
        self, request: CacheRequest, stale: CacheHit | None
    ) -> CacheHit | None:
        """Return what `spare` returns; never blocks the event loop."""
        if stale is None and self._afallback is not None and request.read:
            return await self._afallback(request)
        return self._given(stale)

    def _given(self, stale: CacheHit | None) -> CacheHit | None:
        if stale is not None:
            self._counter.hit(stale.mark, stale=True)
        return stale
