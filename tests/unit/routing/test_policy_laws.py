"""What holds for every policy, whatever the candidates, the call and the moment."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing import (
    CandidateHealth,
    Opinion,
    RoutingRequest,
    RoutingState,
    SelectionPolicy,
    TextDifficulty,
    budget_pressure,
    capabilities,
    cheapest_capable,
    complexity,
    latency,
    learned,
    sticky,
    weighted,
)

NAMES = "abcdef"
QUALITY = {name: 0.5 + place / 20 for place, name in enumerate(NAMES)}
POLICIES = {
    "cheapest": cheapest_capable(),
    "nearly cheapest": cheapest_capable(tolerance=0.5),
    "budget": budget_pressure(start=0.5),
    "complexity": complexity(QUALITY),
    "latency": latency(),
    "weighted": weighted(),
    "sticky": sticky(),
    "capabilities": capabilities({"law": {"legal"}}),
    "learned": learned(embeddings=None, strong="c"),
    "composed": budget_pressure().then(cheapest_capable(tolerance=1)).then(latency()),
}
all_policies = pytest.mark.parametrize("policy", POLICIES.values(), ids=POLICIES)


@pytest.fixture(scope="module")
def pool(make):
    """One candidate for each name and price: making them in every example is slow."""
    prices = (None, 0, 1, 5)
    return {
        (name, usd, weight): make(name, usd, weight=weight, capabilities=caps)
        for name in NAMES
        for usd in prices
        for weight, caps in ((0, ()), (1, {"legal"}), (3, {"legal"}))
    }


KINDS = st.lists(
    st.tuples(
        st.sampled_from(NAMES),
        st.sampled_from([None, 0, 1, 5]),
        st.sampled_from([0, 1, 3]),
    ),
    unique_by=lambda kind: kind[0],
)
HEALTH = st.builds(
    CandidateHealth,
    ttft_s=st.none() | st.floats(0, 10),
    outstanding=st.integers(0, 5),
    error_share=st.floats(0, 1),
    is_open=st.booleans(),
)
STATES = st.builds(
    RoutingState,
    health=st.dictionaries(st.sampled_from(NAMES), HEALTH),
    budget_pressure=st.floats(0, 2),
)
REQUESTS = st.builds(
    RoutingRequest,
    input_tokens=st.integers(0, 10_000),
    output_tokens=st.integers(0, 10_000),
    task=st.sampled_from([None, "law", "chat"]),
    affinity=st.none() | st.binary(min_size=16, max_size=16),
    difficulty=st.none() | st.floats(0, 1),
)


@all_policies
@given(kinds=KINDS, request_=REQUESTS, state=STATES, seed=st.integers(0, 99))
def test_a_ranking_is_a_permutation_of_the_fitting_candidates(
    policy, pool, kinds, request_, state, seed
):
    candidates = [pool[kind] for kind in kinds]
    chance = random.Random(seed).random
    ranking = policy.choose(request_, candidates, state, chance=chance)
    out = [each.candidate for each in ranking.excluded]
    assert set(ranking.candidates) | set(out) == set(candidates)
    assert len(ranking.candidates) + len(out) == len(candidates)
    for candidate in candidates:
        assert not (
            state.of(candidate.name).is_open and candidate in ranking.candidates
        )
    assert all(each.reason for each in ranking.excluded)


@all_policies
@given(
    kinds=KINDS.filter(bool), request_=REQUESTS, state=STATES, place=st.integers(0, 5)
)
def test_a_candidate_that_does_not_fit_changes_nothing(
    policy, pool, kinds, request_, state, place
):
    unfit = pool[kinds.pop()]
    health = dict(state.health) | {unfit.name: CandidateHealth(is_open=True)}
    state = replace(state, health=health)
    candidates = [pool[kind] for kind in kinds]
    more = [*candidates[:place], unfit, *candidates[place:]]
    without, with_ = (
        policy.choose(request_, those, state, chance=random.Random(1).random)
        for those in (candidates, more)
    )
    assert with_.choices == without.choices
    assert unfit in {each.candidate for each in with_.excluded}


@all_policies
@given(kinds=KINDS, request_=REQUESTS, state=STATES)
def test_the_same_question_has_the_same_answer(policy, pool, kinds, request_, state):
    candidates = [pool[kind] for kind in kinds]
    one, other = (
        policy.choose(request_, candidates, state, chance=random.Random(7).random)
        for _ in range(2)
    )
    assert one == other


class Keyed(SelectionPolicy):
    """Rank by a table; count what was asked."""

    def __init__(self, **keys):
        self.keys = keys
        self.asked = []

    def rank(self, request, candidates, state, chance):
        self.asked.append([candidate.name for candidate in candidates])
        return [
            Opinion(key=(self.keys[one.name],), reason=f"{one.name}!")
            for one in candidates
        ]

    def exclude(self, request, candidate):
        return "never" if candidate.name == "never" else None


def test_a_second_policy_orders_only_what_the_first_finds_equal(make):
    first, second = Keyed(a=1, b=0, c=1, d=1), Keyed(a=2, b=9, c=1, d=2)
    third = Keyed(a=2, b=0, c=0, d=1)
    policy = first.then(second).then(third)
    ranking = policy.choose(RoutingRequest(), [make(name) for name in "abcd"])
    assert [one.name for one in ranking.candidates] == ["b", "c", "d", "a"]
    assert second.asked == [["a", "c", "d"]]
    assert third.asked == [["a", "d"]]
    assert [one.reason for one in ranking.choices] == [
        "b!",
        "c!; c!",
        "d!; d!; d!",
        "a!; a!; a!",
    ]


def test_what_either_of_two_policies_excludes_is_excluded(make):
    candidates = [make("never"), make("a", capabilities={"legal"}), make("b")]
    policy = Keyed(a=1, b=1).then(capabilities({"law": {"legal"}}))
    ranking = policy.choose(RoutingRequest(task="law"), candidates)
    assert [one.name for one in ranking.candidates] == ["a"]
    assert [one.reason for one in ranking.excluded] == [
        "never",
        "not known for legal, which 'law' needs",
    ]


def test_checks_and_the_estimator_of_both_policies_count(make):
    policy = latency().then(complexity({"a": 0.5}))
    assert isinstance(policy.estimator, TextDifficulty)
    assert complexity({"a": 0.5}).then(latency()).estimator is not None
    assert latency().then(sticky()).estimator is None
    with pytest.raises(ConfigurationError, match="lacks 'b'"):
        policy.check([make("a"), make("b")])
    with pytest.raises(ConfigurationError, match="no candidate has all that task"):
        capabilities({"law": {"legal"}}).then(latency()).check([make("a")])
    with pytest.raises(ConfigurationError, match="both estimate difficulty"):
        complexity({"a": 0.5}).then(complexity({"a": 0.5}))
