"""What `ScalingPolicy` answers, reading by reading."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.scaling import ScalingMetrics, ScalingPolicy

POLICY = ScalingPolicy(max_replicas=20)
STEADY = ScalingPolicy(max_replicas=20, forecast_s=0)
TO_ZERO = ScalingPolicy(max_replicas=20, min_replicas=0)


def reading(at_s=0.0, replicas=4, usage=0.5, **more):
    return ScalingMetrics(at_s=at_s, replicas=replicas, token_usage=usage, **more)


def test_a_load_above_the_goal_gets_its_number_in_one_step():
    decision = POLICY.decide(reading(replicas=4, usage=2.0))
    assert decision.replicas == 10
    assert decision.reason == "200% of 4 replicas are in use"


def test_a_load_at_the_goal_exactly_is_enough():
    assert POLICY.decide(reading(replicas=10, usage=0.8)).replicas == 10
    # 3 * 0.1 is a hair more than 0.3 in floats, which is no fourth replica.
    tenth = ScalingPolicy(max_replicas=20, max_token_usage=0.1)
    assert tenth.decide(reading(replicas=3, usage=0.1)).replicas == 3


def test_more_load_needs_no_cool_down(run):
    made = run(STEADY, [reading(0, 4, 1.0), reading(1, 4, 1.5)])
    assert [one.replicas for one in made] == [5, 8]


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"latency_ms": 2_001}, "calls take 2001 ms"),
        ({"error_rate": 0.011}, "1.1% of the calls fail"),
    ],
)
def test_slow_or_failing_calls_add_a_quarter(more, reason):
    decision = POLICY.decide(reading(replicas=8, **more))
    assert (decision.replicas, decision.reason) == (10, reason)


@pytest.mark.parametrize("more", [{"latency_ms": 2_000}, {"error_rate": 0.01}])
def test_a_limit_that_is_just_kept_adds_nothing(more):
    assert POLICY.decide(reading(replicas=8, **more)).replicas == 8


def test_a_step_is_taken_again_only_after_the_cool_down(run):
    slow = [reading(at, 8, 0.5, latency_ms=9_000) for at in (0, 30, 59, 60, 90)]
    made = run(POLICY, slow)
    assert [one.replicas for one in made] == [10, 10, 10, 13, 13]


def test_idle_replicas_are_not_the_reason_for_slow_calls():
    decision = POLICY.decide(reading(usage=0.39, latency_ms=9_000))
    assert decision.replicas == 4


def test_nothing_is_given_back_while_calls_fail(run, series):
    failing = series([0.1] * 60, replicas=8, error_rate=0.5)
    assert {one.replicas for one in run(POLICY, failing)} == {8}
    fine = series([0.1] * 60, replicas=8)
    assert run(POLICY, fine)[-1].replicas == 2


def test_given_back_is_what_the_whole_cool_down_could_spare(run, series):
    made = run(STEADY, series([0.5, *[0.1] * 40], replicas=8))
    targets = [one.replicas for one in made]
    # 300 s are 20 readings; the first, of 4 replicas' load, counts for that long.
    assert targets[:20] == [8] * 20
    assert targets[20:22] == [6, 2]
    assert made[21].reason == "at most 0.8 replicas were busy for a cool-down"


def test_what_was_added_is_kept_for_a_cool_down(run, series):
    made = run(STEADY, series([0.2] * 30 + [1.0] + [0.2] * 40, replicas=8))
    targets = [one.replicas for one in made]
    assert targets[29:52] == [3, *[10] * 20, 10, 3]


def test_a_rising_load_is_met_before_it_comes(run, series):
    rising = series([0.4 + 0.04 * n for n in range(10)], replicas=10)
    assert run(STEADY, rising)[-1].replicas == 10
    made = run(POLICY, rising)
    # 0.4 replicas more every 15 s are 1.6 more in 60 s, on top of 7.6.
    assert made[-1].replicas == 12
    assert "load rises to 9.2 replicas in 60 s" in [one.reason for one in made]


def test_a_burst_is_not_drawn_out_beyond_its_double(run):
    flat = [reading(at, 10, 0.1) for at in range(0, 120, 15)]
    made = run(POLICY, [*flat, reading(120, 10, 0.75)])
    assert made[-1].replicas <= 19


def test_readings_close_together_say_nothing_of_a_minute_later(run):
    made = run(POLICY, [reading(0, 10, 0.5), reading(1, 10, 0.6)])
    assert made[-1].replicas == 10


def test_an_unknown_token_usage_changes_nothing(run):
    gap = [reading(at, 8, None, latency_ms=9_000) for at in range(0, 3_600, 60)]
    made = run(TO_ZERO, gap)
    assert {one.replicas for one in made} == {8}
    assert made[0].reason == "the token usage is unknown"
    # Nor is a time without readings one without work.
    assert TO_ZERO.decide(reading(3_600, 8, 0.0), made[-1].state).replicas == 1


def test_an_older_reading_changes_nothing(run):
    first, late = run(POLICY, [reading(100, 4, 0.5), reading(99, 4, 3.0)])
    assert (late.replicas, late.state) == (4, first.state)


def test_the_last_replica_goes_after_the_idle_time_and_not_before(run):
    quiet = [reading(0, 2, 0.3), *(reading(at, 2, 0.0) for at in range(60, 1_000, 60))]
    made = {one.state.seen_at_s: one.replicas for one in run(TO_ZERO, quiet)}
    assert made[840] == 1
    assert made[900] == 0


def test_replicas_stay_at_the_least_without_scaling_to_zero(run):
    quiet = [reading(at, 4, 0.0) for at in range(0, 7_200, 60)]
    policy = ScalingPolicy(max_replicas=9, min_replicas=2)
    assert run(policy, quiet)[-1].replicas == 2


def test_one_waiting_call_wakes_the_first_replica_which_then_stays(run):
    asleep = reading(0, 0, None)
    waking = [reading(at, 0, None, waiting=1) for at in (10, 20)]
    started = [reading(30, 0, None), reading(40, 1, 0.0)]
    made = run(TO_ZERO, [asleep, *waking, *started])
    assert [one.replicas for one in made] == [0, 1, 1, 1, 1]
    assert made[1].reason == "calls wait"


def test_a_waiting_call_wakes_a_policy_that_sleeps_at_once():
    hasty = ScalingPolicy(max_replicas=20, min_replicas=0, idle_s=0)
    assert hasty.decide(reading(0, 0, None, waiting=1)).replicas == 1


def test_what_a_rising_load_will_need_is_not_given_back(run):
    policy = ScalingPolicy(max_replicas=30, down_cooldown_s=60)
    rising = [(0, 0.1), (15, 0.15), (30, 0.2), (45, 0.25), (60, 0.3)]
    made = run(policy, [reading(at, 20, usage) for at, usage in rising])
    # 6 replicas' load now would fit into 9; in a minute it will be 10.
    assert made[-1].replicas == 13


def test_replicas_that_start_are_not_asked_for_twice(run):
    starting = [reading(at, 0, None, waiting=50) for at in (0, 15, 30)]
    state = POLICY.decide(reading(0, 4, 1.5)).state
    assert {one.replicas for one in run(POLICY, starting, state)} == {8}


def test_cost_counts_more_than_load():
    policy = ScalingPolicy(
        max_replicas=20, replica_usd_per_hour="0.10", max_usd_per_hour="0.30"
    )
    decision = policy.decide(reading(usage=3.0))
    assert decision.replicas == policy.ceiling == 3
    assert decision.reason == "300% of 4 replicas are in use; 3 is the limit, not 15"


def test_the_state_is_plain_numbers(run, series):
    state = run(POLICY, series([0.5, 0.9], replicas=4))[-1].state
    assert asdict(state) == {
        "target": 7,
        "seen_at_s": 15.0,
        "began_at_s": 0.0,
        "raised_at_s": 15.0,
        "busy_at_s": 15.0,
        "loads": ((0.0, 2.0), (15.0, 3.6)),
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_replicas": 0},
        {"min_replicas": 11},
        {"min_replicas": -1},
        {"max_token_usage": 0},
        {"max_token_usage": 80},
        {"max_error_rate": 1.5},
        {"hysteresis": 1},
        {"forecast_s": -1},
        {"down_cooldown_s": float("nan")},
        {"max_usd_per_hour": 1},
        {"max_usd_per_hour": 1, "replica_usd_per_hour": 0},
        {"max_usd_per_hour": 1, "replica_usd_per_hour": 2},
        {"max_usd_per_hour": 1, "replica_usd_per_hour": "0.6", "min_replicas": 2},
    ],
)
def test_a_policy_that_contradicts_itself_is_refused(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        ScalingPolicy(**{"max_replicas": 10, **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"at_s": float("inf")},
        {"replicas": -1},
        {"usage": float("nan")},
        {"latency_ms": -5},
        {"error_rate": 1.2},
        {"waiting": -1},
    ],
)
def test_a_reading_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="give a"):
        reading(**wrong)
