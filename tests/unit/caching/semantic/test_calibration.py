from __future__ import annotations

import asyncio
import logging
import random

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from langchain_llmops import SemanticCache
from langchain_llmops.caching.semantic.calibration import (
    JudgedPair,
    _components,
    calibrate,
)
from langchain_llmops.errors import ConfigurationError


def pair(number, similarity, same, *, blocked=False):
    return JudgedPair(
        question_a=f"question {number}",
        question_b=f"other {number}",
        similarity=similarity,
        same=same,
        blocked=blocked,
    )


def ranked(count, error_rate, *, seed=0):
    """Pairs in falling order; `error_rate(place)` of them do not ask the same."""
    rng = random.Random(seed)
    return [
        pair(n, 1 - n / count / 2, rng.random() >= error_rate(n / count))
        for n in range(count)
    ]


def test_it_serves_as_far_as_the_rate_is_proven_and_says_so():
    pairs = ranked(350, lambda place: 0.0 if place < 0.5 else 0.9)
    found, score = calibrate(pairs, threshold=0.9, max_false_hit_rate=0.05)
    assert found.threshold == pytest.approx(0.75, abs=0.03)
    assert score("a", "b", 0.8) == 0.8
    assert not found.abstains
    assert found.false_hit_rate <= found.high <= 0.08
    assert found.low <= found.false_hit_rate
    assert found.served == sum(p.similarity >= found.threshold for p in pairs)
    assert found.recall > 0.75
    assert found.floor == found.threshold


@pytest.mark.parametrize(
    "pairs",
    [
        ranked(40, lambda place: 0.0),  # too few
        ranked(350, lambda place: 0.3),  # never good enough
        [pair(n, 0.9, same=True, blocked=True) for n in range(350)],
        [pair(n, 0.9, same=n % 2 == 0) for n in range(350)],  # one tie of all
        ranked(350, lambda place: 1.0),  # nothing asks the same
    ],
)
def test_it_abstains_where_the_pairs_prove_too_little(pairs):
    found, _ = calibrate(pairs, threshold=0.9, max_false_hit_rate=0.05)
    assert found.abstains
    assert (found.served, found.false_hit_rate, found.recall) == (0, None, 0.0)
    assert (found.low, found.high, found.needed) == (0.0, 1.0, 89)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.2])
def test_as_many_perfect_pairs_as_it_says_it_needs_do_and_one_less_does_not(rate):
    def after(count):
        pairs = [pair(n, 0.9 + n / 10_000, same=True) for n in range(count)]
        return calibrate(pairs, threshold=0.9, max_false_hit_rate=rate)[0]

    needed = after(1).needed
    assert after(needed - 1).abstains
    assert after(needed).served == needed


def test_the_promise_is_kept_as_often_as_it_is_made():
    """The true rate among all that a chosen threshold serves, over 200 samples."""

    def truth(place):
        return 0.5 * place

    broken = served = 0
    for seed in range(200):
        pairs = ranked(390, truth, seed=seed)
        found, _ = calibrate(
            pairs, threshold=0.9, max_false_hit_rate=0.1, confidence=0.9
        )
        if not found.abstains:
            served += 1
            places = np.arange(found.served) / 390
            broken += truth(places).mean() > 0.1
    assert served > 60
    assert broken / 200 <= 0.13


def test_without_a_rate_the_threshold_is_only_measured():
    pairs = [pair(n, 0.95, same=n > 2) for n in range(10)] + [
        pair(99, 0.5, same=True),
        pair(98, 0.97, same=False, blocked=True),
    ]
    found, _ = calibrate(pairs, threshold=0.9, max_false_hit_rate=None)
    assert (found.threshold, found.served, found.wrong) == (0.9, 10, 3)
    assert found.recall == pytest.approx(7 / 8)
    assert found.max_false_hit_rate is None


def test_a_verifier_is_what_gets_calibrated():
    pairs = [pair(n, 0.5, same=n < 200) for n in range(350)]

    def verifier(a, b, similarity):
        return 1.0 - int(a.split()[1]) / 350

    found, score = calibrate(
        pairs, threshold=0.9, max_false_hit_rate=0.05, verifier=verifier
    )
    assert (found.score, score) == ("verifier", verifier)
    assert found.threshold == pytest.approx(1 - 200 / 350, abs=0.06)


WORDS = "apple bridge candle donkey engine forest guitar hammer island jacket".split()  # noqa: SIM905


def phrased(count, seed=0):
    """Pairs alike in cosine whose last word alone tells the same from the others."""
    rng = random.Random(seed)
    pairs = []
    for number in range(count):
        first, second, third = rng.sample(WORDS, 3)
        same = number % 2 == 0
        pairs.append(
            JudgedPair(
                question_a=f"why is {first}{number} near {second}",
                question_b=f"why is {first}{number} at {second if same else third}",
                similarity=0.8 + 0.1 * rng.random(),
                same=same,
                blocked=False,
            )
        )
    return pairs


