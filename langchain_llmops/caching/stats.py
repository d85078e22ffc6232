"""What a cache did since it was made, the layers around it included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmops.types import CacheKind

__all__ = ["CacheStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """Counts since the cache was made; those of this process, not of a shared file.

    A `CacheLayer` counts here, too: its calls are the requests, and what it does for
    them (`coalesced` and the four after it) is zero for a cache that none is around.

    Attributes:
        requests: Lookups of callers; a second look for the same call is none.
        hits: Answers given, of every kind.
        hits_by_kind: The same by kind: found by its exact key, or by a question alike.
        hits_by_tier: The same by the tier that had the answer.
        misses: Requests that got no answer from here: the model was asked.
        saved_tokens: Tokens that the provider would have billed for the hits.
        saved_usd: What those would have cost, as far as their prices are known.
        unpriced_hits: Hits whose price is not known: the sum leaves them out.
        stale: Hits past their soft ttl, or instead of a model that failed.
        refreshes: Callers that found a stale answer and were told to fetch a new one.
        coalesced: Hits of calls that waited for another's answer (single flight).
        takeovers: Calls whose turn came because the one they waited for failed or died.
        lease_errors: Operations of the lease between processes that failed.
        negative_hits: Errors raised again without asking the model; none is a hit.
        stores: Answers remembered.
        skipped: Answers that were not stored.
        skipped_by_reason: The same by reason: `"empty"`, `"cut"`, `"withheld"`,
            `"malformed"` (a tool call, or no answer of a model at all), `"tool_error"`,
            `"no_store"` (the caller's wish), `"store_if"`, `"tags"` (could not be
            looked up), `"unwritable"` (no exact JSON form).
        invalidated: Answers found, and not given because a tag or scope of theirs was
            invalidated.
        quarantined: Answers removed because feedback called them wrong.
        uncacheable: Lookups and updates through LangChain's `BaseCache` interface whose
            request has no deterministic key.
        evictions: Unexpired answers that had to go for want of room, by tier.
        errors: Operations that failed, by tier: a lost backend, a damaged value.
        rested: Operations not tried because the tier had just failed, by tier.
        resting: The tiers that are left alone at this moment: their breaker is open.
    """

    requests: int
    hits: int
    hits_by_kind: Mapping[CacheKind, int]
    hits_by_tier: Mapping[str, int]
    misses: int
    saved_tokens: int
    saved_usd: float
    unpriced_hits: int
    stale: int
    refreshes: int
    coalesced: int
    takeovers: int
    lease_errors: int
    negative_hits: int
    stores: int
    skipped: int
    skipped_by_reason: Mapping[str, int]
    invalidated: int
    quarantined: int
    uncacheable: int
    evictions: Mapping[str, int]
    errors: Mapping[str, int]
    rested: Mapping[str, int]
    resting: tuple[str, ...]

    @property
    def hit_rate(self) -> float | None:
        """Share of the requests that were answered from here; `None` before any."""
        return self.hits / self.requests if self.requests else None
