from __future__ import annotations

import asyncio
import re
import zlib
from datetime import timedelta

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_llmops import (
    CacheLayer,
    MemoryTier,
    SemanticCache,
    SQLiteTier,
    TieredCache,
    cache_scope,
    with_layers,
)
from langchain_llmops.caching.base import CacheRequest
from langchain_llmops.errors import ConfigurationError

ASKED = "How do I sort a list of numbers in Python?"
ALIKE = "In Python, how do I sort a list of numbers?"
OTHER = "Who wrote the play about the prince of Denmark?"


class Words(Embeddings):
    """Questions are as near as they share words."""

    def embed_query(self, text):
        vector = [0.0] * 512
        for word in re.findall(r"\w+", text.lower()):
            vector[zlib.crc32(word.encode()) % 512] += 1.0
        return vector

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


@pytest.fixture(params=["sync", "async"])
def call(request):
    """Call a method of a cache, or its async twin."""

    def sync(cache, name, *args, **kwargs):
        return getattr(cache, name)(*args, **kwargs)

    def on_loop(cache, name, *args, **kwargs):
        return asyncio.run(getattr(cache, f"a{name}")(*args, **kwargs))

    return sync if request.param == "sync" else on_loop


@pytest.fixture(params=["memory", "file"])
def cache(request, tmp_path, clock):
    tiers = [MemoryTier()]
    if request.param == "file":
        tiers.append(SQLiteTier(tmp_path / "cache.db"))
    cache = SemanticCache(Words(), tier=TieredCache(tiers), clock=clock)
    yield cache
    cache.close()


def asks(question, **changes):
    return CacheRequest(
        key=question, partition="p", question=question, model=None, **changes
    )


def answers(text="sorted(numbers)"):
    return [ChatGeneration(message=AIMessage(text))]


def test_an_invalidated_tag_takes_every_wording_with_it(cache, call):
    call(cache, "put", asks(ASKED, tags=("handbook",)), answers())
    call(cache, "put", asks(OTHER), answers("Shakespeare"))
    assert call(cache, "get", asks(ALIKE)) is not None
    assert call(cache, "invalidate", ["handbook"]).entries is None
    assert call(cache, "get", asks(ASKED, tags=("handbook",))) is None
    assert call(cache, "get", asks(ALIKE)) is None
    assert call(cache, "get", asks(f"{OTHER} ")) is not None
    assert (cache.stats().entries, cache.stats().lost) == (1, 1)


def test_an_invalidated_scope_takes_every_wording_with_it(cache, call):
    call(cache, "put", asks(ASKED, namespace='"acme"'), answers())
    call(cache, "invalidate", namespace="acme")
    assert call(cache, "get", asks(ALIKE, namespace='"acme"')) is None
    assert cache.stats().entries == 0


def test_what_a_predicate_chooses_leaves_the_index_at_once(cache, call):
    call(cache, "put", asks(ASKED), answers("wrong"))
    call(cache, "put", asks(OTHER), answers("Shakespeare"))
    done = call(cache, "invalidate", predicate=lambda answer: answer.text == "wrong")
    assert (done.entries, cache.stats().entries) == (1, 1)
    assert call(cache, "get", asks(ALIKE)) is None
    assert call(cache, "get", asks(f"{OTHER} ")) is not None


def test_a_dry_run_changes_nothing(cache, call):
    call(cache, "put", asks(ASKED, tags=("handbook",)), answers())
    for choice in ({"tags": ["handbook"]}, {"predicate": lambda answer: True}):
        done = call(cache, "invalidate", **choice, dry_run=True)
        assert (done.entries, done.dry_run) == (1, True)
    assert call(cache, "get", asks(ALIKE)) is not None


def test_a_new_answer_under_an_invalidated_tag_is_served_again(cache, call):
    call(cache, "put", asks(ASKED, tags=("handbook",)), answers("old"))
    call(cache, "invalidate", ["handbook"])
    assert call(cache, "get", asks(ASKED, tags=("handbook",))) is None
    call(cache, "put", asks(ASKED, tags=("handbook",)), answers("new"))
    assert call(cache, "get", asks(ALIKE)).generations[0].text == "new"


