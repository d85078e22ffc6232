"""`TieredCache`: exact answers out of memory first, then out of what lasts longer."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from langchain_llmops.caching.answers import replay, stored_answer
from langchain_llmops.caching.codec import CodecError, decode, encode
from langchain_llmops.caching.guarded_tier import GuardedTier
from langchain_llmops.caching.memory_tier import MemoryTier
from langchain_llmops.caching.request_cache import RequestCache
from langchain_llmops.caching.stats import CacheCounter, CacheStats
from langchain_llmops.caching.storable import is_storable
from langchain_llmops.caching.tier import Entry
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing.prices import default_prices

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from langchain_core.outputs import Generation

    from langchain_llmops.caching.base import CacheHit, CacheRequest
    from langchain_llmops.caching.tier import Tier
    from langchain_llmops.pricing import Prices
    from langchain_llmops.types import CacheKind

__all__ = ["TieredCache"]

logger = logging.getLogger(__name__)

_REST: Final = timedelta(seconds=5)


class TieredCache(RequestCache):
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
        jitter: Share of the ttl by which it varies, so that answers stored together do
            not expire together.
        prices: What models cost, to say what a hit saved. By default the list prices,
            loaded with the first store of the process: half a second, in a thread on an
            event loop.
        clock: Seconds since the epoch.
        rng: A number in [0, 1) for the jitter.

    Raises:
        ConfigurationError: There is no tier, or `ttl` or `jitter` is out of range.

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
        jitter: float = 0.1,
        prices: Prices | None = None,
        clock: Callable[[], float] = time.time,
        rng: Callable[[], float] = random.random,
    ) -> None:
        super().__init__()
        if tiers is not None and not tiers:
            raise ConfigurationError(
                "tiers=[] keeps nothing: name at least one tier, or leave it out"
            )
        if ttl is not None and ttl <= timedelta(0):
            raise ConfigurationError(
                f"ttl={ttl!r} is over at once: give a positive one"
            )
        if not 0 <= jitter < 1:
            raise ConfigurationError(f"jitter={jitter!r} must be in [0, 1), e.g. 0.1")
        self._tiers = [
            GuardedTier(tier, rest=_REST, clock=clock)
            for tier in (tiers or [MemoryTier()])
        ]
        self._ttl_s = None if ttl is None else ttl.total_seconds()
        self._jitter = jitter
        self._prices = prices
        self._clock = clock
        self._rng = rng
        self._counter = CacheCounter()
        self._told = False

    @property
    def path(self) -> Path | None:
        """The file of the first tier that has one: what belongs to it may go there."""
        paths = (getattr(tier.tier, "path", None) for tier in self._tiers)
        return next((path for path in paths if path is not None), None)

    def get(self, request: CacheRequest) -> CacheHit | None:
        """Return the answer to a request, or `None`."""
        hit = self.fetch(request.key)
        if hit is None:
            self._counter.add("misses")
        return hit

    async def aget(self, request: CacheRequest) -> CacheHit | None:
        """Return what `get` returns; never blocks the event loop."""
        hit = await self.afetch(request.key)
        if hit is None:
            self._counter.add("misses")
        return hit

    def put(self, request: CacheRequest, generations: Sequence[Generation]) -> bool:
        """Remember an answer in every tier.

        Returns:
            `False` if it must not be stored (empty, cut, withheld), cannot be, or every
            tier failed.
        """
        now = self._clock()
        prices = self._prices or default_prices()
        entry = self._entry(request, generations, prices, now)
        if entry is None:
            return False
        kept = [tier.set(request.key, entry, now) for tier in self._tiers]
        return self._stored(any(kept))

    async def aput(
        self, request: CacheRequest, generations: Sequence[Generation]
    ) -> bool:
        """Remember an answer as `put` does; never blocks the event loop."""
        now = self._clock()
        if self._prices is None:
            self._prices = await asyncio.to_thread(default_prices)
        entry = self._entry(request, generations, self._prices, now)
        if entry is None:
            return False
        kept = [await tier.aset(request.key, entry, now) for tier in self._tiers]
        return self._stored(any(kept))

    def fetch(
        self, key: str, *, kind: CacheKind = "exact", similarity: float | None = None
    ) -> CacheHit | None:
        """Return the answer stored under a key, or `None`.

        Args:
            key: The `key` of the request that it was stored for.
            kind: What the hit is marked as.
            similarity: How alike the questions are, for a semantic hit.
        """
        now = self._clock()
        for depth, tier in enumerate(self._tiers):
            entry = tier.get(key, now)
            if entry is None:
                continue
            hit = self._hit(tier, key, entry, kind, similarity, now)
            if hit is not None:
                for above in self._tiers[:depth]:
                    above.set(key, entry, now)
                return hit
        return None

    async def afetch(
        self, key: str, *, kind: CacheKind = "exact", similarity: float | None = None
    ) -> CacheHit | None:
        """Return what `fetch` returns; never blocks the event loop."""
        now = self._clock()
        for depth, tier in enumerate(self._tiers):
            entry = await tier.aget(key, now)
            if entry is None:
                continue
            hit = self._hit(tier, key, entry, kind, similarity, now)
            if hit is not None:
                for above in self._tiers[:depth]:
                    await above.aset(key, entry, now)
                return hit
        return None

    def clear(self, **kwargs: Any) -> None:
        """Forget every answer in every tier; keyword arguments are ignored."""
        del kwargs
        for tier in self._tiers:
            tier.clear()

    async def aclear(self, **kwargs: Any) -> None:
        """Forget every answer as `clear` does; never blocks the event loop."""
        del kwargs
        for tier in self._tiers:
            await tier.aclear()

    def close(self) -> None:
        """Release what the tiers hold open; lasting answers stay."""
        for tier in self._tiers:
            tier.tier.close()

    def stats(self) -> CacheStats:
        """Return what this cache did since it was made."""
        return self._counter.snapshot(
            uncacheable=self.uncacheable,
            evictions={tier.name: tier.tier.evictions for tier in self._tiers},
            errors={tier.name: tier.errors for tier in self._tiers},
            rested={tier.name: tier.rested for tier in self._tiers},
        )

    def _hit(
        self,
        tier: GuardedTier,
        key: str,
        entry: Entry,
        kind: CacheKind,
        similarity: float | None,
        now: float,
    ) -> CacheHit | None:
        try:
            answer = decode(entry.value)
        except CodecError as error:
            tier.damaged(error)
            return None
        self._counter.hit(kind, tier.name)
        return replay(
            answer,
            kind=kind,
            tier=tier.name,
            similarity=similarity,
            hit_id=key,
            now=now,
        )

    def _entry(
        self,
        request: CacheRequest,
        generations: Sequence[Generation],
        prices: Prices,
        now: float,
    ) -> Entry | None:
        try:
            if not is_storable(generations):
                self._counter.add("skipped")
                return None
            answer = stored_answer(
                generations, model=request.model, prices=prices, now=now
            )
            value = encode(answer)
        except Exception as error:  # noqa: BLE001 - a paid answer is not lost to it
            self._counter.add("skipped")
            self._tell(error)
            return None
        return Entry(value, self._expiry(now))

    def _tell(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            logger.warning(
                "an answer was not cached (%s: %s). Further ones are only counted in "
                "stats().skipped.",
                type(error).__name__,
                error,
            )

    def _expiry(self, now: float) -> float | None:
        if self._ttl_s is None:
            return None
        return now + self._ttl_s * (1 + self._jitter * (2 * self._rng() - 1))

    def _stored(self, kept: bool) -> bool:  # noqa: FBT001 - private
        if kept:
            self._counter.add("stores")
        return kept