def test_a_verifier_is_fitted_where_words_tell_more_than_the_cosine():
    pairs = phrased(600)
    found, score = calibrate(pairs, threshold=0.9, max_false_hit_rate=0.05)
    assert found.score == "trees"
    assert found.recall > 0.95
    assert score("why is sky near sea", "why is sky at sea", 0.85) >= found.threshold
    assert score("why is sky near sea", "why is sky at ice", 0.85) < found.threshold
    few, _ = calibrate(phrased(150), threshold=0.9, max_false_hit_rate=0.05)
    assert few.score == "cosine"


def test_pairs_that_share_a_question_stay_together():
    pairs = [
        JudgedPair(question_a=a, question_b=b, similarity=0.5, same=True, blocked=False)
        for a, b in ["ab", "cd", "be", "fg", "ed"]
    ]
    numbers = _components(pairs)
    assert numbers[0] == numbers[2] == numbers[4] == numbers[1]
    assert numbers[3] != numbers[0]


class Table(Embeddings):
    """A question named "n …" lies at angle n; documents may lie elsewhere."""

    def __init__(self, *, shift=0.0):
        self.batches = 0
        self.shift = shift

    def embed_query(self, text):
        angle = float(text.split()[0])
        return [np.cos(angle), np.sin(angle)]

    def embed_documents(self, texts):
        self.batches += 1
        return [
            [np.cos(a + self.shift), np.sin(a + self.shift)]
            for a in (float(text.split()[0]) for text in texts)
        ]


def labelled(count):
    """Pairs at growing angles; those nearer than 0.3 ask the same."""
    names = [chr(97 + n // 26) + chr(97 + n % 26) for n in range(count)]
    return [
        (f"0 house {name}", f"{n / count} house {name}", n / count < 0.3)
        for n, name in enumerate(names)
    ]


@pytest.fixture
def no_guards():
    return {"guards": ()}


@pytest.mark.parametrize("shift", [0.0, 0.5])
@pytest.mark.parametrize("on_loop", [False, True])
def test_a_cache_serves_what_its_calibration_proved(shift, on_loop, no_guards):
    table = Table(shift=shift)
    cache = SemanticCache(table, max_false_hit_rate=0.1, **no_guards)
    assert not cache.same("0 house", "0.01 house")  # nothing is proven yet
    if on_loop:
        found = asyncio.run(cache.acalibrate(labelled(350)))
    else:
        found = cache.calibrate(labelled(350))
    assert not found.abstains
    assert cache.stats().calibration is found
    assert cache.same("0 house", "0.2 house")
    assert not cache.same("0 house", "0.5 house")
    # Models that embed documents otherwise are asked query by query.
    assert table.batches == (2 if shift == 0 else 1)


def test_too_few_pairs_leave_only_exact_hits_with_a_warning(no_guards, caplog):
    cache = SemanticCache(Table(), max_false_hit_rate=0.1, **no_guards)
    with caplog.at_level(logging.WARNING):
        assert cache.calibrate(labelled(20)).abstains
    assert "do not prove a false hit rate of 0.1" in caplog.text
    assert not cache.same("0 house", "0.01 house")


def test_a_custom_verifier_has_the_last_word(no_guards):
    def opinion(a, b, similarity):
        if "bang" in b:
            raise RuntimeError("broken")
        return 0.4 if "maybe" in b else "yes" in b

    cache = SemanticCache(Table(), threshold=0.9, verifier=opinion, **no_guards)
    assert cache.same("0 house", "0.1 house yes")
    assert not cache.same("0 house", "0.1 house no")
    assert not cache.same("0 house", "0.1 house maybe")
    assert not cache.same("0 house", "0.1 house bang")
    assert not cache.same("0 house", "1 house yes")


def test_a_verifier_that_says_yes_or_no_leaves_the_cosine_to_calibrate(no_guards):
    cache = SemanticCache(
        Table(),
        max_false_hit_rate=0.1,
        verifier=lambda a, b, similarity: "qq" not in b,
        **no_guards,
    )
    assert cache.calibrate(labelled(350)).score == "verifier"
    assert cache.same("0 house", "0.1 house")
    assert not cache.same("0 house", "0.1 house qq")


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        ([], "no pairs to calibrate on"),
        ([("a", "b", True), ("a", "b")], r"pair 1 is \('a', 'b'\)"),
        ([("a", None, True)], "pair 0"),
        ([("a", "b", "yes")], "pair 0"),
    ],
)
def test_malformed_pairs_are_named(pairs, message):
    with pytest.raises(ConfigurationError, match=message):
        SemanticCache(Table()).calibrate(pairs)


def test_a_confidence_that_is_no_probability_is_refused():
    with pytest.raises(ConfigurationError, match=r"confidence=95"):
        SemanticCache(Table()).calibrate(labelled(5), confidence=95)
