"""Count what a cache and its layers do, for `CacheStats`."""

from __future__ import annotations

from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmops.caching.stats import CacheStats
    from langchain_llmops.types import CacheKind, CacheMark

__all__ = ["CacheCounter", "CacheEvent"]

CacheEvent: TypeAlias = Literal[
    "requests",
    "stale",
    "refreshes",
    "coalesced",
    "takeovers",
    "lease_errors",
    "negative_hits",
    "stores",
    "invalidated",
    "quarantined",
]
"""What is counted one by one, by the names of `CacheStats`."""


class CacheCounter:
    """Count what a cache and its layers do; safe across threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._hits: Counter[tuple[CacheKind, str]] = Counter()
        self._events: Counter[CacheEvent] = Counter()
        self._skipped: Counter[str] = Counter()
        self._tokens = 0
        self._usd = 0.0
        self._unpriced = 0

    def hit(self, mark: CacheMark, *, stale: bool) -> None:
        """Count an answer given, and what it saved."""
        with self._lock:
            self._hits[mark["kind"], mark["tier"]] += 1
            self._tokens += mark["saved_tokens"]
            usd = mark["saved_usd"]
            if usd is None:
                self._unpriced += 1
            else:
                self._usd += usd
            if stale:
                self._events["stale"] += 1

    def add(self, event: CacheEvent) -> None:
        """Count an event."""
        with self._lock:
            self._events[event] += 1

    def skip(self, reason: str) -> None:
        """Count an answer that is not stored, by the reason."""
        with self._lock:
            self._skipped[reason] += 1

    def snapshot(
        self,
        *,
        uncacheable: int,
        evictions: Mapping[str, int],
        errors: Mapping[str, int],
        rested: Mapping[str, int],
        resting: tuple[str, ...],
    ) -> CacheStats:
        """Return the counts so far, together with what the tiers counted."""
        # Here: two milliseconds to make a class that few programs look at.
        from langchain_llmops.caching.stats import CacheStats  # noqa: PLC0415

        with self._lock:
            hits, events = self._hits.copy(), self._events.copy()
            skipped = dict(self._skipped)
            tokens, usd, unpriced = self._tokens, self._usd, self._unpriced
        by_kind: Counter[CacheKind] = Counter()
        by_tier: Counter[str] = Counter()
        for (kind, tier), count in hits.items():
            by_kind[kind] += count
            by_tier[tier] += count
        return CacheStats(
            requests=events["requests"],
            hits=hits.total(),
            hits_by_kind=dict(by_kind),
            hits_by_tier=dict(by_tier),
            # Hits that nobody requested (`fetch` by hand) are no negative misses.
            misses=max(0, events["requests"] - hits.total()),
            saved_tokens=tokens,
            saved_usd=usd,
            unpriced_hits=unpriced,
            stale=events["stale"],
            refreshes=events["refreshes"],
            coalesced=events["coalesced"],
            takeovers=events["takeovers"],
            lease_errors=events["lease_errors"],
            negative_hits=events["negative_hits"],
            stores=events["stores"],
            skipped=sum(skipped.values()),
            skipped_by_reason=skipped,
            invalidated=events["invalidated"],
            quarantined=events["quarantined"],
            uncacheable=uncacheable,
            evictions=evictions,
            errors=errors,
            rested=rested,
            resting=resting,
        )
