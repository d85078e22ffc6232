"""Windows: where they begin and end, in UTC, and that they leave no gap."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.cost.budgets.windows import check_window, window_at
from langchain_llmops.errors import ConfigurationError

LENGTHS = ["minute", "hour", "day", "week", "month", timedelta(minutes=7)]
TIMES = st.floats(min_value=0, max_value=4e9)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("length", "start", "end"),
    [
        ("minute", "2026-11-22T21:43", "2026-11-22T21:44"),
        ("hour", "2026-11-22T21:00", "2026-11-22T22:00"),
        ("day", "2026-11-22", "2026-11-23"),
        ("week", "2026-11-16", "2026-11-23"),
        ("month", "2026-11-01", "2026-12-01"),
        (timedelta(hours=12), "2026-11-22T12:00", "2026-11-23"),
    ],
)
def test_a_window_follows_the_calendar_in_utc(length, start, end):
    window = window_at(length, at("2026-11-22T21:43:29"))
    assert (window.start, window.end) == (at(start), at(end))
    assert window.resets_at == datetime.fromisoformat(end).replace(tzinfo=UTC)


def test_december_and_leap_days_end_where_the_next_month_begins():
    assert window_at("month", at("2026-12-31T23:59:59")).end == at("2027-01-01")
    assert window_at("month", at("2028-02-29")).end == at("2028-03-01")


def test_forever_never_starts_anew():
    window = window_at("forever", 0)
    assert window == window_at("forever", 4e9)
    assert window.resets_at is None


@given(now=TIMES, length=st.sampled_from(LENGTHS))
def test_windows_cover_all_of_time_and_do_not_overlap(now, length):
    window = window_at(length, now)
    assert window.start <= now < window.end
    assert window_at(length, window.start) == window
    following = window_at(length, window.end)
    assert following.start == window.end
    assert following.key != window.key


def test_lengths_that_look_alike_have_windows_of_their_own():
    keys = {window_at(length, 0.0).key for length in (*LENGTHS, "forever")}
    assert len(keys) == len(LENGTHS) + 1


@pytest.mark.parametrize("length", ["daily", "", 60, None, timedelta()])
def test_what_is_no_length_is_refused(length):
    with pytest.raises(ConfigurationError, match="is unknown: use one of"):
        check_window(length)
