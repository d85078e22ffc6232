"""What holds for `ScalingPolicy` whatever it is told."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.scaling import ScalingMetrics, ScalingPolicy
from langchain_llmops.scaling.forecast import load_ahead
from langchain_llmops.scaling.state import SAMPLES, LoadSample

MOST, COST, PRICE = 30, Decimal("2.5"), Decimal("0.1")
usages = st.none() | st.floats(0, 3)
policies = st.builds(
    ScalingPolicy,
    max_replicas=st.integers(5, MOST),
    min_replicas=st.integers(0, 5),
    max_token_usage=st.floats(0.2, 1),
    hysteresis=st.floats(0, 0.5),
    up_cooldown_s=st.floats(0, 200),
    down_cooldown_s=st.floats(0, 600),
    forecast_s=st.floats(0, 200),
    idle_s=st.floats(0, 900),
    replica_usd_per_hour=st.just(PRICE),
    max_usd_per_hour=st.just(COST),
)


@st.composite
def histories(draw):
    """Readings one after another, as wild as they come."""
    at_s, readings = 0.0, []
    for _ in range(draw(st.integers(1, 40))):
        at_s += draw(st.floats(0.5, 200))
        readings.append(
            ScalingMetrics(
                at_s=at_s,
                replicas=draw(st.integers(0, MOST)),
                token_usage=draw(usages),
                latency_ms=draw(st.none() | st.floats(0, 5_000)),
                error_rate=draw(st.just(0.0) | st.floats(0, 1)),
                waiting=draw(st.integers(0, 3)),
            )
        )
    return readings


@given(policies, histories())
def test_limits_and_cost_always_hold(run, policy, readings):
    for reading, made in zip(readings, run(policy, readings), strict=True):
        assert policy.min_replicas <= made.replicas <= policy.max_replicas
        assert made.replicas * PRICE <= COST
        assert made.state.target == made.replicas
        assert made.replicas or not reading.waiting
        assert len(made.state.loads) <= SAMPLES + 2


@given(policies, histories())
def test_known_load_gets_what_it_needs_as_far_as_the_limits_go(run, policy, readings):
    for reading, made in zip(readings, run(policy, readings), strict=True):
        room = made.replicas * policy.max_token_usage + 1e-6
        assert made.replicas == policy.ceiling or (reading.load or 0) <= room


@given(policies, histories(), st.integers(0, 39))
def test_the_same_readings_get_the_same_decisions(run, policy, readings, cut):
    whole = run(policy, readings)
    assert run(policy, readings) == whole
    done = whole[:cut]
    state = done[-1].state if done else None
    assert done + run(policy, readings[cut:], state) == whole


@given(policies, histories())
def test_nothing_is_given_back_within_a_cool_down_of_a_raise(run, policy, readings):
    before, raised_at_s = None, readings[0].at_s
    for reading, made in zip(readings, run(policy, readings), strict=True):
        if before is not None and made.replicas < before:
            assert reading.at_s - raised_at_s >= policy.down_cooldown_s
        if before is not None and made.replicas > before:
            raised_at_s = reading.at_s
        before = made.replicas


@given(policies, st.integers(0, MOST), st.floats(0, 3), st.floats(0, 3))
def test_more_load_never_asks_for_less(policy, replicas, one, other):
    low, high = (
        policy.decide(
            ScalingMetrics(at_s=0, replicas=replicas, token_usage=usage)
        ).replicas
        for usage in sorted((one, other))
    )
    assert low <= high


@given(policies, st.floats(0.01, 25), st.integers(5, 25))
def test_a_steady_load_comes_to_rest(run, policy, load, replicas):
    readings, state, targets = range(0, 3_000, 30), None, []
    for at_s in readings:
        metrics = ScalingMetrics(
            at_s=at_s, replicas=replicas, token_usage=load / replicas
        )
        made = policy.decide(metrics, state)
        state, replicas = made.state, max(made.replicas, 1)
        targets.append(replicas)
    changes = sum(a != b for a, b in pairwise(targets))
    assert changes <= 1
    assert len(set(targets[-30:])) == 1


@given(st.lists(st.floats(0.93, 1.0), min_size=60, max_size=120), st.floats(1, 15))
def test_noise_within_the_hysteresis_moves_nothing_after_the_first_change(
    run, noise, load
):
    policy = ScalingPolicy(max_replicas=30, hysteresis=0.15, forecast_s=0)
    readings = [
        ScalingMetrics(at_s=place * 15.0, replicas=20, token_usage=load * part / 20)
        for place, part in enumerate([1.0, *noise])
    ]
    targets = [made.replicas for made in run(policy, readings)]
    assert not any(after > before for before, after in pairwise(targets))


@given(
    st.lists(st.tuples(st.floats(0.1, 100), st.floats(0, 100)), max_size=30),
    st.floats(0, 100),
    st.floats(0, 300),
)
def test_a_forecast_lies_between_now_and_its_double(steps, now, ahead_s):
    at_s, samples = 0.0, []
    for gap, load in steps:
        at_s += gap
        samples.append(LoadSample(at_s, load))
    assert now <= load_ahead(samples, now, ahead_s) <= 2 * now
