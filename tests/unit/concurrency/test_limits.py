"""What may go when: the minute's windows, slots, pauses, and what is foreseen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.concurrency.limit_windows import RateWindow
from langchain_llmops.concurrency.limits import Limits
from langchain_llmops.concurrency.queue_order import Ticket

GAPS = st.lists(st.floats(0, 30), min_size=1, max_size=60)


def limits(max_concurrent=None, rpm=None, tpm=None) -> Limits:
    return Limits(max_concurrent=max_concurrent, rpm=rpm, tpm=tpm)


@given(st.integers(1, 5), GAPS)
def test_no_minute_has_more_starts_than_the_limit(limit, gaps):
    window, now, starts = RateWindow(limit), 0.0, []
    for gap in gaps:
        now += gap
        now = window.free_at(now, 1)
        assert window.free_at(now, 1) == now
        window.take(now, 1)
        starts.append(now)
    for start in starts:
        assert sum(start <= other < start + 60 for other in starts) <= limit


@given(GAPS, st.lists(st.integers(1, 120), min_size=60, max_size=60))
def test_no_minute_has_more_tokens_than_the_limit_or_one_larger_call(gaps, sizes):
    window, now, taken = RateWindow(100), 0.0, []
    for gap, size in zip(gaps, sizes, strict=False):
        now = window.free_at(now + gap, size)
        window.take(now, size)
        taken.append((now, size))
    for start, _ in taken:
        inside = [size for at, size in taken if start <= at < start + 60]
        assert sum(inside) <= 100 or len(inside) == 1


def test_what_a_call_really_used_takes_the_place_of_its_estimate():
    window = RateWindow(100)
    share = window.take(0.0, 90)
    assert window.free_at(1.0, 50) == 60.0
    window.correct(share, 20)
    assert window.free_at(1.0, 50) == 1.0
    assert window.free_at(1.0, 81) == 60.0


def test_a_correction_after_the_minute_changes_nothing():
    window = RateWindow(100)
    share = window.take(0.0, 90)
    window.take(70.0, 10)
    assert window.free_at(71.0, 90) == 71.0
    window.correct(share, 1000)
    assert window.free_at(71.0, 90) == 71.0


def test_slots_are_given_back():
    gate = limits(max_concurrent=1)
    first, second = Ticket(), Ticket()
    assert gate.ask(first, 0.0)
    assert not gate.ask(second, 0.0)
    gate.join(second)
    assert gate.next_to_go(1.0) is None
    gate.end(first, 1.0)
    assert gate.next_to_go(1.0) is second
    assert (gate.running, gate.waiting) == (1, 0)


def test_nobody_goes_before_those_who_wait():
    gate = limits(max_concurrent=1)
    first, second = Ticket(), Ticket()
    gate.ask(first, 0.0)
    gate.join(second)
    gate.end(first, 1.0)
    assert not gate.ask(Ticket(), 1.0)


def test_a_pause_holds_everybody_and_an_earlier_one_does_not_shorten_it():
    gate = limits(max_concurrent=2)
    gate.pause(10.0)
    gate.pause(5.0)
    assert not gate.ask(Ticket(), 9.9)
    assert gate.expected_wait_s(Ticket(), 4.0) == 6.0
    assert gate.ask(Ticket(), 10.0)


def test_a_big_call_is_not_passed_by_smaller_ones():
    gate = limits(tpm=100)
    gate.ask(Ticket(tokens=50), 0.0)
    big, small = Ticket(tokens=90), Ticket(tokens=10)
    gate.join(big)
    gate.join(small)
    assert gate.next_to_go(1.0) is None
    assert gate.alarm_s(1.0) == (big, 60.0)
    assert gate.next_to_go(60.0) is big
    assert gate.next_to_go(60.0) is small


def test_the_wait_for_a_rate_is_foreseen_behind_the_own_tenant():
    gate = limits(rpm=1)
    assert gate.ask(Ticket(tenant="a"), 0.0)
    assert gate.expected_wait_s(Ticket(tenant="a"), 10.0) == 50.0
    gate.join(Ticket(tenant="a"))
    assert gate.expected_wait_s(Ticket(tenant="b"), 10.0) == 50.0


def test_the_wait_for_a_slot_is_foreseen_by_how_long_calls_took():
    gate = limits(max_concurrent=2)
    for _ in range(8):
        assert gate.expected_wait_s(Ticket(), 0.0) == 0.0
        ticket = Ticket()
        gate.ask(ticket, 0.0)
        gate.end(ticket, 4.0)
    for _ in range(10):
        gate.join(Ticket(tenant="a"))
    assert gate.expected_wait_s(Ticket(tenant="a"), 0.0) == pytest.approx(20.0)
    assert gate.expected_wait_s(Ticket(tenant="a", priority=1), 0.0) == 0.0


def test_only_time_in_the_way_asks_for_an_alarm():
    gate = limits(max_concurrent=1, rpm=1)
    first = Ticket()
    gate.ask(first, 0.0)
    assert gate.alarm_s(0.0) is None
    waiting = Ticket()
    gate.join(waiting)
    assert gate.alarm_s(0.0) is None
    gate.end(first, 1.0)
    assert gate.alarm_s(1.0) == (waiting, 60.0)
