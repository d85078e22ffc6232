"""LangChain's standard cache suites on `SemanticCache`, in memory and over SQLite."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_tests.integration_tests.cache import (
    AsyncCacheTestSuite,
    SyncCacheTestSuite,
)

from langchain_llmops import MemoryTier, SemanticCache, SQLiteTier, TieredCache

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["memory", "sqlite", "both"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SemanticCache]:
    embeddings = DeterministicFakeEmbedding(size=64)
    if request.param == "memory":
        yield SemanticCache(embeddings)
        return
    tiers = [SQLiteTier(tmp_path / "cache.db")]
    if request.param == "both":
        tiers.insert(0, MemoryTier())
    cache = SemanticCache(embeddings, tier=TieredCache(tiers))
    yield cache
    cache.close()


class TestSemanticCache(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, cache: SemanticCache) -> SemanticCache:
        return cache


class TestAsyncSemanticCache(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, cache: SemanticCache) -> SemanticCache:
        return cache
