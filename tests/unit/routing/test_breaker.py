"""`CircuitBreaker`: when it opens, what it lets through, when it closes."""

from __future__ import annotations

import threading
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing import CircuitBreaker, Failure
from langchain_llmops.routing.circuit import (
    CLOSED,
    CircuitRules,
    adopted,
    begun,
    failed,
    probed,
)

RULES = CircuitRules(failures=3, open_s=1.0, max_open_s=1.9)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker(clock=clock, chance=lambda: 0.0)


def failure(kind: Any, after: float | None = None) -> Failure:
    return Failure(kind=kind, error=RuntimeError(kind), retry_after_s=after)


def fail(breaker: CircuitBreaker, times: int = 1, kind: Any = "server") -> None:
    for _ in range(times):
        began = breaker.admit("a", forced=True)
        breaker.failed("a", failure(kind), began)


def succeed(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.answered("a", breaker.admit("a"))


def test_it_opens_after_so_many_failures_in_a_row(breaker):
    fail(breaker, 2)
    assert breaker.admit("a") is not None
    assert not breaker.is_open("a")
    fail(breaker, 2)
    assert breaker.is_open("a")
    assert breaker.admit("a") is None
    assert not breaker.is_open("b")
    assert breaker.admit("b") is not None


@pytest.mark.parametrize("failures", [1, 2, 5, 10])
def test_in_a_row_means_exactly_that_many(clock, failures):
    breaker = CircuitBreaker(failures=failures, clock=clock)
    fail(breaker, failures - 1)
    assert not breaker.is_open("a")
    fail(breaker)
    assert breaker.is_open("a")


def test_every_second_failure_opens_it_too(breaker):
    for _ in range(12):
        fail(breaker)
        if breaker.is_open("a"):
            return
        succeed(breaker)
    pytest.fail("it stayed closed")


def test_a_failure_now_and_then_does_not(breaker):
    for _ in range(200):
        fail(breaker)
        succeed(breaker, 9)
        assert not breaker.is_open("a")


def test_answers_to_calls_from_before_the_outage_do_not_hide_it(breaker):
    before = [breaker.admit("a") for _ in range(50)]
    for began in before[:3]:
        fail(breaker)
        breaker.answered("a", began)
    assert breaker.is_open("a")


@pytest.mark.parametrize(
    "kind",
    [
        "bad_request",
        "context_length",
        "content_policy",
        "cancelled",
        "refused",
        "unknown",
    ],
)
def test_a_failure_that_lies_in_the_call_counts_nowhere(breaker, kind):
    fail(breaker, 50, kind)
    assert not breaker.is_open("a")


def test_classes_of_errors_count_apart(breaker):
    for kind in ("server", "rate_limit", "timeout", "rate_limit", "server"):
        fail(breaker, 1, kind)
    assert not breaker.is_open("a")
    fail(breaker, 1, "connection")
    assert breaker.is_open("a")


def test_denied_access_keeps_it_open_ten_times_as_long(breaker, clock):
    fail(breaker, 3, "auth")
    clock.now += 9.9
    assert breaker.is_open("a")
    clock.now += 0.2
    assert breaker.is_due("a")


def test_one_retry_after_opens_it_for_as_long_as_it_says(breaker, clock):
    breaker.failed("a", failure("rate_limit", 7), breaker.admit("a"))
    clock.now += 6.9
    assert breaker.admit("a") is None
    clock.now += 0.2
    assert breaker.admit("a") is not None


def test_an_absurd_retry_after_is_believed_for_a_minute(breaker, clock):
    breaker.failed("a", failure("rate_limit", 1e9), breaker.admit("a"))
    clock.now += 60
    assert breaker.is_due("a")


def test_a_retry_after_to_a_probe_is_honoured_too(breaker, clock):
    fail(breaker, 3)
    clock.now += 2
    breaker.failed("a", failure("server", 20), breaker.admit("a"))
    clock.now += 19
    assert breaker.is_open("a")


def test_of_fifty_calls_one_probes(breaker, clock):
    fail(breaker, 3)
    clock.now += 1.01
    assert breaker.is_due("a")
    assert not breaker.is_open("a")
    admitted = [breaker.admit("a") for _ in range(50)]
    assert len([began for began in admitted if began is not None]) == 1


def test_of_threads_that_come_together_one_probes(breaker, clock):
    fail(breaker, 3)
    clock.now += 1.01
    gate = threading.Barrier(16)
    admitted: list[float | None] = []

    def come() -> None:
        gate.wait()
        admitted.append(breaker.admit("a"))

    threads = [threading.Thread(target=come) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([began for began in admitted if began is not None]) == 1


def test_an_answered_probe_closes_it_and_a_failure_soon_after_opens_it(breaker, clock):
    fail(breaker, 3)
    clock.now += 1.01
    assert breaker.answered("a", breaker.admit("a"))
    assert breaker.is_closed("a")
    fail(breaker)
    assert breaker.is_open("a")


def test_after_some_good_calls_it_takes_as_many_failures_as_before(breaker, clock):
    fail(breaker, 3)
    clock.now += 1.01
    succeed(breaker, 12)
    fail(breaker, 2)
    assert not breaker.is_open("a")


def test_an_answer_from_before_the_opening_does_not_close_it(breaker, clock):
    before = breaker.admit("a")
    clock.now += 1
    fail(breaker, 3)
    assert not breaker.answered("a", before)
    assert breaker.is_open("a")


def test_a_forced_call_that_is_answered_closes_it(breaker, clock):
    fail(breaker, 3)
    clock.now += 0.1
    assert breaker.admit("a") is None
    assert breaker.answered("a", breaker.admit("a", forced=True))


def test_failures_of_forced_calls_do_not_put_the_probe_off(breaker, clock):
    fail(breaker, 3)
    clock.now += 0.9
    fail(breaker, 20)
    clock.now += 0.11
    assert breaker.is_due("a")


def test_a_probe_without_verdict_gives_its_place_back(breaker, clock):
    fail(breaker, 3)
    clock.now += 1.01
    began = breaker.admit("a")
    breaker.released("a", began)
    assert breaker.admit("a") is not None
    assert breaker.admit("a") is None


def test_a_probe_that_hangs_holds_up_neither_the_next_one(breaker, clock):
    fail(breaker, 3)
    clock.now += 1.01
    assert breaker.admit("a") is not None
    clock.now += 1.91
    assert breaker.admit("a") is not None


def test_open_times_double_up_to_their_most(clock):
    breaker = CircuitBreaker(open_s=1, max_open_s=5, clock=clock, chance=lambda: 0.0)
    fail(breaker, 3)
    probes = []
    while len(probes) < 5:
        if breaker.admit("a") is not None:
            probes.append(clock.now)
        clock.now += 0.01
    gaps = [later - earlier for earlier, later in pairwise([100.0, *probes])]
    assert gaps == pytest.approx([1, 2, 4, 5, 5], abs=0.02)


@given(level=st.integers(0, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_the_jitter_takes_away_at_most_a_twentieth(level, chance):
    longest = RULES.open_for_s("sick", level, 0.0)
    assert 0.95 * longest <= RULES.open_for_s("sick", level, chance) <= longest <= 1.9


events = st.lists(
    st.tuples(
        st.sampled_from(["admit", "answer", "fail", "release", "force"]),
        st.sampled_from(["server", "rate_limit", "auth", "bad_request"]),
        st.floats(0, 5),
    ),
    max_size=80,
)


@given(events=events)
def test_whatever_happens_a_probe_may_go_soon_and_they_keep_apart(events):
    clock = Clock()
    breaker = CircuitBreaker(clock=clock)
    calls: list[float] = []
    for event, kind, seconds in events:
        clock.now += seconds
        due = breaker.is_due("a")
        if event in ("admit", "force"):
            began = breaker.admit("a", forced=event == "force")
            assert began is not None or event == "admit"
            if began is not None:
                calls.append(began)
            if due:  # that was the probe: there is no second one
                assert breaker.admit("a") is None
        elif calls:
            began = calls.pop()
            if event == "answer":
                breaker.answered("a", began)
            elif event == "fail":
                breaker.failed("a", failure(kind), began)
            else:
                breaker.released("a", began)
        assert breaker.is_open("a") + breaker.is_due("a") + breaker.is_closed("a") == 1
    clock.now += 19.01
    assert breaker.admit("a") is not None


def test_the_state_is_a_value_that_no_step_changes():
    one = failed(CLOSED, RULES, "sick", now=1, chance=0)
    two = failed(one, RULES, "sick", now=1, chance=0)
    opened = failed(two, RULES, "sick", now=1, chance=0)
    assert dict(CLOSED.points) == {}
    assert dict(one.points) == {"sick": 1}
    assert opened.why == "sick"
    assert probed(opened, RULES, now=2, chance=0).until == pytest.approx(3.9)
    assert opened.until == 2
    assert begun(CLOSED) is CLOSED


@given(level=st.integers(-10, 10**9), seconds=st.floats(0, 1e300))
def test_the_news_of_others_are_believed_within_the_own_rules(level, seconds):
    circuit = adopted(CLOSED, RULES, "sick", level=level, open_for_s=seconds, now=5)
    assert 5 <= circuit.until <= 5 + 1.9
    assert 0 <= circuit.level <= 16


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"failures": 0}, "failures=0"),
        ({"failures": 2.5}, "failures=2.5"),
        ({"open_s": 0}, "open_s=0"),
        ({"max_open_s": float("nan")}, "max_open_s=nan"),
        ({"slow_after_s": -1}, "slow_after_s=-1"),
        ({"open_s": 3}, "open_s=3 is over max_open_s=1.9"),
    ],
)
def test_a_wrong_argument_is_named(wrong, says):
    with pytest.raises(ConfigurationError, match=says):
        CircuitBreaker(**wrong)
