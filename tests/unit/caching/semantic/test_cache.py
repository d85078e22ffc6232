from __future__ import annotations

import asyncio
import logging
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_llmops import CacheLayer, SemanticCache, TieredCache, with_layers
from langchain_llmops.caching.base import CacheRequest
from langchain_llmops.errors import ConfigurationError

ASKED = "How do I sort a list of numbers in Python?"
ALIKE = "In Python, how do I sort a list of numbers?"
LOOK_ALIKE = "How do I not sort a list of numbers in Python?"
OTHER = "Who wrote the play about the prince of Denmark?"


class Words(Embeddings):
    """Questions are as near as they share words; counts calls, fails when told to."""

    def __init__(self):
        self.asked = []
        self.failure = None

    def embed_query(self, text):
        self.asked.append(text)
        if self.failure is not None:
            raise self.failure
        vector = [0.0] * 512
        for word in re.findall(r"\w+", text.lower()):
            vector[zlib.crc32(word.encode()) % 512] += 1.0
        return vector

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    async def aembed_query(self, text):
        await asyncio.sleep(0)
        return self.embed_query(text)


@pytest.fixture
def words():
    return Words()


@pytest.fixture(params=["sync", "async"])
def call(request):
    """Call `get` or `put` of a cache, or their async twins."""

    def sync(cache, name, *args, **kwargs):
        return getattr(cache, name)(*args, **kwargs)

    def on_loop(cache, name, *args, **kwargs):
        return asyncio.run(getattr(cache, f"a{name}")(*args, **kwargs))

    return sync if request.param == "sync" else on_loop


def asks(question, *, partition="p", key=None):
    return CacheRequest(
        key=key or f"{partition}|{question}",
        partition=partition,
        question=question,
        model=None,
    )


def answers(text="sorted(numbers)"):
    return [ChatGeneration(message=AIMessage(text))]


def text_of(hit):
    return None if hit is None else hit.generations[0].text


def test_a_question_that_asks_the_same_gets_the_answer(words, call):
    cache = SemanticCache(words)
    assert call(cache, "get", asks(ASKED)) is None
    assert call(cache, "put", asks(ASKED), answers())
    hit = call(cache, "get", asks(ALIKE))
    assert text_of(hit) == "sorted(numbers)"
    assert hit.mark["kind"] == "semantic"
    assert hit.mark["similarity"] == pytest.approx(1.0)
    assert hit.generations[0].message.response_metadata["cache"] == hit.mark


def test_an_exact_hit_is_served_first_and_embeds_nothing(words, call):
    cache = SemanticCache(words)
    call(cache, "put", asks(ASKED), answers())
    words.asked.clear()
    hit = call(cache, "get", asks(ASKED))
    assert (hit.mark["kind"], hit.mark["similarity"], words.asked) == (
        "exact",
        None,
        [],
    )


def test_a_miss_and_its_store_cost_one_embedding(words, call):
    cache = SemanticCache(words)
    call(cache, "get", asks(ASKED))
    call(cache, "put", asks(ASKED), answers())
    call(cache, "put", asks(ASKED), answers())
    assert words.asked == [ASKED]


@pytest.mark.parametrize("question", [LOOK_ALIKE, OTHER, "How do I sort a list of 3?"])
def test_look_alikes_and_other_questions_are_not_served(words, call, question):
    cache = SemanticCache(words, threshold=0.6)
    call(cache, "put", asks(ASKED), answers())
    assert call(cache, "get", asks(question)) is None


def test_a_refused_neighbour_does_not_hide_a_good_one(words, call):
    cache = SemanticCache(words, threshold=0.8)
    call(cache, "put", asks(LOOK_ALIKE), answers("wrong"))
    call(cache, "put", asks(f"Please, {ASKED} Quickly!"), answers("right"))
    hit = call(cache, "get", asks(ALIKE))
    assert text_of(hit) == "right"
    assert hit.mark["similarity"] < 0.93
    assert cache.stats().refused == {"negation": 1}


def test_no_answer_leaves_its_partition(words, call):
    cache = SemanticCache(words)
    call(cache, "put", asks(ASKED, partition="tenant a"), answers())
    assert call(cache, "get", asks(ALIKE, partition="tenant b")) is None
    assert call(cache, "get", asks(ALIKE, partition="tenant a")) is not None


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=30))
def test_a_hit_always_comes_from_the_partition_that_asked(operations):
    cache = SemanticCache(Words())
    stored = set()
    for partition, store in operations:
        if store:
            cache.put(asks(ASKED, partition=partition), answers(partition))
            stored.add(partition)
        hit = cache.get(asks(ALIKE, partition=partition))
        assert text_of(hit) == (partition if partition in stored else None)


