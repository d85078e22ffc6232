"""What is expected of the next answer, from those before."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.cost.budgets.history import FIRST_GUESS, OutputHistory


def test_before_enough_answers_a_call_is_expected_to_use_what_it_may():
    history = OutputHistory(enough=2)
    history.add("m", 10)
    assert history.expected("m", None) == FIRST_GUESS
    assert history.expected("m", 4_096) == 4_096


def test_what_was_learnt_never_exceeds_what_the_call_allows():
    history = OutputHistory(enough=1)
    history.add("m", 500)
    assert history.expected("m", None) == 500
    assert history.expected("m", 100) == 100
    assert history.expected("m", 4_096) == 500
    assert history.expected("another", 7) == 7


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60))
def test_the_expectation_is_the_quantile_of_the_latest_answers(lengths):
    history = OutputHistory(quantile=0.9, size=20, enough=1)
    for length in lengths:
        history.add("m", length)
    latest = sorted(lengths[-20:])
    assert history.expected("m", None) == latest[math.ceil(0.9 * len(latest)) - 1]


def test_memory_does_not_grow_with_the_number_of_models():
    history = OutputHistory(enough=1)
    for number in range(1_000):
        history.add(f"model-{number}", 1)
    assert len(history._models) == 256
    assert history.expected("model-999", 50) == 1
