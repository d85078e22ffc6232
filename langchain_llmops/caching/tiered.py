"""`TieredCache`: exact answers out of memory first, then out of what lasts longer."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from langchain_llmops.caching.freshness import Freshness
from langchain_llmops.caching.invalidation import Invalidator
from langchain_llmops.caching.lookup import Lookup
from langchain_llmops.caching.operations import CacheOperations
from langchain_llmops.caching.refreshes import Refreshes
from langchain_llmops.caching.tags import TagBook, epoch_names
from langchain_llmops.caching.tiers.managed import ManagedTier
from langchain_llmops.caching.tiers.memory import MemoryTier
from langchain_llmops.caching.values.answers import replay
from langchain_llmops.caching.writing import AnswerWriter
from langchain_llmops.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from langchain_core.outputs import Generation

    from langchain_llmops.caching.base import CacheHit, CacheRequest
    from langchain_llmops.caching.lookup import Found
    from langchain_llmops.caching.stats import CacheStats
    from langchain_llmops.caching.tiers.base import Tier
    from langchain_llmops.pricing import Prices
    from langchain_llmops.types import CacheKind

__all__ = ["TieredCache"]

_REST: Final = timedelta(seconds=5)
_TAG_TTL: Final = timedelta(milliseconds=50)


class TieredCache(CacheOperations):
    """Remember answers by their exact request, in one or more tiers.

    A lookup goes down the tiers and copies what it finds into those above; a store
    writes them all. A tier that fails is skipped for a few seconds, counted, and logged
    once: no method raises because of it. Every hit is made of new objects that the
    caller may change; its usage is zero, its message id `None`, and
    `response_metadata["cache"]` says where it came from and what it saved.

    Give it to `CacheLayer` (streams, scopes and schemas included), or wherever
    LangChain takes a `BaseCache`. Safe across threads and event loops.

    Args:
        tiers: Fastest first; by default one `MemoryTier()`.
        ttl: How long an answer is given after it was stored; by default until it is
            evicted.
        soft_ttl: How long an answer is fresh. After that it is still given at once to
            all who ask, save one: that one is told to fetch a new one
            (`CacheHit.refresh`) and waits for the model, in every mode. There is no
            refresh in the background: a model call that belongs to no caller's run
            would be billed, and missing from traces, budgets and the ledger. So that
            nobody waits, refresh ahead: `warm` inside `cache_scope(max_age=…)`.
        stale_if_error: How long after its ttl an answer is kept for `fallback`, to be
            given when the model fails.
        jitter: Share of both ttls by which they vary, so that answers stored together
            do not expire together.
        prices: What models cost, to say what a hit saved. By default the list prices,
            loaded with the first store of the process: half a second, in a thread on an
            event loop.
        tag_ttl: How soon an invalidation by another process is seen. An answer with
            tags or a scope is checked against the shared tier that often.
        clock: Seconds since the epoch.
        rng: A number in [0, 1) for the jitter.

    Raises:
        ConfigurationError: There is no tier, or a time or `jitter` is out of range.

    Example:
        ```python
        from langchain_core.language_models import FakeListChatModel
        from langchain_llmops import TieredCache

        cache = TieredCache()
        model = FakeListChatModel(responses=["4"], cache=cache)
        model.invoke("2 + 2 = ?")
        assert model.invoke("2 + 2 = ?").response_metadata["cache"]["hit"]
        ```
    """

    def __init__(
        self,
        tiers: Sequence[Tier] | None = None,
        *,
        ttl: timedelta | None = None,
        soft_ttl: timedelta | None = None,
        stale_if_error: timedelta | None = None,
        jitter: float = 0.1,
        prices: Prices | None = None,
        tag_ttl: timedelta = _TAG_TTL,
        clock: Callable[[], float] = time.time,
        rng: Callable[[], float] = random.random,
    ) -> None:
        if tiers is not None and not tiers:
            raise ConfigurationError(
                "tiers=[] keeps nothing: name at least one tier, or leave it out"
            )
        if tag_ttl < timedelta(0):
            raise ConfigurationError(f"tag_ttl={tag_ttl!r} must not be negative")
        self._freshness = Freshness.of(
            ttl=ttl, soft_ttl=soft_ttl, stale_if_error=stale_if_error, jitter=jitter
        )
        self._tiers = [
            ManagedTier(tier, rest=_REST, clock=clock)
            for tier in (tiers or [MemoryTier()])
        ]
        self._tags = TagBook(
            self._tiers,
            stand_in=ManagedTier(MemoryTier(), rest=_REST, clock=clock),
            ttl_s=tag_ttl.total_seconds(),
        )
        super().__init__(Invalidator(self._tiers, self._tags, clock=clock))
        self._prices = prices
        self._clock = clock
        self._lookup = Lookup(self._tiers, self._tags, self.counter)
        self._writer = AnswerWriter(self._freshness, self.counter, rng)
        self._refreshes = Refreshes()

    @property
    def path(self) -> Path | None:
        """The file of the first tier that has one: what belongs to it may go there."""
        paths = (getattr(tier.tier, "path", None) for tier in self._tiers)
        return next((path for path in paths if path is not None), None)

    def get(self, request: CacheRequest) -> CacheHit | None:
        """Return the answer to a request, or `None`."""
        self._asked(request)
        now = self._clock()
        found = self._lookup.find(request.key, now, request.max_age_s)
        hit = self._given(found, request.key, now, again=request.again)
        if hit is None and (names := epoch_names(request)):
            if due := self._tags.due(names, now):
                self._tags.read(due, now)
            self._tags.opened(request.key, names)
        return hit

    async def aget(self, request: CacheRequest) -> CacheHit | None:
        """Return what `get` returns; never blocks the event loop."""
        self._asked(request)
        now = self._clock()
        found = await self._lookup.afind(request.key, now, request.max_age_s)
        hit = self._given(found, request.key, now, again=request.again)
        if hit is None and (names := epoch_names(request)):
            if due := self._tags.due(names, now):
                await self._tags.aread(due, now)
            self._tags.opened(request.key, names)
        return hit

    def put(self, request: CacheRequest, generations: Sequence[Generation]) -> bool:
        """Remember an answer in every tier.

        Returns:
            `False` if it must not be stored (empty, cut, withheld), cannot be, or every
            tier failed.
        """
        now = self._clock()
        names = epoch_names(request)
        if due := self._tags.due(names, now):
            self._tags.read(due, now)
        entry = self._writer.entry(
            request,
            generations,
            prices=self._prices or _list_prices(),
            epochs=self._tags.closed(request.key, names),
            now=now,
        )
        if entry is None:
            return False
        kept = [tier.set(request.key, entry, now) for tier in self._tiers]
        return self._stored(request.key, any(kept))

    async def aput(
        self, request: CacheRequest, generations: Sequence[Generation]
    ) -> bool:
        """Remember an answer as `put` does; never blocks the event loop."""
        now = self._clock()
        names = epoch_names(request)
        if due := self._tags.due(names, now):
            await self._tags.aread(due, now)
        if self._prices is None:
            self._prices = await asyncio.to_thread(_list_prices)
        entry = self._writer.entry(
            request,
            generations,
            prices=self._prices,
            epochs=self._tags.closed(request.key, names),
            now=now,
        )
        if entry is None:
            return False
        kept = [await tier.aset(request.key, entry, now) for tier in self._tiers]
        return self._stored(request.key, any(kept))

    def fetch(
        self,
        key: str,
        *,
        kind: CacheKind = "exact",
        similarity: float | None = None,
        max_age_s: float | None = None,
    ) -> CacheHit | None:
        """Return the answer stored under a key, or `None`.

        Args:
            key: The `key` of the request that it was stored for.
            kind: What the hit is marked as.
            similarity: How alike the questions are, for a semantic hit.
            max_age_s: Seconds that the answer may be old; `None` sets no bound.
        """
        now = self._clock()
        found = self._lookup.find(key, now, max_age_s)
        return self._given(found, key, now, kind=kind, similarity=similarity)

    async def afetch(
        self,
        key: str,
        *,
        kind: CacheKind = "exact",
        similarity: float | None = None,
        max_age_s: float | None = None,
    ) -> CacheHit | None:
        """Return what `fetch` returns; never blocks the event loop."""
        now = self._clock()
        found = await self._lookup.afind(key, now, max_age_s)
        return self._given(found, key, now, kind=kind, similarity=similarity)

    def fallback(self, request: CacheRequest) -> CacheHit | None:
        """Return an answer that expired, now that the model failed, or `None`.

        Only within `stale_if_error`, and never one that was invalidated or is older
        than the caller takes.
        """
        if not self._freshness.stale_if_error_s:
            return None
        now = self._clock()
        found = self._lookup.find(request.key, now, request.max_age_s)
        return self._instead(found, request, now)

    async def afallback(self, request: CacheRequest) -> CacheHit | None:
        """Return what `fallback` returns; never blocks the event loop."""
        if not self._freshness.stale_if_error_s:
            return None
        now = self._clock()
        found = await self._lookup.afind(request.key, now, request.max_age_s)
        return self._instead(found, request, now)

    def clear(self, **kwargs: Any) -> None:
        """Forget every answer in every tier; keyword arguments are ignored."""
        del kwargs
        self.failures.clear()
        for tier in self._tiers:
            tier.clear()
        with suppress(StorageError):
            self._invalidator.tell()

    async def aclear(self, **kwargs: Any) -> None:
        """Forget every answer as `clear` does; never blocks the event loop."""
        del kwargs
        self.failures.clear()
        for tier in self._tiers:
            await tier.aclear()
        with suppress(StorageError):
            await self._invalidator.atell()

    def close(self) -> None:
        """Release what the tiers hold open; lasting answers stay."""
        for tier in self._tiers:
            tier.tier.close()

    def stats(self) -> CacheStats:
        """Return what this cache and its layers did since it was made."""
        now = self._clock()
        return self.counter.snapshot(
            uncacheable=self.uncacheable,
            evictions={tier.name: tier.tier.evictions for tier in self._tiers},
            errors={tier.name: tier.errors for tier in self._tiers},
            rested={tier.name: tier.rested for tier in self._tiers},
            resting=tuple(tier.name for tier in self._tiers if tier.resting(now)),
        )

    def _given(
        self,
        found: Found | None,
        key: str,
        now: float,
        *,
        kind: CacheKind = "exact",
        similarity: float | None = None,
        instead: bool = False,
        again: bool = False,
    ) -> CacheHit | None:
        """Return what was found as a hit, if it may be given.

        Instead of a model that failed, an expired answer may; to a caller who looks
        again, because another call ended, only what that one brought.
        """
        if found is None or (found.verdict == "expired" and not instead):
            return None
        stale = found.verdict != "fresh"
        if stale and again:
            return None
        hit = replay(
            found.answer,
            kind=kind,
            tier=found.tier,
            similarity=similarity,
            hit_id=key,
            now=now,
            stale=stale,
            refresh=stale and not instead and self._refreshes.begin(key, now),
        )
        if hit.refresh:
            # Given only if the model fails; who gives it counts it then.
            self.counter.add("refreshes")
        else:
            self.counter.hit(hit.mark, stale=stale)
        if again:
            self.counter.add("coalesced")
        return hit

    def _instead(
        self, found: Found | None, request: CacheRequest, now: float
    ) -> CacheHit | None:
        age, bound = 0.0, request.max_age_s
        if found is not None:
            age = now - found.answer.stored_at
        if bound is not None and age > bound:
            return None
        return self._given(found, request.key, now, instead=True)

    def _asked(self, request: CacheRequest) -> None:
        if not request.again:
            self.counter.add("requests")
            self._hot.add(request.key, request.question)

    def _stored(self, key: str, kept: bool) -> bool:  # noqa: FBT001 - private
        if kept:
            self._refreshes.end(key)
            self.counter.add("stores")
        return kept


def _list_prices() -> Prices:
    # Here: half a second to load, and a tenth of the import of this module.
    from langchain_llmops.pricing.prices import default_prices  # noqa: PLC0415

    return default_prices()
