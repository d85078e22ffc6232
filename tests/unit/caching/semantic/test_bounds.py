from __future__ import annotations

from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.caching.semantic.bounds import (
    binomial_cdf,
    clopper_pearson,
    fewest_trials,
    loosest_safe_cut,
)

rates = st.floats(0.001, 0.999)


@given(st.integers(1, 60), st.integers(0, 60), rates)
def test_the_binomial_tail_is_the_sum_of_its_terms(trials, successes, rate):
    exact = sum(
        comb(trials, k) * rate**k * (1 - rate) ** (trials - k)
        for k in range(min(successes, trials) + 1)
    )
    assert binomial_cdf(successes, trials, rate) == pytest.approx(exact, abs=1e-9)


@pytest.mark.parametrize(
    ("successes", "trials", "rate", "expected"),
    [(-1, 5, 0.5, 0.0), (5, 5, 0.5, 1.0), (2, 5, 0.0, 1.0), (2, 5, 1.0, 0.0)],
)
def test_the_binomial_tail_ends_at_zero_and_one(successes, trials, rate, expected):
    assert binomial_cdf(successes, trials, rate) == expected


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Published tables of exact 95 % limits.
        (0, 10, 0.0, 0.3085),
        (1, 10, 0.0025, 0.4450),
        (5, 10, 0.1871, 0.8129),
        (10, 10, 0.6915, 1.0),
        (0, 0, 0.0, 1.0),
    ],
)
def test_the_interval_is_that_of_clopper_and_pearson(successes, trials, low, high):
    assert clopper_pearson(successes, trials) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_rate_and_widens_with_confidence(counts):
    successes, trials = counts
    low, high = clopper_pearson(successes, trials)
    wide_low, wide_high = clopper_pearson(successes, trials, confidence=0.99)
    assert wide_low <= low <= successes / trials <= high <= wide_high


@given(st.floats(0.01, 0.5), st.floats(0.5, 0.99))
def test_the_fewest_trials_are_just_enough(rate, confidence):
    trials = fewest_trials(rate, confidence=confidence)
    assert binomial_cdf(0, trials, rate) <= 1 - confidence + 1e-12
    assert binomial_cdf(0, trials - 1, rate) > 1 - confidence


def test_the_sequence_ends_before_the_first_count_that_proves_too_little():
    served = np.arange(1, 401)
    wrong = np.where(served <= 200, 0, served - 200)
    cut = loosest_safe_cut(served, wrong, 0.05, start=99)
    assert cut is not None
    assert 199 <= cut < 215


def test_no_cut_is_safe_if_the_first_is_not():
    served = np.arange(1, 401)
    assert loosest_safe_cut(served, served // 2, 0.05, start=99) is None
    assert loosest_safe_cut(served, served * 0, 0.05, start=10) is None
    assert loosest_safe_cut(served[:0], served[:0], 0.05, start=0) is None


def test_the_chosen_cut_breaks_its_promise_no_more_often_than_it_says():
    """A ranking whose error rate grows from 0 to 40 %: how often is 10 % exceeded?"""
    rng = np.random.default_rng(5)
    chance = np.linspace(0.0, 0.4, 600)
    truth = np.cumsum(chance) / np.arange(1, 601)
    broken = chosen = 0
    for _ in range(300):
        wrong = np.cumsum(rng.random(600) < chance)
        cut = loosest_safe_cut(np.arange(1, 601), wrong, 0.1, start=60, confidence=0.9)
        if cut is not None:
            chosen += 1
            broken += truth[cut] > 0.1
    assert chosen > 200
    assert broken / 300 <= 0.13