def test_an_answer_missing_long_after_an_invalidation_gets_its_grace(
    cache, call, clock
):
    call(cache, "invalidate", ["nothing"])
    clock.now += 31
    call(cache, "put", asks(ASKED), answers())
    cache.tier.clear()
    assert call(cache, "get", asks(ALIKE)) is None
    assert cache.stats().entries == 1


def test_a_store_that_cannot_invalidate_says_so(call):
    class Store:
        """An `AnswerStore`, and no more."""

        def __repr__(self):
            return "Store()"

    cache = SemanticCache(Words(), tier=Store())
    with pytest.raises(ConfigurationError, match=r"tier=Store\(\) cannot invalidate"):
        call(cache, "invalidate", ["handbook"])


def test_a_question_is_hot_in_all_its_wordings(cache, call):
    call(cache, "get", asks(ASKED))
    call(cache, "put", asks(ASKED), answers())
    for _ in range(3):
        call(cache, "get", asks(ALIKE))
    call(cache, "get", asks(ASKED))
    call(cache, "get", asks(OTHER))
    hot = [(question.text, question.count) for question in cache.hot(5)]
    assert hot == [(ASKED, 5), (OTHER, 1)]
    assert len(cache.hot(1)) == 1
    cache.clear()
    assert cache.hot() == []


def test_a_second_look_of_one_call_is_no_request_of_its_own(cache, call):
    call(cache, "get", asks(ASKED))
    call(cache, "get", CacheRequest(
        key=ASKED, partition="p", question=None, model=None, again=True
    ))  # fmt: skip
    assert [question.count for question in cache.hot()] == [1]
    assert cache.stats().bypassed == 0


def test_warming_asks_only_what_no_wording_has_answered(cache, call, counting):
    model = counting("sorted(numbers)")
    layered = with_layers(model, CacheLayer(cache))
    layered.invoke(ASKED)
    report = call(cache, "warm", [ALIKE, OTHER], layered)
    assert (report.prompts, report.cached, report.answered) == (2, 1, 1)
    assert layered.invoke(f"{OTHER} ").response_metadata["cache"]["hit"]
    with pytest.raises(ConfigurationError, match="max_concurrency=0"):
        call(cache, "warm", [ASKED], layered, max_concurrency=0)


def test_tags_and_scopes_of_calls_reach_the_semantic_step(cache, counting):
    layered = with_layers(counting("sorted(numbers)"), CacheLayer(cache))
    with cache_scope("acme", tags=["handbook"]):
        layered.invoke(ASKED)
        assert layered.invoke(ALIKE).response_metadata["cache"]["kind"] == "semantic"
    with cache_scope("other"):
        assert "cache" not in layered.invoke(ALIKE).response_metadata
    cache.invalidate(["handbook"])
    with cache_scope("acme"):
        assert "cache" not in layered.invoke(ALIKE).response_metadata


@pytest.mark.parametrize("on_loop", [False, True])
def test_an_expired_answer_stands_in_for_a_model_that_fails(clock, counting, on_loop):
    tier = TieredCache(
        ttl=timedelta(seconds=10),
        stale_if_error=timedelta(hours=1),
        jitter=0,
        clock=clock,
    )
    cache = SemanticCache(Words(), tier=tier, clock=clock)
    failure = ConnectionError("the provider is down")
    layered = with_layers(counting("sorted(numbers)", failure), CacheLayer(cache))
    layered.invoke(ASKED)
    clock.now += 60
    message = asyncio.run(layered.ainvoke(ASKED)) if on_loop else layered.invoke(ASKED)
    assert message.text == "sorted(numbers)"
    assert message.response_metadata["cache"]["hit"]


@pytest.mark.parametrize("on_loop", [False, True])
def test_the_wording_that_renews_a_stale_answer_takes_its_place(
    clock, counting, on_loop
):
    tier = TieredCache(soft_ttl=timedelta(seconds=10), jitter=0, clock=clock)
    cache = SemanticCache(Words(), tier=tier, clock=clock)
    layered = with_layers(counting("old", "new"), CacheLayer(cache))
    layered.invoke(ASKED)
    clock.now += 20
    renewed = asyncio.run(layered.ainvoke(ALIKE)) if on_loop else layered.invoke(ALIKE)
    assert renewed.text == "new"
    assert cache.stats().hits == 0
    assert layered.invoke(f"Please, {ASKED}").text == "new"
    assert (cache.stats().hits, cache.stats().entries) == (1, 1)
