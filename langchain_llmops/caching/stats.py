"""What a cache did since it was made."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmops.types import CacheKind

__all__ = ["CacheCounter", "CacheStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheStats:
    """Counts since the cache was made; those of this process, not of a shared file.

    Attributes:
        hits: Answers given, of every kind.
        hits_by_kind: The same by kind: found by its exact key, or by a question alike.
        hits_by_tier: The same by the tier that had the answer.
        misses: Requests whose exact key no tier had.
        stale: Hits past their soft ttl, or instead of a model that failed.
        stores: Answers remembered.
        skipped: Answers that must not be stored: empty, cut, withheld; or whose tags
            could not be looked up.
        invalidated: Answers found, and not given because a tag or scope of theirs was
            invalidated.
        quarantined: Answers removed because feedback called them wrong.
        uncacheable: Lookups and updates through LangChain's `BaseCache` interface whose
            request has no deterministic key.
        evictions: Unexpired answers that had to go for want of room, by tier.
        errors: Operations that failed, by tier: a lost backend, a damaged value.
        rested: Operations not tried because the tier had just failed, by tier.
    """

    hits: int
    hits_by_kind: Mapping[CacheKind, int]
    hits_by_tier: Mapping[str, int]
    misses: int
    stale: int
    stores: int
    skipped: int
    invalidated: int
    quarantined: int
    uncacheable: int
    evictions: Mapping[str, int]
    errors: Mapping[str, int]
    rested: Mapping[str, int]


class CacheCounter:
    """Count what a cache does; safe across threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._hits: Counter[tuple[CacheKind, str]] = Counter()
        self._events: Counter[str] = Counter()

    def hit(self, kind: CacheKind, tier: str) -> None:
        """Count an answer given."""
        with self._lock:
            self._hits[kind, tier] += 1

    def add(self, event: str) -> None:
        """Count an event by the name it has in `CacheStats`."""
        with self._lock:
            self._events[event] += 1

    def snapshot(
        self,
        *,
        uncacheable: int,
        evictions: Mapping[str, int],
        errors: Mapping[str, int],
        rested: Mapping[str, int],
    ) -> CacheStats:
        """Return the counts so far, together with what the tiers counted."""
        with self._lock:
            hits, events = self._hits.copy(), self._events.copy()
        by_kind: Counter[CacheKind] = Counter()
        by_tier: Counter[str] = Counter()
        for (kind, tier), count in hits.items():
            by_kind[kind] += count
            by_tier[tier] += count
        return CacheStats(
            hits=hits.total(),
            hits_by_kind=dict(by_kind),
            hits_by_tier=dict(by_tier),
            misses=events["misses"],
            stale=events["stale"],
            stores=events["stores"],
            skipped=events["skipped"],
            invalidated=events["invalidated"],
            quarantined=events["quarantined"],
            uncacheable=uncacheable,
            evictions=evictions,
            errors=errors,
            rested=rested,
        )
