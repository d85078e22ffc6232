"""What a cached request is, and what every answer cache of this folder offers.

`BaseCache` hands a cache two strings: enough for an exact hit, too little for streams,
scopes or a semantic step. The caches here therefore work on a `CacheRequest`; their
`BaseCache` methods (`request_cache.RequestCache`) and `CacheLayer` are two ways to make
one, and both look at its switches, so that an `AnswerCache` need not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.outputs import ChatGeneration, Generation

    from langchain_llmops.types import CacheKind, CacheMark

__all__ = ["AnswerCache", "AnswerStore", "CacheHit", "CacheRequest"]


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
        read: Whether the caller wants an answer out of the cache (`cache_bypass`).
        store: Whether the answer may be remembered (`cache_no_store`, failed tools).
        deterministic: Whether the caller wants the same answer each time (temperature
            0, or a seed): then identical calls at one time need only one answer.
        namespace: The scope as canonical JSON; `None` where there is none.
        tags: Names of what the answer depends on, sorted.
        max_age_s: Seconds that a stored answer may be old; `None` sets no bound.
        tool_failed: Whether `store` is false because a tool failed.
        again: Whether this is the second look of a call that waited for another one:
            it is no request of its own, and a hit is a coalesced one.
    """

    key: str
    partition: str
    question: str | None
    model: str | None
    read: bool = True
    store: bool = True
    deterministic: bool = False
    namespace: str | None = None
    tags: tuple[str, ...] = ()
    max_age_s: float | None = None
    tool_failed: bool = False
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheHit:
    """An answer out of a cache.

    Attributes:
        generations: Fresh copies that the caller may mutate; usage zeroed and message
            id `None`. Each chat message is marked; a text `Generation` has no message
            to mark and equals what was stored.
        mark: What `response_metadata["cache"]` of each message says.
        stale: Whether the answer is past its soft ttl, or stands in for a failed model.
        refresh: Whether the caller is the one to fetch a new answer: only one is told.
    """

    generations: list[ChatGeneration] | list[Generation]
    mark: CacheMark
    stale: bool = False
    refresh: bool = False


class AnswerCache(Protocol):
    """A cache of answers; no method ever raises because a backend failed."""

    def get(self, request: CacheRequest) -> CacheHit | None:
        """Return the answer to a request, or `None`."""
        ...

    async def aget(self, request: CacheRequest) -> CacheHit | None:
        """Return the answer to a request, or `None`; never blocks the event loop."""
        ...

    def put(self, request: CacheRequest, generations: Sequence[Generation]) -> bool:
        """Remember an answer; `False` if it must not be, or could not be, stored."""
        ...

    async def aput(
        self, request: CacheRequest, generations: Sequence[Generation]
    ) -> bool:
        """Remember an answer as `put` does; never blocks the event loop."""
        ...


class AnswerStore(AnswerCache, Protocol):
    """An answer cache that also finds an answer by another request's key.

    `TieredCache` is one; an index over questions keeps its payloads in it.
    """

    def fetch(
        self,
        key: str,
        *,
        kind: CacheKind = "exact",
        similarity: float | None = None,
        max_age_s: float | None = None,
    ) -> CacheHit | None:
        """Return the answer under a key, no older than asked, marked so, or `None`."""
        ...

    async def afetch(
        self,
        key: str,
        *,
        kind: CacheKind = "exact",
        similarity: float | None = None,
        max_age_s: float | None = None,
    ) -> CacheHit | None:
        """Return the answer as `fetch` does; never blocks the event loop."""
        ...
