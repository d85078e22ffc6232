"""What each policy promises on its own."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing import (
    CandidateHealth,
    RoutingRequest,
    RoutingState,
    budget_pressure,
    capabilities,
    cheapest_capable,
    complexity,
    latency,
    sticky,
    weighted,
)
from langchain_llmops.routing.policies.complexity import wrong_share
from langchain_llmops.routing.policies.latency import expected_waits

CALL = RoutingRequest(input_tokens=1_000, output_tokens=1_000)
PRICES = st.lists(st.integers(0, 50), min_size=2, max_size=4)


def names(ranking):
    return [candidate.name for candidate in ranking.candidates]


def priced(make, prices):
    return [make(f"m{place}", usd) for place, usd in enumerate(prices)]


def test_the_cheapest_comes_first_and_the_unpriced_last(make):
    found = cheapest_capable().choose(
        CALL, [make("x"), make("b", 2), make("c", 3), make("a", 1), make("d", 2)]
    )
    assert names(found) == ["a", "b", "d", "c", "x"]
    assert found.choices[0].reason == "0.002 USD"
    assert found.choices[-1].reason == "its price is unknown"


def test_within_the_tolerance_the_cheapest_are_equal(make):
    candidates = priced(make, [12, 10, 13, 11])
    found = cheapest_capable(tolerance=0.2).choose(CALL, candidates)
    assert names(found) == ["m0", "m1", "m3", "m2"]
    with pytest.raises(ConfigurationError, match=r"tolerance is -0\.1"):
        cheapest_capable(tolerance=-0.1)


@pytest.mark.parametrize(
    "policy",
    [
        cheapest_capable(),
        cheapest_capable(tolerance=0.3),
        budget_pressure(start=0.5),
        complexity({f"m{n}": 0.6 + n / 10 for n in range(4)}),
    ],
)
@given(prices=PRICES, rise=st.integers(1, 50), pressure=st.floats(0, 1), data=st.data())
def test_a_higher_price_never_improves_a_place(
    make, policy, prices, rise, pressure, data
):
    place = data.draw(st.integers(0, len(prices) - 1))
    dearer = [*prices]
    dearer[place] += rise
    state = RoutingState(budget_pressure=pressure)
    before, after = (
        names(policy.choose(CALL, priced(make, each), state)).index(f"m{place}")
        for each in (prices, dearer)
    )
    assert after >= before


@given(prices=PRICES, pressures=st.lists(st.floats(0, 1.5), min_size=2, max_size=5))
def test_the_emptier_the_budget_the_cheaper_the_choice(make, prices, pressures):
    policy, candidates = budget_pressure(start=0.6), priced(make, prices)
    costs = [
        policy.choose(CALL, candidates, RoutingState(budget_pressure=pressure))
        .candidates[0]
        .cost(CALL.usage)
        for pressure in sorted(pressures)
    ]
    at_peace = candidates[0].cost(CALL.usage)
    assert all(later <= max(earlier, at_peace) for earlier, later in pairwise(costs))
    spent = policy.choose(CALL, candidates, RoutingState(budget_pressure=1))
    assert spent.candidates[0].cost(CALL.usage) == min(
        candidate.cost(CALL.usage) for candidate in candidates
    )


def test_a_full_budget_leaves_the_order_to_the_next_policy(make):
    policy = budget_pressure(start=0.8).then(
        complexity({"m0": 1, "m1": 0.5}, error_usd=1)
    )
    candidates = priced(make, [5, 1])
    for pressure, first in ((0.8, "m0"), (1, "m1")):
        state = RoutingState(budget_pressure=pressure)
        assert names(policy.choose(CALL, candidates, state))[0] == first
    found = budget_pressure(start=0).choose(
        CALL, [make("a"), make("b")], RoutingState(budget_pressure=1)
    )
    assert names(found) == ["a", "b"]
    with pytest.raises(ConfigurationError, match="start is 1"):
        budget_pressure(start=1)


@pytest.mark.parametrize(
    ("difficulty", "error_usd", "first"),
    [
        (0.1, 0.01, "small"),
        (0.9, 0.01, "large"),
        (0.9, 0, "small"),
        (0.1, 10, "large"),
        (None, 0.01, "small"),
    ],
)
def test_complexity_weighs_a_wrong_answer_against_the_cost(
    make, difficulty, error_usd, first
):
    # 0.003 USD apart, and 20 % apart in the middle.
    candidates = [make("small", 0.5), make("large", 2)]
    policy = complexity({"small": 0.7, "large": 0.9}, error_usd=error_usd)
    request = RoutingRequest(
        input_tokens=1_000, output_tokens=1_000, difficulty=difficulty
    )
    assert names(policy.choose(request, candidates))[0] == first


def test_the_reason_shows_the_loss(make):
    policy = complexity({"m": 0.8}, error_usd="0.01")
    request = RoutingRequest(input_tokens=1_000, difficulty=0.25)
    found = policy.choose(request, [make("m", 1)])
    assert found.choices[0].reason == "0.002 USD expected loss: 10.0% wrong, 0.001 USD"


def test_a_quality_table_may_tell_tasks_apart(make):
    table = {"a": {"code": 0.9, "*": 0.5}, "b": {"law": 0.9, "*": 0.6}}
    candidates = [make("a", 1), make("b", 1)]
    policy = complexity(table)
    policy.check(candidates)
    for task, first in (("code", "a"), ("law", "b"), ("chat", "b"), (None, "b")):
        assert names(policy.choose(RoutingRequest(task=task), candidates))[0] == first


def test_complexity_puts_what_it_does_not_know_last(make):
    policy = complexity({"a": 0.5, "b": 0.9, "c": 0.1})
    candidates = [make("x", 1), make("a"), make("b"), make("c", 1)]
    assert names(policy.choose(CALL, candidates)) == ["c", "b", "a", "x"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"a": 0.5, "z": 0.5}, r"names \['z'\], but the candidates are \['a'\]"),
        ({}, "lacks 'a'"),
        ({"a": {"code": 0.5}}, "lacks 'a'"),
    ],
)
def test_a_quality_table_must_match_the_candidates(make, table, message):
    with pytest.raises(ConfigurationError, match=message):
        complexity(table).check([make("a")])


def test_nonsense_in_a_quality_table_is_refused():
    with pytest.raises(ConfigurationError, match="the quality of 'a' is 86"):
        complexity({"a": 86})
    with pytest.raises(ConfigurationError, match="the quality of 'a' is -1"):
        complexity({"a": {"*": -1}})
    with pytest.raises(ConfigurationError, match="error_usd is -1"):
        complexity({}, error_usd=-1)


@given(quality=st.floats(0, 1), hard=st.floats(0, 1), harder=st.floats(0, 1))
def test_errors_grow_with_difficulty_and_never_leave_the_scale(quality, hard, harder):
    low, high = sorted((hard, harder))
    assert 0 <= wrong_share(quality, low) <= wrong_share(quality, high) <= 1
    assert wrong_share(quality, 0.5) == pytest.approx(1 - quality)


HEALTH = st.lists(
    st.builds(
        CandidateHealth,
        ttft_s=st.none() | st.floats(0.01, 10),
        outstanding=st.integers(0, 9),
        error_share=st.floats(0, 1),
    ),
    min_size=2,
    max_size=6,
)


@given(health=HEALTH, seed=st.integers(0, 999))
def test_of_two_that_are_drawn_the_worse_is_never_picked(make, health, seed):
    candidates = [make(f"m{place}") for place in range(len(health))]
    state = RoutingState(
        health={one.name: h for one, h in zip(candidates, health, strict=True)}
    )
    draws = random.Random(seed)
    one = int(draws.random() * len(health))
    other = [place for place in range(len(health)) if place != one][
        int(draws.random() * (len(health) - 1))
    ]
    chance = random.Random(seed).random
    picked = names(latency().choose(CALL, candidates, state, chance=chance))[0]
    waits = expected_waits(health)
    assert picked in {f"m{one}", f"m{other}"}
    assert waits[int(picked[1:])] == min(waits[one], waits[other])


def test_every_pair_is_drawn_and_the_slowest_is_never_first(make):
    waits = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}
    state = RoutingState(
        health={n: CandidateHealth(ttft_s=w) for n, w in waits.items()}
    )
    candidates, chance = [make(name) for name in "dcba"], random.Random(1).random
    firsts = Counter(
        names(latency().choose(CALL, candidates, state, chance=chance))[0]
        for _ in range(1_200)
    )
    # Of six pairs "a" wins three, "b" two, "c" one.
    assert firsts.keys() == {"a", "b", "c"}
    assert abs(firsts["a"] - 600) < 70
    assert abs(firsts["c"] - 200) < 50


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"ttft_s": 1.0}, {"ttft_s": 2.0}),
        ({"ttft_s": 1.0, "outstanding": 2}, {"ttft_s": 1.0, "outstanding": 3}),
        ({"ttft_s": 1.0, "error_share": 0.1}, {"ttft_s": 1.0, "error_share": 0.5}),
        ({}, {"ttft_s": 1.0, "outstanding": 1}),
        ({"outstanding": 1}, {"outstanding": 2}),
        ({"ttft_s": 9.0, "error_share": 0.2}, {"ttft_s": 1.0, "error_share": 1}),
    ],
)
def test_latency_minds_time_crowd_and_errors(one, other):
    waits = expected_waits([CandidateHealth(**one), CandidateHealth(**other)])
    assert waits[0] < waits[1]


def test_latency_says_what_it_saw(make):
    state = RoutingState(health={"a": CandidateHealth(ttft_s=0.25, outstanding=3)})
    found = latency().choose(CALL, [make("a"), make("b")], state)
    assert {choice.reason for choice in found.choices} == {
        "first token after 0.25 s, 3 under way",
        "not measured, 0 under way",
    }


def test_weights_share_out_the_first_place_and_the_second(make):
    candidates = [make("a", weight=1), make("spare", weight=0), make("b", weight=3)]
    candidates.append(make("c", weight=6))
    chance = random.Random(5).random
    orders = [
        names(weighted().choose(CALL, candidates, chance=chance)) for _ in range(2_000)
    ]
    firsts = Counter(order[0] for order in orders)
    assert abs(firsts["c"] - 1_200) < 80
    assert abs(firsts["b"] - 600) < 80
    assert all(order[-1] == "spare" for order in orders)
    seconds = Counter(order[1] for order in orders if order[0] == "c")
    assert seconds["b"] / seconds.total() == pytest.approx(0.75, abs=0.05)


def affinities(count):
    return [place.to_bytes(16) for place in range(count)]


def placed(candidates, count=900):
    policy = sticky()
    return [
        names(policy.choose(RoutingRequest(affinity=each), candidates))
        for each in affinities(count)
    ]


def test_a_new_candidate_takes_only_its_own_share(make):
    old = [make(name) for name in "abcd"]
    before, after = placed(old), placed([*old, make("e")])
    moved = [new for was, new in zip(before, after, strict=True) if was[0] != new[0]]
    assert all(order[0] == "e" for order in moved)
    assert len(moved) / len(before) == pytest.approx(1 / 5, abs=0.05)
    for was, new in zip(before, after, strict=True):
        assert [name for name in new if name != "e"] == was


def test_conversations_spread_by_weight(make):
    firsts = Counter(order[0] for order in placed([make("a"), make("b", weight=2)]))
    assert firsts["b"] / 900 == pytest.approx(2 / 3, abs=0.05)
    spare = placed([make("spare", weight=0), make("a")], 20)
    assert {order[0] for order in spare} == {"a"}


def test_without_anything_to_share_all_candidates_are_equal(make):
    policy = sticky().then(cheapest_capable())
    candidates = [make("a", 2), make("b", 1)]
    assert names(policy.choose(RoutingRequest(input_tokens=9), candidates)) == [
        "b",
        "a",
    ]


def test_a_task_goes_only_where_its_needs_are_known_to_be_met(make):
    policy = capabilities({"law": {"legal", "tools"}})
    profile = {"tool_calling": True}
    yes = make("yes", capabilities={"legal"}, profile=profile)
    maybe = make("maybe", capabilities={"legal"})
    found = policy.choose(RoutingRequest(task="law"), [maybe, yes])
    assert names(found) == ["yes"]
    assert "tool_calling, which 'law' needs" in found.excluded[0].reason
    for task in (None, "chat"):
        other = policy.choose(RoutingRequest(task=task), [maybe, yes])
        assert names(other) == ["maybe", "yes"]
    with pytest.raises(ConfigurationError, match=r"give a set, \{'legal'\}"):
        capabilities({"law": "legal"})


def test_costs_follow_the_time_of_the_request(make):
    seen = []
    candidate = make("a", 1)
    object.__setattr__(
        candidate, "price", lambda usage, at: seen.append(at) or Decimal(1)
    )
    request = RoutingRequest(input_tokens=1, at="then")
    for policy in (cheapest_capable(), complexity({"a": 1})):
        policy.choose(request, [candidate])
    assert seen == ["then", "then"]
