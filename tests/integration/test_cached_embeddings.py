"""CachedEmbeddings in front of OpenAI's client: the invoice says what was paid."""

from __future__ import annotations

import asyncio
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from langchain_openai import OpenAIEmbeddings
from openai import DefaultAsyncHttpxClient
from pydantic import SecretStr

from langchain_llmops.caching import (
    CachedEmbeddings,
    MemoryTier,
    RedisTier,
    SQLiteTier,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from langchain_llmops.caching import Tier
    from langchain_llmops.testing import LocalProvider

TEXTS = ["Tea is steeped.", "Coffee is brewed.", "", "Tea is steeped."]


def openai(
    provider: LocalProvider, http: DefaultAsyncHttpxClient | None = None
) -> OpenAIEmbeddings:
    return OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=provider.base_url,
        api_key=SecretStr("local"),
        http_async_client=http,
        check_embedding_ctx_length=False,
    )


@pytest.fixture(params=["memory", "sqlite", "redis"])
def open_tier(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Tier]:
    """Open the same tier again and again."""
    if request.param == "sqlite":
        return lambda: SQLiteTier(tmp_path / "cache.db")
    if request.param == "redis":
        url = request.getfixturevalue("valkey")
        return lambda: RedisTier(url)
    memory = MemoryTier()
    return lambda: memory


def test_the_second_run_is_not_billed(
    provider: LocalProvider, open_tier: Callable[[], Tier]
):
    async def again(tier: Tier) -> tuple[list[list[float]], list[float]]:
        async with DefaultAsyncHttpxClient() as http:
            embeddings = CachedEmbeddings(openai(provider, http), tier)
            question = await embeddings.aembed_query("Tea?")
            return await embeddings.aembed_documents(TEXTS), question

    bare = openai(provider)
    expected = bare.embed_documents(TEXTS), bare.embed_query("Tea?")
    before = len(provider.invoice)
    with closing(open_tier()) as tier:
        embeddings = CachedEmbeddings(bare, tier)
        first = embeddings.embed_documents(TEXTS), embeddings.embed_query("Tea?")
    billed = len(provider.invoice)
    assert billed == before + 2
    with closing(open_tier()) as tier:
        assert first == expected == asyncio.run(again(tier))
    assert len(provider.invoice) == billed


def test_a_thousand_documents_take_a_few_round_trips(
    provider: LocalProvider, valkey: str
):
    redis = pytest.importorskip("redis")
    texts = [f"Document {number}" for number in range(1_000)]
    with (
        closing(RedisTier(valkey, timeout_s=5)) as tier,
        redis.Redis.from_url(valkey) as raw,
    ):
        embeddings = CachedEmbeddings(openai(provider), tier)
        made = embeddings.embed_documents(texts)
        raw.config_resetstat()
        assert embeddings.embed_documents(texts) == made
        assert raw.info("commandstats")["cmdstat_mget"]["calls"] == 8
        assert raw.info("commandstats").keys().isdisjoint({"cmdstat_get"})
    assert embeddings.stats().hits == embeddings.stats().stores == 1_000
