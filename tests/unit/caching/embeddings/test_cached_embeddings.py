from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings

from langchain_llmops.caching import CachedEmbeddings, Entry, MemoryTier, SQLiteTier
from langchain_llmops.errors import ConfigurationError

MODES = ["sync", "async"]


class Counting(Embeddings):
    """Embed a text as its length and hash; questions are told apart from documents."""

    def __init__(self) -> None:
        self.documents: list[list[str]] = []
        self.queries: list[str] = []
        self.awaited = 0
        self.error: Exception | None = None

    def vector(self, text: str, sign: float = 1) -> list[float]:
        return [sign * len(text), hash(text) / 7, 0.1]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.documents.append(texts)
        if self.error:
            raise self.error
        return [self.vector(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        self.queries.append(text)
        if self.error:
            raise self.error
        return self.vector(text, -1)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        self.awaited += 1
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        self.awaited += 1
        return self.embed_query(text)


@pytest.fixture
def model() -> Counting:
    return Counting()


def cached(model: Embeddings, tier: Any = None, **options: Any) -> CachedEmbeddings:
    return CachedEmbeddings(model, tier, namespace="counting", **options)


async def documents(
    mode: str, embeddings: CachedEmbeddings, *texts: str
) -> list[list[float]]:
    if mode == "sync":
        return embeddings.embed_documents([*texts])
    return await embeddings.aembed_documents([*texts])


async def query(mode: str, embeddings: CachedEmbeddings, text: str) -> list[float]:
    if mode == "sync":
        return embeddings.embed_query(text)
    return await embeddings.aembed_query(text)


@pytest.mark.parametrize("mode", MODES)
async def test_only_unknown_texts_are_embedded_each_once_in_one_call(
    mode: str, model: Counting
):
    embeddings = cached(model)
    await documents(mode, embeddings, "a", "b")
    made = await documents(mode, embeddings, "c", "a", "d", "c", "", "a", "c")
    assert made == [model.vector(text) for text in ("c", "a", "d", "c", "", "a", "c")]
    assert model.documents == [["a", "b"], ["c", "d", ""]]
    assert model.awaited == (2 if mode == "async" else 0)
    stats = embeddings.stats()
    assert (stats.hits, stats.misses, stats.repeats) == (1, 5, 3)
    assert (stats.stores, stats.errors, stats.rested) == (5, 0, 0)


@given(st.lists(st.lists(st.sampled_from(["", "a", "b", "c", "dd"]) | st.text())))
def test_a_cached_result_equals_the_models_whatever_was_asked_before(
    calls: list[list[str]],
):
    model = Counting()
    embeddings = cached(model, MemoryTier(max_entries=3))
    for texts in calls:
        made = embeddings.embed_documents(texts)
        assert made == [model.vector(text) for text in texts]
        assert [embeddings.embed_query(text) for text in texts] == [
            model.vector(text, -1) for text in texts
        ]


@pytest.mark.parametrize("mode", MODES)
async def test_questions_are_kept_apart_from_documents(mode: str, model: Counting):
    embeddings = cached(model)
    await documents(mode, embeddings, "a")
    for _ in range(2):
        assert await query(mode, embeddings, "a") == model.vector("a", -1)
    assert model.queries == ["a"]
    assert await documents(mode, embeddings, "a") == [model.vector("a")]


@pytest.mark.parametrize("mode", MODES)
async def test_a_symmetric_model_shares_them(mode: str, model: Counting):
    embeddings = cached(model, symmetric=True)
    await documents(mode, embeddings, "a")
    assert await query(mode, embeddings, "a") == model.vector("a")
    await query(mode, embeddings, "b")
    await documents(mode, embeddings, "b")
    assert (model.documents, model.queries) == ([["a"]], ["b"])


@pytest.mark.parametrize("mode", MODES)
async def test_questions_need_not_be_cached(mode: str, model: Counting):
    embeddings = cached(model, query=False)
    for _ in range(2):
        assert await query(mode, embeddings, "a") == model.vector("a", -1)
    assert model.queries == ["a", "a"]
    assert embeddings.stats().misses == 0


@pytest.mark.parametrize("mode", MODES)
async def test_nothing_asks_nobody(mode: str, model: Counting):
    assert await documents(mode, cached(model)) == []
    assert model.documents == []


async def test_what_a_caller_does_to_a_result_stays_with_him(model: Counting):
    embeddings = cached(model)
    for _ in range(2):
        one, other = embeddings.embed_documents(["a", "a"])
        one.clear()
        assert other == model.vector("a")


@pytest.mark.parametrize("mode", MODES)
async def test_an_error_of_the_model_is_the_callers_and_nothing_is_kept(
    mode: str, model: Counting
):
    tier = MemoryTier()
    embeddings = cached(model, tier)
    model.error = RuntimeError("the model is down")
    with pytest.raises(RuntimeError) as caught:
        await documents(mode, embeddings, "a")
    assert caught.value is model.error
    with pytest.raises(RuntimeError):
        await query(mode, embeddings, "a")
    assert len(tier) == 0


@pytest.mark.parametrize("mode", MODES)
async def test_too_few_embeddings_are_refused(mode: str, model: Counting):
    model.vector = lambda text: [0.0]  # type: ignore[assignment,method-assign,misc]
    plain = model.embed_documents
    model.embed_documents = lambda texts: plain(texts)[1:]  # type: ignore[method-assign]
    tier = MemoryTier()
    with pytest.raises(ConfigurationError, match="1 embeddings for 2 texts"):
        await documents(mode, cached(model, tier), "a", "b")
    assert len(tier) == 0


@pytest.mark.parametrize("mode", MODES)
async def test_a_lost_tier_costs_embeddings_not_calls(
    mode: str, model: Counting, broken_tier: Any, clock: Any
):
    embeddings = cached(model, broken_tier, clock=clock)
    for _ in range(2):
        assert await documents(mode, embeddings, "a") == [model.vector("a")]
    stats = embeddings.stats()
    assert (stats.errors, stats.rested, stats.stores) == (1, 3, 0)
    broken_tier.broken = False
    clock.now += 6
    for _ in range(2):
        await documents(mode, embeddings, "a")
    assert embeddings.stats().hits == 1


@pytest.mark.parametrize("value", [b"", b"garbage"])
def test_a_damaged_value_is_embedded_again_and_replaced(model: Counting, value: bytes):
    tier = MemoryTier()
    embeddings = cached(model, tier)
    embeddings.embed_documents(["a"])
    (key,) = tier._entries
    tier.set(key, Entry(value, None), 0.0)
    for _ in range(2):
        assert embeddings.embed_documents(["a"]) == [model.vector("a")]
    stats = embeddings.stats()
    assert (stats.errors, stats.rested, stats.hits) == (1, 0, 1)


def test_what_cannot_be_stored_is_handed_on(model: Counting):
    odd: Any = [["no number"]]
    model.embed_documents = lambda texts: odd  # type: ignore[method-assign]
    embeddings = cached(model)
    assert embeddings.embed_documents(["a"]) == odd
    assert (embeddings.stats().stores, embeddings.stats().errors) == (0, 1)


def test_an_embedding_lives_for_its_ttl(model: Counting, clock: Any):
    embeddings = cached(model, ttl=timedelta(seconds=60), clock=clock)
    for now in (1_000.0, 1_059.0, 1_060.0):
        clock.now = now
        embeddings.embed_documents(["a"])
    assert model.documents == [["a"], ["a"]]


def test_a_file_remembers_for_the_next_process(model: Counting, tmp_path: Any):
    for _ in range(2):
        tier = SQLiteTier(tmp_path / "cache.db")
        made = cached(model, tier).embed_documents(["a", "b", "a"])
        assert made == [model.vector(text) for text in "aba"]
        tier.close()
    assert model.documents == [["a", "b"]]


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-1)])
def test_a_ttl_that_is_over_is_refused(model: Counting, ttl: timedelta):
    with pytest.raises(ConfigurationError, match="ttl="):
        cached(model, ttl=ttl)


def test_a_model_that_cannot_be_told_shares_with_no_other(model: Counting, caplog):
    tier = MemoryTier()
    first, second = CachedEmbeddings(model, tier), CachedEmbeddings(model, tier)
    for cache in (first, first, second):
        cache.embed_documents(["a"])
    assert model.documents == [["a"], ["a"]]
    assert caplog.text.count("namespace=") == 2


def test_a_private_tier_needs_no_warning(model: Counting, caplog):
    CachedEmbeddings(model).embed_documents(["a"])
    assert not caplog.records