@pytest.mark.parametrize(
    "question",
    [None, "", "why?", "And in Python 3?", "What is its capital?", "x " * 400],
)
def test_turns_that_do_not_stand_for_themselves_only_hit_exactly(words, call, question):
    cache = SemanticCache(words, threshold=0.01)
    call(cache, "put", asks(question, key="one"), answers())
    assert call(cache, "get", asks(question, key="one")).mark["kind"] == "exact"
    assert call(cache, "get", asks(question, key="two")) is None
    assert words.asked == []
    assert cache.stats().bypassed == 1


def test_an_answer_that_must_not_be_stored_leaves_no_question(words, call):
    cache = SemanticCache(words)
    assert not call(cache, "put", asks(ASKED), answers(""))
    assert call(cache, "get", asks(ALIKE)) is None
    assert cache.stats().entries == 0


def test_a_failing_model_is_survived_logged_once_and_rested(words, call, clock, caplog):
    cache = SemanticCache(words, clock=clock)
    words.failure = TimeoutError("no answer")
    with caplog.at_level(logging.WARNING):
        assert call(cache, "get", asks(ASKED)) is None
        assert call(cache, "put", asks(ASKED), answers())
        assert call(cache, "get", asks(ASKED)).mark["kind"] == "exact"
        clock.now += 6
        assert call(cache, "get", asks(ALIKE)) is None
    assert len(words.asked) == 2
    assert cache.stats().embedding_errors == 2
    assert [r.levelname for r in caplog.records] == ["WARNING"]
    words.failure, clock.now = None, clock.now + 6
    assert call(cache, "put", asks(ALIKE), answers())
    assert cache.stats().entries == 1


@pytest.mark.parametrize("vector", [[], [0.0] * 8, [float("nan")] * 8])
def test_a_question_without_a_direction_is_left_to_exact_hits(words, call, vector):
    cache = SemanticCache(words)
    words.embed_query = lambda text: vector
    assert call(cache, "put", asks(ASKED), answers())
    assert call(cache, "get", asks(ALIKE)) is None
    assert call(cache, "get", asks(ASKED)) is not None


def test_vectors_of_another_length_never_fail_a_call(words, call):
    cache = SemanticCache(words)
    call(cache, "put", asks(ASKED), answers())
    words.embed_query = lambda text: [1.0, 2.0]
    assert call(cache, "get", asks(ALIKE)) is None
    assert call(cache, "put", asks(ALIKE), answers())
    assert cache.stats().embedding_errors == 1


def test_a_question_whose_answer_expired_is_dropped_after_a_while(words, call, clock):
    tier = TieredCache()
    cache = SemanticCache(words, tier=tier, clock=clock)
    call(cache, "put", asks(ASKED), answers())
    tier.clear()
    assert call(cache, "get", asks(ALIKE)) is None
    assert cache.stats().entries == 1  # the tier may only be resting
    clock.now += 31
    assert call(cache, "get", asks(ALIKE)) is None
    assert (cache.stats().entries, cache.stats().lost) == (0, 1)


def test_an_answer_that_comes_back_keeps_its_question(words, call, clock):
    tier = TieredCache()
    cache = SemanticCache(words, tier=tier, clock=clock)
    call(cache, "put", asks(ASKED), answers())
    tier.clear()
    call(cache, "get", asks(ALIKE))
    tier.put(asks(ASKED), answers())
    clock.now += 31
    assert call(cache, "get", asks(ALIKE)) is not None
    assert cache.stats().lost == 0


def test_the_least_recently_used_question_leaves(words, call):
    cache = SemanticCache(words, max_entries=2)
    for question in (ASKED, OTHER):
        call(cache, "put", asks(question), answers(question))
    call(cache, "get", asks(ALIKE))  # used: OTHER is the older one now
    call(cache, "put", asks("What do penguins eat in winter?"), answers())
    assert call(cache, "get", asks(ALIKE)) is not None
    assert call(cache, "get", asks(f"{OTHER} ")) is None
    assert (cache.stats().entries, cache.stats().evicted) == (2, 1)


def test_a_wrong_hit_is_quarantined_but_its_own_request_still_hits(words, call):
    cache = SemanticCache(words)
    call(cache, "put", asks(ASKED), answers())
    hit_id = call(cache, "get", asks(ALIKE)).mark["hit_id"]
    call(cache, "feedback", hit_id, correct=False)
    assert call(cache, "get", asks(ALIKE)) is None
    assert call(cache, "get", asks(ASKED)).mark["kind"] == "exact"
    call(cache, "put", asks(ASKED), answers())  # not learnt again
    assert call(cache, "get", asks(ALIKE)) is None
    assert cache.labels() == [(ALIKE, ASKED, False)]
    assert cache.stats().quarantined == 1


