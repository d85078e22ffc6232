"""What a cached request is, and what every answer cache of this folder offers.

`BaseCache` hands a cache two strings: enough for an exact hit, too little for streams,
scopes or a semantic step. The caches here therefore work on a `CacheRequest`; their
`BaseCache` methods and `CacheLayer` are two ways to make one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.outputs import ChatGeneration, Generation

    from langchain_llmops.types import CacheMark

__all__ = ["AnswerCache", "CacheHit", "CacheRequest"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRequest:
    """One request as a cache sees it: who may share it, and what changes its answer.

    Attributes:
        key: Digest of scope, model configuration and every message: the exact key.
        partition: Digest of all that must be equal for two questions to share an
            answer: scope, model configuration, system prompt and earlier turns.
        question: Text of the last user turn where the semantic step may use it;
            `None` bypasses that step (tool calls, non-text blocks, n > 1, ...).
        model: Name of the model, to price what a hit saves; `None` if unknown.
    """

    key: str
    partition: str
    question: str | None
    model: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHit:
    """An answer out of a cache.

    Attributes:
        generations: Fresh copies that the caller may mutate; usage zeroed, message id
            `None`, marked.
        mark: What `response_metadata["cache"]` of each of them says.
    """

    generations: list[ChatGeneration] | list[Generation]
    mark: CacheMark


class AnswerCache(Protocol):
    """A cache of answers; no method ever raises because a backend failed."""

    def get(self, request: CacheRequest) -> CacheHit | None:
        """Return the answer to a request, or `None`."""
        ...

    async def aget(self, request: CacheRequest) -> CacheHit | None:
        """Return the answer to a request, or `None`; never blocks the event loop."""
        ...

    def put(self, request: CacheRequest, generations: Sequence[Generation]) -> None:
        """Remember an answer; what must not be stored is left out silently."""
        ...

    async def aput(
        self, request: CacheRequest, generations: Sequence[Generation]
    ) -> None:
        """Remember an answer; never blocks the event loop."""
        ...
