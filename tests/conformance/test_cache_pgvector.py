"""LangChain's standard cache suites on `SemanticCache` over PostgreSQL."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_tests.integration_tests.cache import (
    AsyncCacheTestSuite,
    SyncCacheTestSuite,
)

from langchain_llmops.caching import PgVectorQuestions, SemanticCache

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def shared(postgres: str) -> Iterator[SemanticCache]:
    questions = PgVectorQuestions(postgres, timeout_s=10)
    embeddings = DeterministicFakeEmbedding(size=64)
    with closing(SemanticCache(embeddings, questions=questions)) as cache:
        yield cache
        assert questions.counts().errors == 0


class TestPgVectorCache(SyncCacheTestSuite):
    @pytest.fixture
    def cache(self, shared: SemanticCache) -> SemanticCache:
        return shared


class TestAsyncPgVectorCache(AsyncCacheTestSuite):
    @pytest.fixture
    async def cache(self, shared: SemanticCache) -> SemanticCache:
        return shared
