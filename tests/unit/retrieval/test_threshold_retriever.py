"""ThresholdRetriever: what it returns, keeps, shares and forgets."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from operator import attrgetter

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import BaseDocumentCompressor, Document
from langchain_core.embeddings import Embeddings
from langchain_core.runnables import ConfigurableField

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.retrieval import (
    FaissStore,
    RetrievalCache,
    ThresholdRetriever,
)
from langchain_llmops.types import GenerationSource

pages = attrgetter("page_content")


class Counting(FaissStore):
    """Counts searches, and may hold them up or fail them."""

    def __init__(self, embeddings):
        super().__init__(embeddings)
        self.searches = []
        self.gate = None
        self.agate = None
        self.failures = 0
        self.during = lambda: None

    def similarity_search_with_score_by_vector(self, embedding, k=4, **kwargs):
        if self.gate:
            self.gate.wait(5)
        self.searches.append(tuple(embedding))
        self.during()
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the store is down")
        return super().similarity_search_with_score_by_vector(embedding, k, **kwargs)

    async def asimilarity_search_with_score(self, query, k=4, **kwargs):
        if self.agate:
            await self.agate.wait()
        return await super().asimilarity_search_with_score(query, k, **kwargs)


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(embeddings):
    store = Counting(embeddings)
    store.add_texts(
        ["1 0 a", "4 3 b", "0 1 c"], [{"n": 1}, {"n": 2}, {"n": 3}], ids=list("abc")
    )
    return store


@pytest.fixture
def retriever(store, clock):
    return ThresholdRetriever(store, clock=clock)


# What comes back


def test_documents_carry_their_cosine_and_the_version_of_the_store(retriever, store):
    found = retriever.invoke("1 0")
    assert [d.id for d in found] == ["a", "b"]
    assert [d.metadata["score"] for d in found] == pytest.approx([1.0, 0.8])
    assert {d.metadata["store_version"] for d in found} == {store.generation}
    assert "score" not in store.get_by_ids(["a"])[0].metadata


def test_a_call_may_ask_for_its_own_k_threshold_and_filter(retriever):
    assert len(retriever.invoke("1 0", k=1)) == 1
    assert len(retriever.invoke("1 0", threshold=-1.0)) == 3
    assert [d.id for d in retriever.invoke("1 0", filter={"n": [2, 3]})] == ["b"]
    assert len(retriever.invoke("1 0")) == 2


async def test_both_sides_return_the_same(store):
    for cache in (True, False):
        retriever = ThresholdRetriever(store, cache=cache)
        assert await retriever.ainvoke("1 0") == retriever.invoke("1 0")
        assert [len(found) for found in await retriever.abatch(["1 0", "0 1"])] == [
            2,
            1,
        ]


def test_what_a_search_does_not_know_is_refused(retriever):
    with pytest.raises(TypeError, match="top_k"):
        retriever.invoke("1 0", top_k=3)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"k": 0}, "k=0: use 1 or more"),
        ({"fetch_k": 0}, "fetch_k=0"),
        ({"threshold": 70}, "threshold=70.0 is no cosine"),
        ({"ttl": 0}, "ttl=0.*cache=False"),
        ({"max_entries": 0}, "max_entries=0"),
        ({"near_duplicates": 1.2}, "near_duplicates=1.2"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(store, fields, says):
    with pytest.raises(ConfigurationError, match=says):
        ThresholdRetriever(store, **fields)


def test_a_single_call_is_checked_too(retriever):
    with pytest.raises(ConfigurationError, match="k=0"):
        retriever.invoke("1 0", k=0)
    with pytest.raises(ConfigurationError, match="threshold=2"):
        retriever.invoke("1 0", threshold=2)


# The cache


def test_an_equal_question_is_answered_without_a_search(retriever, store):
    first = retriever.invoke("1 0")
    assert retriever.invoke("  1\n0 ") == first
    assert store.searches == [(1, 0)]
    stats = retriever.cache.stats()
    assert (stats.hits, stats.misses, stats.entries) == (1, 1, 1)


async def test_both_sides_share_the_cache(retriever, store):
    retriever.invoke("1 0")
    await retriever.ainvoke("1 0")
    assert len(store.searches) == 1


def test_no_answer_is_an_answer(retriever, store):
    assert retriever.invoke("-1 0") == []
    assert retriever.invoke("-1 0") == []
    assert len(store.searches) == 1


def test_all_that_changes_the_answer_is_in_the_key(retriever, store):
    ways = [
        {},
        {"k": 1},
        {"threshold": 0.1},
        {"filter": {"n": 1}},
        {"filter": {"n": True}},
        {"filter": {"n": "1"}},
        {"filter": lambda document: True},
        {"filter": lambda document: False},
    ]
    answers = [retriever.invoke("1 0", **way) for way in ways]
    assert len(store.searches) == len(ways)
    assert [retriever.invoke("1 0", **way) for way in ways] == answers
    assert len(store.searches) == len(ways)


def test_a_filter_that_cannot_be_told_from_others_is_not_cached(retriever, store):
    for _ in range(2):
        retriever.invoke("1 0", filter={"n": {1, 2}})
    assert len(store.searches) == 2


def test_a_change_of_the_store_is_seen_at_once(retriever, store):
    assert isinstance(store, GenerationSource)
    assert len(retriever.invoke("1 0")) == 2
    store.delete(["b"])
    assert [d.id for d in retriever.invoke("1 0")] == ["a"]
    store.add_texts(["1 0 new"], ids=["new"])
    assert {d.id for d in retriever.invoke("1 0")} == {"a", "new"}


def test_what_was_searched_while_the_store_changed_is_not_kept(retriever, store):
    store.during = lambda: store.delete(["b"])
    retriever.invoke("1 0")
    store.during = lambda: None
    assert retriever.cache.stats().entries == 0
    assert [d.id for d in retriever.invoke("1 0")] == ["a"]


@pytest.mark.parametrize("ttl", [60, timedelta(minutes=1)])
def test_an_answer_is_kept_for_its_time(store, clock, ttl):
    retriever = ThresholdRetriever(store, ttl=ttl, clock=clock)
    retriever.invoke("1 0")
    clock.now = 59.9
    retriever.invoke("1 0")
    assert len(store.searches) == 1
    clock.now = 60.0
    retriever.invoke("1 0")
    assert len(store.searches) == 2


def test_without_a_time_an_answer_is_kept(store, clock):
    retriever = ThresholdRetriever(store, ttl=None, clock=clock)
    retriever.invoke("1 0")
    clock.now = 1e9
    retriever.invoke("1 0")
    assert len(store.searches) == 1


def test_the_least_recently_used_leaves_first(store):
    retriever = ThresholdRetriever(store, max_entries=2)
    for query in ("1 0", "0 1", "1 0", "1 1", "1 0", "0 1"):
        retriever.invoke(query)
    assert store.searches == [(1, 0), (0, 1), (1, 1), (0, 1)]
    assert retriever.cache.stats().entries == 2


def test_answers_are_copies(retriever):
    for _ in range(3):
        found = retriever.invoke("1 0")
        assert found[0].metadata["n"] == 1
        found[0].metadata["n"] = "changed"
        found[0].page_content = "changed"
        found.pop()
        assert retriever.invoke("1 0")[0].page_content == "1 0 a"


def test_without_a_cache_every_call_searches(store):
    retriever = ThresholdRetriever(store, cache=False)
    retriever.invoke("1 0")
    retriever.invoke("1 0")
    assert len(store.searches) == 2
    assert retriever.cache is False


def test_a_cache_may_be_shared_and_mixes_nothing_up(store, embeddings):
    other = Counting(embeddings)
    cache = RetrievalCache()
    one, two, three = (
        ThresholdRetriever(store, cache=cache),
        ThresholdRetriever(other, cache=cache),
        ThresholdRetriever(store, cache=cache),
    )
    assert len(one.invoke("1 0")) == 2
    assert two.invoke("1 0") == []
    assert len(three.invoke("1 0")) == 2
    assert len(store.searches) == 1
    cache.clear()
    three.invoke("1 0")
    assert len(store.searches) == 2


def test_what_is_made_of_a_retriever_shares_its_cache_and_sees_its_own_fields(
    retriever, store, embeddings
):
    assert len(retriever.invoke("1 0")) == 2
    strict = retriever.model_copy(update={"threshold": 0.9})
    assert len(strict.invoke("1 0")) == 1
    elsewhere = retriever.model_copy(update={"vectorstore": Counting(embeddings)})
    assert elsewhere.invoke("1 0") == []
    field = retriever.configurable_fields(k=ConfigurableField(id="k"))
    one = {"configurable": {"k": 1}}
    assert [len(field.invoke("1 0", one)) for _ in range(2)] == [1, 1]
    assert len(store.searches) == 3


def test_a_copied_cache_is_empty():
    cache = RetrievalCache(ttl_s=None, max_entries=5)
    cache.put(("q", ()), (Document("x"),))
    for twin in (copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))):
        assert twin.stats().entries == 0
        assert (twin._ttl_s, twin._max_entries) == (float("inf"), 5)


# Several at once


def test_threads_that_ask_the_same_share_one_search(retriever, store):
    store.gate = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(retriever.invoke, "1 0") for _ in range(8)]
        store.gate.set()
        answers = [one.result(5) for one in asked]
    assert store.searches == [(1, 0)]
    assert all(answer == answers[0] for answer in answers)
    assert len({id(answer[0]) for answer in answers}) == 8


async def test_tasks_that_ask_the_same_share_one_search(retriever, store):
    store.agate = asyncio.Event()
    asked = [asyncio.create_task(retriever.ainvoke("1 0")) for _ in range(8)]
    await asyncio.sleep(0)
    store.agate.set()
    answers = await asyncio.gather(*asked)
    assert store.searches == [(1, 0)]
    assert all(answer == answers[0] for answer in answers)


async def test_when_the_one_who_searches_is_cancelled_another_goes_on(retriever, store):
    store.agate = asyncio.Event()
    first = asyncio.create_task(retriever.ainvoke("1 0"))
    await asyncio.sleep(0)
    second = asyncio.create_task(retriever.ainvoke("1 0"))
    await asyncio.sleep(0)
    first.cancel()
    store.agate.set()
    assert len(await second) == 2
    with pytest.raises(asyncio.CancelledError):
        await first
    assert len(retriever.cache.flights.table) == 0


def test_a_failure_reaches_the_caller_and_is_not_kept(retriever, store):
    store.failures = 1
    with pytest.raises(ConnectionError, match="the store is down"):
        retriever.invoke("1 0")
    assert len(retriever.invoke("1 0")) == 2


# Near duplicates


class Topics(Embeddings):
    """Questions about tea point one way, about coffee another; words count little."""

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        return [float("tea" in text), float("coffee" in text), 0.01 * len(text.split())]


@pytest.fixture
def topics():
    store = Counting(Topics())
    store.add_texts(["tea", "coffee"])
    return store


@pytest.fixture
def near(topics):
    return ThresholdRetriever(topics, near_duplicates=0.97)


def test_a_similar_question_gets_the_documents_of_the_first(near, topics):
    first = near.invoke("how do I brew tea")
    second = near.invoke("how do I brew the tea")
    assert [d.page_content for d in second] == ["tea"]
    assert {d.metadata["score_of"] for d in second} == {"how do I brew tea"}
    assert second[0].metadata["score"] == first[0].metadata["score"]
    assert len(topics.searches) == 1
    near.invoke("how do I brew the tea")
    stats = near.cache.stats()
    assert (stats.hits, stats.near_hits, stats.misses) == (1, 1, 1)


async def test_a_similar_question_is_found_asynchronously_too(near):
    await near.ainvoke("brew tea")
    await near.ainvoke("brewing tea")
    assert near.cache.stats().near_hits == 1


def test_a_question_that_only_looks_alike_is_searched(near, topics):
    near.invoke("is tea healthy")
    near.invoke("is tea not healthy")
    near.invoke("is coffee healthy")
    near.invoke("healthy tea", k=1)
    topics.delete([topics.similarity_search("coffee", k=1)[0].id])
    near.invoke("tea is healthy")
    stats = near.cache.stats()
    assert (stats.near_hits, stats.misses) == (0, 5)


def test_a_similar_question_that_left_the_cache_is_not_found(topics, clock):
    near = ThresholdRetriever(topics, near_duplicates=0.97, clock=clock, max_entries=1)
    near.invoke("tea")
    near.invoke("coffee")
    near.invoke("the tea")
    clock.now = 1000
    near.invoke("some tea")
    near.cache.clear()
    near.invoke("more tea")
    assert near.cache.stats().near_hits == 0


def test_a_shared_cache_hands_similar_answers_only_to_those_who_want_them(topics):
    cache = RetrievalCache()
    near = ThresholdRetriever(topics, near_duplicates=0.97, cache=cache)
    strict = ThresholdRetriever(topics, cache=cache)
    near.invoke("brew tea")
    near.invoke("brewing tea")
    (found,) = strict.invoke("brewing tea")
    assert "score_of" not in found.metadata


def test_a_question_without_a_direction_has_no_neighbours(store):
    near = ThresholdRetriever(store, near_duplicates=0.97, threshold=-1.0)
    assert len(near.invoke("0 0")) == 3
    assert len(near.invoke("0 0 again")) == 3
    assert near.cache.stats().near_hits == 0


def test_similar_questions_need_embeddings(topics, monkeypatch):
    monkeypatch.setattr(Counting, "embeddings", None)
    with pytest.raises(ConfigurationError, match=r"near_duplicates=0.9.*embeddings="):
        ThresholdRetriever(topics, near_duplicates=0.9).invoke("tea")


# Reranking and callbacks


class Reversed(BaseDocumentCompressor):
    """Turns the order round and notes what it was given."""

    seen: list = []  # noqa: RUF012 - a pydantic field

    def compress_documents(self, documents, query, callbacks=None):
        self.seen.append((query, [d.id for d in documents], callbacks))
        return list(reversed(documents))


def test_a_reranker_chooses_among_more_and_only_from_what_reached_it(store):
    reranker = Reversed()
    retriever = ThresholdRetriever(store, k=1, reranker=reranker)
    assert [d.id for d in retriever.invoke("1 0")] == ["b"]
    assert [d.id for d in retriever.invoke("1 0")] == ["b"]
    ((query, given, callbacks),) = reranker.seen
    assert (query, given) == ("1 0", ["a", "b"])
    assert callbacks is not None
    assert retriever.invoke("-1 0") == []
    assert len(reranker.seen) == 1


async def test_a_reranker_works_asynchronously(store):
    retriever = ThresholdRetriever(store, fetch_k=1, k=1, reranker=Reversed())
    assert [d.id for d in await retriever.ainvoke("1 0")] == ["a"]


class Runs(BaseCallbackHandler):
    def __init__(self):
        self.ended = []

    def on_retriever_end(self, documents, **kwargs):
        self.ended.append(len(documents))


def test_a_hit_is_a_run_like_any_other(retriever):
    runs = Runs()
    for _ in range(2):
        retriever.invoke("1 0", {"callbacks": [runs]})
    assert runs.ended == [2, 2]
