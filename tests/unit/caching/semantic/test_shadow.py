from __future__ import annotations

import asyncio
import re
import zlib

import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_llmops import SemanticCache
from langchain_llmops.caching.base import CacheRequest
from langchain_llmops.caching.semantic.review import HitReview, answers_agree

ASKED = "How do I sort a list of numbers in Python?"
ALIKE = "In Python, how do I sort a list of numbers?"
NEAR = "How do I sort a list of strings in Python by length?"


class Words(Embeddings):
    def embed_query(self, text):
        vector = [0.0] * 512
        for word in re.findall(r"\w+", text.lower()):
            vector[zlib.crc32(word.encode()) % 512] += 1.0
        return vector

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


def asks(question):
    return CacheRequest(key=question, partition="p", question=question, model=None)


def answers(text):
    return [ChatGeneration(message=AIMessage(text))]


@pytest.fixture(params=["sync", "async"])
def asked(request):
    """Ask a cache a question and store the answer, as a layer does."""

    def sync(cache, question, answer):
        hit = cache.get(asks(question))
        if hit is None:
            cache.put(asks(question), answers(answer))
        return hit

    async def on_loop(cache, question, answer):
        hit = await cache.aget(asks(question))
        if hit is None:
            await cache.aput(asks(question), answers(answer))
        return hit

    if request.param == "sync":
        return sync
    return lambda *args: asyncio.run(on_loop(*args))


def test_shadow_mode_serves_nothing_but_exact_hits(asked):
    cache = SemanticCache(Words(), mode="shadow")
    asked(cache, ASKED, "use sorted")
    assert asked(cache, ALIKE, "use sorted") is None
    assert asked(cache, ALIKE, "unused").mark["kind"] == "exact"
    assert cache.stats().hits == 0


def test_shadow_mode_tells_what_it_would_have_served_and_whether_answers_agree(asked):
    cache = SemanticCache(Words(), mode="shadow")
    assert cache.stats().agreement is None
    asked(cache, ASKED, "Call sorted with the list of numbers.")
    asked(cache, ALIKE, "call sorted with the list of numbers")
    asked(cache, f"{ALIKE} Please!", "Use numpy instead, and no built-in function.")
    stats = cache.stats()
    assert (stats.would_serve, stats.compared, stats.agreed) == (2, 2, 1)
    assert stats.agreement == 0.5
    first = cache.shadow_hits()[0]
    assert (first.question, first.stored, first.agreed) == (ALIKE, ASKED, True)


def test_near_misses_are_compared_too_so_that_they_can_be_labelled(asked):
    cache = SemanticCache(Words(), mode="shadow")
    asked(cache, ASKED, "sorted(numbers)")
    asked(cache, NEAR, "sorted(strings, key=len)")
    (hit,) = cache.shadow_hits()
    assert (hit.accepted, hit.agreed) == (False, False)
    assert 0.6 < hit.similarity < 0.92
    assert (cache.stats().would_serve, cache.stats().compared) == (0, 0)


def test_shadow_mode_looks_even_before_anything_is_proven(asked):
    cache = SemanticCache(Words(), mode="shadow", max_false_hit_rate=0.05)
    asked(cache, ASKED, "use sorted")
    asked(cache, ALIKE, "use sorted")
    assert [hit.accepted for hit in cache.shadow_hits()] == [False]
    assert cache.stats().abstained == 0


def test_serving_without_proof_abstains_and_counts_it(asked):
    cache = SemanticCache(Words(), max_false_hit_rate=0.05)
    asked(cache, ASKED, "use sorted")
    assert asked(cache, ALIKE, "use sorted") is None
    assert cache.stats().abstained == 2


def test_what_is_unknown_is_not_compared():
    review = HitReview()
    assert review.answered("a", answers("text")) is None
    review.label("never given", correct=False)
    assert (review.labels(), review.shadow_hits()) == ([], [])


def test_only_the_latest_hits_are_remembered(monkeypatch):
    monkeypatch.setattr("langchain_llmops.caching.semantic.review._REMEMBERED", 2)
    review = HitReview()
    for number in range(4):
        review.given(str(number), f"question {number}", "stored")
    for number in range(4):
        review.label(str(number), correct=True)
    assert [label[0] for label in review.labels()] == ["question 2", "question 3"]


def test_clearing_keeps_the_labels(asked):
    cache = SemanticCache(Words(), mode="shadow")
    asked(cache, ASKED, "use sorted")
    asked(cache, ALIKE, "use sorted")
    cache.clear()
    assert cache.shadow_hits() == []


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("", "", True),
        ("Paris.", "paris", True),
        ("It costs 3.50 euros", "It costs 4.50 euros", False),
        ("yes", "no", False),
        ("The capital of France is Paris.", "France's capital city: Paris", False),
        ("a b c d e f g h i", "b a c d e f g h j", True),
    ],
)
def test_answers_agree_when_they_use_the_same_words(one, other, agree):
    assert answers_agree(one, other) is agree
