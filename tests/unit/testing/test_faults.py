"""Paces and faults are pure: what they decide follows from what they are given."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.testing import Cut, Fault, HttpFailure, Latency, ServerError
from langchain_llmops.testing.faults import Pace, Situation, latency_of

CHAT = Situation(endpoint="chat", model="gpt-4o")

paces = st.builds(
    Pace,
    first_token_s=st.floats(0, 60),
    tokens_per_s=st.none() | st.floats(0.1, 10_000),
)


@given(paces, st.integers(0, 5_000))
def test_a_token_is_due_when_its_time_has_come(pace, token):
    assert pace.due(pace.at(token), total=10_000) >= token + 1


@given(paces, st.floats(0, 1_000), st.floats(0, 1_000))
def test_tokens_never_become_undue(pace, one, other):
    early, late = sorted((one, other))
    assert 0 <= pace.due(early, total=50) <= pace.due(late, total=50) <= 50


def test_no_token_is_due_before_the_first():
    pace = Pace(first_token_s=2, tokens_per_s=10)
    assert pace.due(1.99, total=5) == 0
    assert [pace.due(t, total=5) for t in (2, 2.05, 2.1, 2.4, 9)] == [1, 1, 2, 5, 5]


def test_without_a_rate_everything_is_due_at_once():
    assert Pace(first_token_s=1).due(1, total=7) == 7


def test_without_spread_every_draw_is_the_median():
    latency = Latency(first_token_s=0.5, tokens_per_s=80)
    assert latency.draw(random.Random(1)) == Pace(first_token_s=0.5, tokens_per_s=80)


def test_draws_spread_around_the_median():
    rng = random.Random(1)
    latency = Latency(first_token_s=0.5, tokens_per_s=80, sigma=0.5)
    draws = [latency.draw(rng) for _ in range(4_000)]
    firsts = [pace.first_token_s for pace in draws]
    assert statistics.median(firsts) == pytest.approx(0.5, rel=0.05)
    logs = [math.log(first) for first in firsts]
    assert statistics.stdev(logs) == pytest.approx(0.5, rel=0.05)
    rates = [pace.tokens_per_s or 0 for pace in draws]
    assert statistics.median(rates) == pytest.approx(80, rel=0.05)


@pytest.mark.parametrize(
    "wrong", [{"first_token_s": -1}, {"sigma": -1}, {"tokens_per_s": 0}]
)
def test_a_wrong_latency_names_itself(wrong):
    with pytest.raises(ConfigurationError, match="Latency"):
        Latency(**wrong)


def test_the_first_pattern_that_fits_a_model_gives_its_latency():
    fast, slow = Latency(first_token_s=1), Latency(first_token_s=2)
    by_name = {"gpt-4o-mini*": fast, "gpt-*": slow}
    assert latency_of(by_name, "gpt-4o-mini-2024-07-18") is fast
    assert latency_of(by_name, "gpt-4o") is slow
    assert latency_of(by_name, "o3") == Latency()
    assert latency_of(slow, "o3") is slow


@given(st.floats(0, 1), st.floats(0, 1, exclude_max=True))
def test_a_probability_is_a_share_of_the_draws(probability, draw):
    fault = Fault(probability=probability)
    assert fault.strikes(CHAT, count=1, draw=draw) is (draw < probability)


@pytest.mark.parametrize(
    ("fault", "strikes"),
    [
        (Fault(nth=[2]), [False, True, False, False]),
        (Fault(nth=range(2, 4)), [False, True, True, False]),
        (Fault(), [True] * 4),
    ],
)
def test_nth_counts_from_one(fault, strikes):
    counts = range(1, 5)
    assert [fault.strikes(CHAT, count=n, draw=0.0) for n in counts] == strikes


@pytest.mark.parametrize(
    ("elapsed_s", "strikes"), [(0.9, False), (1.0, True), (1.9, True), (2.0, False)]
)
def test_a_window_includes_its_start_and_not_its_end(elapsed_s, strikes):
    now = Situation(endpoint="chat", model="gpt-4o", elapsed_s=elapsed_s)
    assert Fault(between=(1, 2)).strikes(now, count=1, draw=0.0) is strikes


@pytest.mark.parametrize(("active", "strikes"), [(5, False), (6, True)])
def test_a_capacity_refuses_what_exceeds_it(active, strikes):
    now = Situation(endpoint="chat", model="gpt-4o", active=active)
    assert Fault(above_active=5).strikes(now, count=1, draw=0.0) is strikes


@pytest.mark.parametrize(
    ("fault", "concerns"),
    [
        (Fault(), True),
        (Fault(model="gpt-4o"), True),
        (Fault(model="gpt-*"), True),
        (Fault(model="o3"), False),
        (Fault(endpoint="chat"), True),
        (Fault(endpoint="embeddings"), False),
    ],
)
def test_a_fault_concerns_models_and_endpoints(fault, concerns):
    assert fault.concerns(CHAT) is concerns


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fault(probability=1.1), r"within \[0, 1\]"),
        (lambda: ServerError(between=(2, 2)), "later end"),
        (lambda: HttpFailure(status=200), "status=200.*400 to 599"),
        (lambda: Cut(at_token=-1), "at_token=-1"),
    ],
)
def test_a_wrong_fault_says_what_is_right(make, message):
    with pytest.raises(ConfigurationError, match=message):
        make()
