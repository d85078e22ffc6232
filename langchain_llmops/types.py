"""Frozen values that several floors share."""

from __future__ import annotations

from typing import Literal, Protocol, TypedDict, runtime_checkable

__all__ = [
    "BUDGET_EVENT",
    "CACHE_KEY",
    "FAILOVER_EVENT",
    "QUEUE_WAIT_EVENT",
    "RETRY_EVENT",
    "BudgetEvent",
    "CacheKind",
    "CacheMark",
    "GenerationSource",
    "QueueWaitEvent",
]

CACHE_KEY = "cache"
"""Key under which `response_metadata` of a cached message carries its `CacheMark`."""

CacheKind = Literal["exact", "semantic"]


class CacheMark(TypedDict):
    """How an answer came out of a cache: written by caching, read by cost and reports.

    The saved figures are what the provider would have billed for the same call;
    `saved_usd` is `None` where the model has no known price. Plain JSON types, so that
    tracers and stores can carry the mark.
    """

    hit: bool
    kind: CacheKind
    tier: str
    similarity: float | None
    age_s: float
    saved_tokens: int
    saved_input_tokens: int
    saved_output_tokens: int
    saved_usd: float | None
    hit_id: str


RETRY_EVENT = "llmops.retry"
"""Custom event of LangChain: a call that failed is tried again.

Layers and routers send these to the handlers of their run, for metrics. The data of
each is a dictionary of its own, so that a handler which is attached twice can tell.
"""

FAILOVER_EVENT = "llmops.failover"
"""Custom event: a call that failed goes to another model."""

QUEUE_WAIT_EVENT = "llmops.queue_wait"
"""Custom event: a call got its slot. Its data is a `QueueWaitEvent`."""

BUDGET_EVENT = "llmops.budget"
"""Custom event: a budget's use has changed. Its data is a `BudgetEvent`."""


class QueueWaitEvent(TypedDict):
    """How long a call waited for its slot, in seconds."""

    seconds: float


class BudgetEvent(TypedDict):
    """How much of a budget is used or reserved: 0 for nothing, 1 for all of it."""

    scope: str
    use: float


@runtime_checkable
class GenerationSource(Protocol):
    """What can say that its contents have changed: a vector store, a pinned reader."""

    @property
    def generation(self) -> int | str:
        """Differs whenever a search may return something else.

        Read before each cached search: it must be cheap, and do no I/O. A value that
        comes back (after a rollback) must stand for the same contents.
        """
        ...
