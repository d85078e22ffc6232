"""TieredCache is a `BaseCache` to the letter, whatever tiers it has."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from langchain_tests.integration_tests.cache import (
    AsyncCacheTestSuite,
    SyncCacheTestSuite,
)

from langchain_llmops.caching import MemoryTier, SQLiteTier, TieredCache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["memory", "sqlite", "memory over sqlite"])
def tiered(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TieredCache]:
    kinds = {
        "memory": lambda: [MemoryTier()],
        "sqlite": lambda: [SQLiteTier(tmp_path / "cache.db")],
        "memory over sqlite": lambda: [
            MemoryTier(),
            SQLiteTier(tmp_path / "cache.db"),
        ],
    }
    with closing(TieredCache(kinds[request.param]())) as cache:
        yield cache


class TestTieredCache(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, tiered: TieredCache) -> TieredCache:
        return tiered


class TestAsyncTieredCache(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, tiered: TieredCache) -> TieredCache:
        return tiered
