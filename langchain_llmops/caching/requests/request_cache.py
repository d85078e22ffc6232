"""LangChain's `BaseCache`, in terms of requests instead of two strings."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

from langchain_core.caches import BaseCache

from langchain_llmops.caching.requests.canonical import NotCanonicalError
from langchain_llmops.caching.requests.strings import StringRequests

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.outputs import Generation
    from langchain_core.runnables import Runnable

    from langchain_llmops.caching.base import CacheHit, CacheRequest
    from langchain_llmops.caching.warming import WarmReport

__all__ = ["RequestCache"]

logger = logging.getLogger(__name__)


class RequestCache(BaseCache):
    """A `BaseCache` whose subclass answers `CacheRequest`s.

    Subclasses write `get`, `aget`, `put`, `aput`, `clear` and `aclear`; the strings
    of LangChain become a request here, the switches of the running config are obeyed,
    and a request that has no deterministic key is a miss that is never stored: it is
    counted in `uncacheable` and logged once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.uncacheable = 0
        self._strings = StringRequests()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return this cache: a copied model shares it, as a shallow copy does."""
        return self

    @abstractmethod
    def get(self, request: CacheRequest) -> CacheHit | None:
        """Return the answer to a request, or `None`."""

    @abstractmethod
    async def aget(self, request: CacheRequest) -> CacheHit | None:
        """Return the answer to a request, or `None`; never blocks the event loop."""

    @abstractmethod
    def put(self, request: CacheRequest, generations: Sequence[Generation]) -> bool:
        """Remember an answer; `False` if it was not stored."""

    @abstractmethod
    async def aput(
        self, request: CacheRequest, generations: Sequence[Generation]
    ) -> bool:
        """Remember an answer; never blocks the event loop."""

    @abstractmethod
    async def aclear(self, **kwargs: Any) -> None:
        """Forget every answer; never blocks the event loop."""

    def lookup(self, prompt: str, llm_string: str) -> list[Any] | None:
        """Return fresh generations for LangChain's two strings, or `None`."""
        request = self._request(prompt, llm_string)
        hit = self.get(request) if request is not None and request.read else None
        return _answers(hit)

    async def alookup(self, prompt: str, llm_string: str) -> list[Any] | None:
        """Return what `lookup` returns; never blocks the event loop."""
        request = self._request(prompt, llm_string)
        if request is None or not request.read:
            return None
        return _answers(await self.aget(request))

    def update(
        self, prompt: str, llm_string: str, return_val: Sequence[Generation]
    ) -> None:
        """Remember generations under LangChain's two strings."""
        request = self._request(prompt, llm_string)
        if request is not None and request.store:
            self.put(request, return_val)

    async def aupdate(
        self, prompt: str, llm_string: str, return_val: Sequence[Generation]
    ) -> None:
        """Remember generations as `update` does; never blocks the event loop."""
        request = self._request(prompt, llm_string)
        if request is not None and request.store:
            await self.aput(request, return_val)

    def warm(
        self,
        prompts: Iterable[LanguageModelInput],
        model: Runnable[LanguageModelInput, Any],
        *,
        max_concurrency: int = 8,
    ) -> WarmReport:
        """Ask a model in advance; what is cached already costs nothing.

        Args:
            prompts: What will be asked: texts or messages, as the model takes them.
            model: The model with this cache, as the users call it: with the same
                system prompt, tools and settings; in their `cache_scope`, if they have
                one.
            max_concurrency: Calls that are open at once.

        Returns:
            What came of it. Errors of the model are counted, not raised.

        Raises:
            ConfigurationError: `max_concurrency` is not positive.
        """
        from langchain_llmops.caching.warming import (  # noqa: PLC0415 - as few do
            warm_config,
            warm_report,
        )

        config = warm_config(max_concurrency)
        return warm_report(model.batch(list(prompts), config, return_exceptions=True))

    async def awarm(
        self,
        prompts: Iterable[LanguageModelInput],
        model: Runnable[LanguageModelInput, Any],
        *,
        max_concurrency: int = 8,
    ) -> WarmReport:
        """Ask in advance as `warm` does; never blocks the event loop."""
        from langchain_llmops.caching.warming import (  # noqa: PLC0415 - as few do
            warm_config,
            warm_report,
        )

        config = warm_config(max_concurrency)
        outcomes = await model.abatch(list(prompts), config, return_exceptions=True)
        return warm_report(outcomes)

    def _request(self, prompt: str, llm_string: str) -> CacheRequest | None:
        try:
            return self._strings.request(prompt, llm_string)
        except NotCanonicalError as error:
            self.uncacheable += 1
            if self.uncacheable == 1:
                logger.warning("not cached: %s", error)
            return None


def _answers(hit: CacheHit | None) -> list[Any] | None:
    # There is no background to refresh a stale answer in: its one caller waits for it.
    return None if hit is None or hit.refresh else list(hit.generations)