def test_a_wrong_exact_hit_is_removed(words, call):
    cache = SemanticCache(words)
    call(cache, "put", asks(ASKED), answers())
    hit_id = call(cache, "get", asks(ASKED)).mark["hit_id"]
    call(cache, "feedback", hit_id, correct=False)
    assert call(cache, "get", asks(ASKED)) is None


def test_an_answer_too_old_for_one_caller_stays_for_the_others(words, call, clock):
    cache = SemanticCache(words, tier=TieredCache(clock=clock))
    call(cache, "put", asks(ASKED), answers())
    clock.now += 60
    assert call(cache, "get", replace(asks(ALIKE), max_age_s=30.0)) is None
    assert call(cache, "get", asks(ALIKE)).mark["kind"] == "semantic"


def test_a_confirmed_hit_stays_and_becomes_a_label(words, call):
    cache = SemanticCache(words)
    call(cache, "put", asks(ASKED), answers())
    hit_id = call(cache, "get", asks(ALIKE)).mark["hit_id"]
    call(cache, "feedback", hit_id, correct=True)
    call(cache, "feedback", "never seen", correct=True)
    assert call(cache, "get", asks(ALIKE)) is not None
    assert cache.labels() == [(ALIKE, ASKED, True)]
    assert cache.stats().confirmed == 2


def test_a_cleared_cache_knows_nothing(words, call):
    cache = SemanticCache(words)
    call(cache, "put", asks(ASKED), answers())
    call(cache, "clear")
    assert call(cache, "get", asks(ASKED)) is None
    assert call(cache, "get", asks(ALIKE)) is None
    assert cache.stats().entries == 0


def test_the_decision_alone_can_be_asked_for(words, call):
    cache = SemanticCache(words)
    assert call(cache, "same", ASKED, ALIKE)
    assert call(cache, "same", "why?", " why?")
    assert not call(cache, "same", ASKED, LOOK_ALIKE)
    assert not call(cache, "same", ASKED, OTHER)
    assert not call(cache, "same", ASKED, "why?")
    words.failure = TimeoutError()
    assert not call(cache, "same", "What do cats eat?", "What is it that cats eat?")


def test_threads_and_loops_share_one_cache(words):
    cache = SemanticCache(words, max_entries=40)
    questions = [f"How do I sort {name} in Python?" for name in "abcdefghij" * 6]

    def in_thread(question):
        cache.put(asks(question), answers(question))
        return text_of(cache.get(asks(f"{question} ")))

    async def on_loop():
        async def one(question):
            await cache.aput(asks(question), answers(question))
            return text_of(await cache.aget(asks(f"{question} ")))

        return await asyncio.gather(*map(one, questions))

    with ThreadPoolExecutor(4) as pool:
        loops = [pool.submit(lambda: asyncio.run(on_loop())) for _ in range(2)]
        assert list(pool.map(in_thread, questions)) == questions
        assert all(loop.result() == questions for loop in loops)


def test_streams_and_calls_of_a_model_share_paraphrases(words, counting):
    cache = SemanticCache(words)
    model = counting("use sorted()")
    layered = with_layers(model, CacheLayer(cache))
    layered.invoke(ASKED)
    streamed = list(layered.stream(ALIKE))
    assert "".join(chunk.text for chunk in streamed) == "use sorted()"
    assert layered.invoke(ALIKE).response_metadata["cache"]["kind"] == "semantic"
    system = [("system", "Answer in Dutch."), ("human", ALIKE)]
    assert "cache" not in layered.invoke(system).response_metadata


def test_a_plain_base_cache_serves_paraphrases_too(words, counting):
    model = counting("use sorted()", cache=SemanticCache(words))
    model.invoke(ASKED)
    assert model.invoke(ALIKE).response_metadata["cache"]["kind"] == "semantic"
    assert model.calls == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0.0}, r"threshold=0.0 is no cosine"),
        ({"threshold": 1.5}, r"threshold=1.5"),
        ({"max_false_hit_rate": 1.0}, r"max_false_hit_rate=1.0 must be in"),
        ({"max_false_hit_rate": 0.0}, r"max_false_hit_rate=0.0 must be in"),
        ({"mode": "observe"}, r"mode='observe' is unknown"),
        ({"max_entries": 0}, r"max_entries=0"),
    ],
)
def test_bad_arguments_are_named(words, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        SemanticCache(words, **arguments)
