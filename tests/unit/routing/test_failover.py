"""`FailoverPolicy`: what follows a failed attempt."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing import (
    Attempt,
    Choice,
    FailoverPolicy,
    Failure,
    FailureKind,
    GiveUp,
    Try,
)

if TYPE_CHECKING:
    from langchain_llmops.routing import Candidate

KINDS = get_args(FailureKind)
AT_ONCE = (
    "rate_limit",
    "quota",
    "auth",
    "not_found",
    "connection",
    "timeout",
    "server",
)
REPEATED = ("rate_limit", "connection", "timeout", "server")


@pytest.fixture(scope="module")
def three(make) -> list[Candidate]:
    return [make("a"), make("b"), make("c")]


def failed(candidate: Candidate, kind: Any, after: float | None = None, at: float = 0):
    failure = Failure(kind=kind, error=RuntimeError(kind), retry_after_s=after)
    return Attempt(candidate=candidate, failure=failure, at=at)


def step(ranked: Any, *attempts: Attempt, policy: Any = None, **given: Any) -> Any:
    policy = policy or FailoverPolicy()
    settings = {"now": 0.0, "chance": lambda: 0.0} | given
    return policy.next_step(ranked, attempts, **settings)


@pytest.mark.parametrize("kind", [*AT_ONCE, "refused", "unknown"])
def test_another_candidate_is_asked_at_once(three, kind):
    a, b, _ = three
    assert step(three, failed(a, kind, after=9)) == Try(candidate=b, wait_s=0)


@pytest.mark.parametrize("kind", ["bad_request", "cancelled", "content_policy"])
def test_what_fails_everywhere_is_given_up_at_once(three, kind):
    assert isinstance(step(three, failed(three[0], kind)), GiveUp)


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_passing_failure_is_repeated(three, kind):
    a = three[0]
    after = step([a], failed(a, kind))
    if kind in REPEATED:
        assert after == Try(candidate=a, wait_s=0.25)
    else:
        assert isinstance(after, GiveUp)


def test_who_once_refused_for_good_is_not_repeated_after_a_passing_failure(three):
    a, b, _ = three
    again = step([a, b], failed(a, "auth"), failed(b, "server"))
    assert again.candidate is b


def test_attempts_end_at_their_number(three):
    a, b, _ = three
    policy = FailoverPolicy(max_attempts=2)
    after = step(three, failed(a, "server"), failed(b, "server"), policy=policy)
    assert after == GiveUp(reason="max_attempts=2 were made")


def test_a_passed_deadline_ends_it(three):
    after = step(three, failed(three[0], "server"), left_s=0)
    assert after == GiveUp(reason="the deadline has passed")


def test_retry_after_is_waited_for_less_what_has_passed(three):
    a, b, _ = three
    after = step([a, b], failed(a, "rate_limit", 10, at=1), failed(b, "auth"), now=5)
    assert after == Try(candidate=a, wait_s=6)


def test_who_may_be_asked_soonest_is_repeated_first(three):
    a, b, _ = three
    again = step([a, b], failed(a, "rate_limit", 10), failed(b, "rate_limit", 4))
    assert again == Try(candidate=b, wait_s=4)


def test_a_retry_after_beyond_the_deadline_is_given_up_at_once(three):
    a = three[0]
    after = step([a], failed(a, "rate_limit", 10), left_s=9)
    assert after == GiveUp(reason="the next attempt would wait 10 s, 9 s are left")


def test_a_retry_after_beyond_the_longest_wait_is_given_up(three):
    after = step([three[0]], failed(three[0], "rate_limit", 31))
    assert "longer than max_wait_s=30.0" in after.reason


def test_the_backoff_doubles_and_is_jittered(three):
    a = three[0]
    policy = FailoverPolicy(max_attempts=99, backoff_s=1, max_wait_s=6)
    waits = [
        step([a], *[failed(a, "server")] * n, policy=policy, chance=lambda: 1.0).wait_s
        for n in range(1, 6)
    ]
    assert waits == [1, 2, 4, 6, 6]
    lower = step([a], failed(a, "server"), policy=policy)
    assert lower.wait_s == 0.5


def test_an_overlong_prompt_goes_to_a_longer_window_only(make):
    small, less, large = (
        make(name, max_input_tokens=limit)
        for name, limit in (("small", 10), ("less", 5), ("large", 99))
    )
    ranked = [small, less, large]
    assert step(ranked, failed(small, "context_length")).candidate is large
    done = step([small, less], failed(small, "context_length"))
    assert isinstance(done, GiveUp)


def test_an_unknown_window_may_be_longer(make):
    small, unknown = make("small", max_input_tokens=10), make("unknown")
    assert step([small, unknown], failed(small, "context_length")).candidate is unknown
    again = step([small, unknown], failed(unknown, "context_length"))
    assert again.candidate is small


def test_after_an_overflow_the_longer_one_that_was_down_is_repeated(make):
    large, small = make("large", max_input_tokens=99), make("s", max_input_tokens=9)
    attempts = failed(large, "server"), failed(small, "context_length")
    assert step([small, large], *attempts).candidate is large


def test_an_overlong_prompt_is_raised_where_asked_for(make):
    small, large = make("small", max_input_tokens=9), make("l", max_input_tokens=99)
    policy = FailoverPolicy(on_context_overflow="raise")
    after = step([small, large], failed(small, "context_length"), policy=policy)
    assert after == GiveUp(reason="the prompt is too long")


def test_a_filtered_prompt_goes_on_where_asked_for(three):
    a, b, _ = three
    policy = FailoverPolicy(on_content_filter="next")
    assert step(three, failed(a, "content_policy"), policy=policy).candidate is b
    done = step([a], failed(a, "content_policy"), policy=policy)
    assert isinstance(done, GiveUp)


def test_tiers_come_in_order_and_keep_the_order_inside(make):
    names = {"a": "large", "b": "small", "c": "large", "d": "small"}
    choices = [
        Choice(candidate=make(name, tier=tier), reason="")
        for name, tier in names.items()
    ]
    ordered = FailoverPolicy(tiers=["small", "large"]).order(choices)
    assert [choice.candidate.name for choice in ordered] == ["b", "d", "a", "c"]
    assert FailoverPolicy().order(choices) == tuple(choices)


def test_tiers_are_checked_against_the_candidates(make):
    small, large = make("s", tier="small"), make("l", tier="large")
    FailoverPolicy().check([small, large])
    FailoverPolicy(tiers=["small", "large"]).check([small, large])
    with pytest.raises(ConfigurationError, match="'l' is of the tier 'large'"):
        FailoverPolicy(tiers=["small"]).check([small, large])
    with pytest.raises(ConfigurationError, match="no candidate is of the tier 'huge'"):
        FailoverPolicy(tiers=["small", "large", "huge"]).check([small, large])


@pytest.mark.parametrize(
    ("own", "left", "limit"),
    [(None, None, None), (3, None, 3), (3, 2, 2), (None, 2, 2)],
)
def test_an_attempt_takes_no_longer_than_its_limit_and_the_deadline(own, left, limit):
    assert FailoverPolicy(attempt_timeout_s=own).timeout_s(left) == limit


@pytest.mark.parametrize(
    "wrong",
    [
        {"tiers": "small"},
        {"tiers": ["small", "small"]},
        {"retry_on": "server"},
        {"retry_on": {"auth"}},
        {"retry_on": {"bad_request"}},
        {"retry_on": {"sunspots"}},
        {"max_attempts": 0},
        {"max_attempts": True},
        {"deadline_s": 0},
        {"deadline_s": math.inf},
        {"attempt_timeout_s": -1},
        {"hedge_after": "p99"},
        {"hedge_after": 0},
        {"mid_stream": "ignore"},
        {"on_context_overflow": "cut"},
        {"on_content_filter": "ignore"},
        {"backoff_s": 0},
        {"max_wait_s": None},
    ],
)
def test_a_wrong_argument_is_named(wrong):
    [(name, value)] = wrong.items()
    with pytest.raises(ConfigurationError, match=name) as raised:
        FailoverPolicy(**wrong)
    shown = value if isinstance(value, str | int | float) else next(iter(value or [""]))
    assert repr(shown) in str(raised.value) or value is None


def test_it_is_a_value_that_can_be_compared_and_hashed():
    policies = {FailoverPolicy(tiers=["a"]), FailoverPolicy(tiers=("a",))}
    assert len(policies) == 1


failures = st.tuples(
    st.sampled_from(KINDS), st.none() | st.floats(0, 100), st.floats(0, 5)
)


@given(
    outcomes=st.lists(failures, max_size=30),
    max_attempts=st.integers(1, 8),
    deadline_s=st.none() | st.floats(0.1, 60),
    windows=st.lists(st.none() | st.integers(1, 5), min_size=1, max_size=4),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_whatever_happens(make, outcomes, max_attempts, deadline_s, windows, chance):
    policy = FailoverPolicy(max_attempts=max_attempts, on_content_filter="next")
    ranked = [make(f"m{n}", max_input_tokens=limit) for n, limit in enumerate(windows)]
    attempts: list[Attempt] = []
    candidate, now, waited = ranked[0], 0.0, 0.0
    for kind, after, took in outcomes:
        now += took
        attempts.append(failed(candidate, kind, after, at=now))
        left = None if deadline_s is None else deadline_s - now
        taken = policy.next_step(
            ranked, attempts, now=now, left_s=left, chance=lambda: chance
        )
        if isinstance(taken, GiveUp):
            break
        tried = [attempt.candidate for attempt in attempts]
        kinds = [a.failure.kind for a in attempts if a.candidate is taken.candidate]
        overflowed = [
            a.candidate.max_input_tokens or 0
            for a in attempts
            if a.failure.kind == "context_length"
        ]
        longest = max(overflowed, default=0)
        able = [c for c in ranked if (c.max_input_tokens or math.inf) > longest]
        assert taken.candidate in able
        if taken.candidate in tried:
            assert all(other in tried for other in able)
            assert set(kinds) <= set(REPEATED)
        else:
            assert taken.wait_s == 0
        assert left is None or taken.wait_s < left
        waited += taken.wait_s
        now += taken.wait_s
        candidate = taken.candidate
    assert len(attempts) <= max_attempts
    assert deadline_s is None or waited <= deadline_s
