"""TieredCache stays a `BaseCache` to the letter on a real Valkey server."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from langchain_tests.integration_tests.cache import (
    AsyncCacheTestSuite,
    SyncCacheTestSuite,
)

from langchain_llmops.caching import MemoryTier, RedisTier, TieredCache

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(params=["redis", "memory over redis"])
def tiered(request: pytest.FixtureRequest, valkey: str) -> Iterator[TieredCache]:
    redis = RedisTier(valkey)
    tiers = [redis] if request.param == "redis" else [MemoryTier(), redis]
    with closing(TieredCache(tiers)) as cache:
        yield cache
        assert cache.stats().errors["redis"] == 0


class TestRedisCache(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, tiered: TieredCache) -> TieredCache:
        return tiered


class TestAsyncRedisCache(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, tiered: TieredCache) -> TieredCache:
        return tiered
