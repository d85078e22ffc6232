"""`HealthBoard`: what is measured of candidates, and whom silence keeps calls from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.routing import CircuitBreaker, HealthBoard, classify
from langchain_llmops.routing.recent_times import RecentTimes


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> HealthBoard:
    return HealthBoard(["a", "b"], breaker=CircuitBreaker(clock=clock))


DOWN = classify(ConnectionRefusedError())


def answer(board: HealthBoard, seconds: float = 0.2, times: int = 1) -> None:
    for _ in range(times):
        call = board.begin("a")
        assert call is not None
        board.clock.now += seconds
        call.first_token()
        call.succeeded()


def test_nothing_is_known_at_first(board):
    health = board.snapshot()["a"]
    assert (health.ttft_s, health.outstanding, health.error_share) == (None, 0, 0)
    assert not health.is_open


def test_the_time_to_the_first_token_is_a_moving_average(board):
    answer(board, 1)
    assert board.snapshot()["a"].ttft_s == pytest.approx(1)
    answer(board, 2)
    assert board.snapshot()["a"].ttft_s == pytest.approx(1.2)
    assert board.snapshot()["b"].ttft_s is None


def test_only_the_first_token_counts_and_an_answer_without_one_is_one(board, clock):
    call = board.begin("a")
    clock.now += 1
    call.first_token()
    clock.now += 5
    call.first_token()
    call.succeeded()
    assert board.snapshot()["a"].ttft_s == pytest.approx(1)
    whole = board.begin("b")
    clock.now += 3
    whole.succeeded()
    assert board.snapshot()["b"].ttft_s == pytest.approx(3)


def test_an_old_measurement_is_none(board, clock):
    answer(board, 1)
    clock.now += 31
    assert board.snapshot()["a"].ttft_s is None
    answer(board, 4)
    assert board.snapshot()["a"].ttft_s == pytest.approx(4)


@pytest.mark.parametrize("end", ["succeeded", "released", "failed"])
def test_calls_under_way_are_counted_until_they_end_once(board, end):
    calls = [board.begin("a"), board.begin("a")]
    assert board.snapshot()["a"].outstanding == 2
    for _ in range(3):
        getattr(calls[0], end)(*([DOWN] if end == "failed" else []))
    calls[0].released()
    calls[0].failed(DOWN)
    calls[0].succeeded()
    assert board.snapshot()["a"].outstanding == 1


def test_the_share_of_failures_rises_falls_and_is_forgotten(board, clock):
    board.begin("a").failed(DOWN)
    assert board.snapshot()["a"].error_share == pytest.approx(0.2)
    answer(board, 0.0)
    assert board.snapshot()["a"].error_share == pytest.approx(0.16)
    clock.now += 5
    assert board.snapshot()["a"].error_share == pytest.approx(0.08)


@pytest.mark.parametrize("error", [KeyError(), GeneratorExit()])
def test_a_failure_that_lies_in_the_call_is_no_verdict(board, error):
    board.begin("a").failed(classify(error))
    assert board.snapshot()["a"].error_share == 0


def test_without_a_breaker_nothing_is_kept_away(clock):
    board = HealthBoard(["a"], clock=clock)
    for _ in range(50):
        board.begin("a").failed(DOWN)
    assert board.begin("a") is not None
    assert not board.snapshot()["a"].is_open


def test_failures_open_the_circuit_and_a_forced_call_closes_it(board, clock):
    for _ in range(3):
        board.begin("a").failed(DOWN)
    assert board.begin("a") is None
    assert board.snapshot()["a"].is_open
    clock.now += 0.1
    board.begin("a", forced=True).succeeded()
    health = board.snapshot()["a"]
    assert not health.is_open
    assert health.error_share == 0


def test_a_failure_in_the_middle_of_a_stream_counts(board):
    for _ in range(3):
        call = board.begin("a")
        call.first_token()
        call.failed(DOWN)
    assert board.snapshot()["a"].is_open


def test_whose_next_call_is_a_probe_counts_as_not_measured(board, clock):
    answer(board, 0.2)
    for _ in range(3):
        board.begin("a").failed(DOWN)
    assert board.snapshot()["a"].error_share > 0.4
    clock.now += 1.1
    health = board.snapshot()["a"]
    assert (health.ttft_s, health.error_share, health.is_open) == (None, 0, False)


def test_a_probe_that_was_cancelled_gives_its_place_back(board, clock):
    for _ in range(3):
        board.begin("a").failed(DOWN)
    clock.now += 1.1
    board.begin("a").released()
    assert board.begin("a") is not None
    assert board.begin("a") is None


def test_silence_keeps_further_calls_away_until_something_is_heard(board, clock):
    answer(board, 0.2, times=40)
    waiting = [board.begin("a") for _ in range(3)]
    clock.now += 0.24
    fourth = board.begin("a")
    assert fourth is not None
    clock.now += 0.02
    assert board.begin("a") is None
    assert board.snapshot()["a"].is_open
    waiting[1].first_token()
    assert board.begin("a") is not None
    assert not board.snapshot()["a"].is_open


def test_silence_does_not_hold_back_a_forced_call(board, clock):
    answer(board, 0.2, times=40)
    for _ in range(3):
        board.begin("a")
    clock.now += 9
    assert board.begin("a") is None
    assert board.begin("a", forced=True) is not None


def test_one_slow_call_is_no_silence(board, clock):
    answer(board, 0.2, times=40)
    board.begin("a")
    board.begin("a")
    clock.now += 9
    assert board.begin("a") is not None


def test_before_something_is_learnt_there_is_no_silence(board, clock):
    answer(board, 0.2, times=5)
    for _ in range(10):
        board.begin("a")
    clock.now += 9
    assert board.begin("a") is not None


def test_probes_that_hang_do_not_keep_the_next_one_away(board, clock):
    answer(board, 0.2, times=40)
    waiting = [board.begin("a") for _ in range(4)]
    for call in waiting:
        call.failed(DOWN)
    for _ in range(5):
        clock.now += 2
        assert board.begin("a") is not None


def test_a_candidate_that_gets_slow_is_left_and_taken_back_if_it_stays_so(board, clock):
    answer(board, 0.2, times=40)
    for _ in range(3):
        call = board.begin("a")
        clock.now += 1
        call.first_token()
        call.succeeded()
    assert board.begin("a") is None
    probes = 0
    while board.snapshot()["a"].is_open:
        clock.now += 2
        call = board.begin("a")
        clock.now += 1
        call.first_token()
        call.succeeded()
        probes += 1
    assert 2 <= probes < 20


def test_slow_may_be_given_in_seconds(clock):
    board = HealthBoard(["a"], breaker=CircuitBreaker(clock=clock, slow_after_s=0.5))
    answer(board, 0.49, times=9)
    assert not board.snapshot()["a"].is_open
    for _ in range(3):
        answer(board, 0.51)
    assert board.snapshot()["a"].is_open


def test_whole_answers_are_no_slow_first_tokens(board, clock):
    answer(board, 0.2, times=40)
    for _ in range(5):
        whole = board.begin("a")
        clock.now += 5
        whole.succeeded()
    health = board.snapshot()["a"]
    assert not health.is_open
    assert health.ttft_s == pytest.approx(0.2)


def test_a_whole_answer_that_takes_far_longer_than_the_others_is_slow(board, clock):
    for seconds in [1.0] * 30 + [3.1] * 3:
        whole = board.begin("a")
        clock.now += seconds
        whole.succeeded()
    assert board.snapshot()["a"].is_open


def test_hedging_waits_as_told_or_for_what_was_learnt(board):
    assert board.hedge_after_s("a", None) is None
    assert board.hedge_after_s("a", 1.5) == 1.5
    assert board.hedge_after_s("a", "p95") is None
    answer(board, 0.2, times=100)
    assert board.hedge_after_s("a", "p95") == pytest.approx(0.2)
    assert board.hedge_after_s("b", "p95") is None


def test_the_use_of_a_minute_slides(board, clock):
    clock.now = 600.0
    board.used("a", requests=1, tokens=100)
    board.used("a", tokens=100)
    health = board.snapshot()["a"]
    assert (health.requests_used, health.tokens_used) == (2, 200)
    clock.now = 660.0 + 15
    health = board.snapshot()["a"]
    assert (health.requests_used, health.tokens_used) == (2, 150)
    clock.now = 660.0 + 45
    assert board.snapshot()["a"].tokens_used == 50
    clock.now = 720.0 + 1
    assert board.snapshot()["a"].tokens_used == 0


@given(st.lists(st.floats(0, 100), min_size=20, max_size=300))
def test_the_p95_is_one_of_the_recent_times_and_few_are_above(times):
    recent = RecentTimes()
    for seconds in times:
        recent.add(seconds)
    p95 = recent.p95_s
    assert p95 is not None
    newest = sorted(times[-136:])
    assert p95 in newest
    above = sum(seconds > p95 for seconds in newest)
    assert above <= 0.05 * len(newest) + 8
