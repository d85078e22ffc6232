"""Trend and forecast: exact where days are even, calm where one day is not."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.cost.analysis.outlook import month_end, trend

TODAY = date(2026, 11, 16)
NOON = datetime(2026, 11, 16, 12, tzinfo=UTC)
USD = st.decimals(0, 1000, places=2)
HISTORIES = st.lists(USD, min_size=3, max_size=40)
NOWS = st.integers(0, 730 * 24).map(
    lambda hours: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hours)
)


def ending(today, amounts):
    first = today - timedelta(days=len(amounts))
    return {first + timedelta(days=n): usd for n, usd in enumerate(amounts)}


def test_even_days_are_foreseen_exactly():
    forecast = month_end(ending(TODAY, [Decimal(2)] * 15), NOON)
    assert forecast.spent == 30
    assert forecast.expected == forecast.low == forecast.high == 30 + 1 + 14 * 2
    assert forecast.month_ends == date(2026, 11, 30)


def test_weekends_are_foreseen_as_weekends():
    days = {
        TODAY - timedelta(days=ago): Decimal(
            0 if (TODAY - timedelta(days=ago)).weekday() > 4 else 10
        )
        for ago in range(1, 29)
    }
    forecast = month_end(days, NOON)
    # From Monday noon to the 30th: half a day and ten working days.
    assert forecast.expected - forecast.spent == 105
    assert forecast.low == forecast.high


def test_one_day_that_went_wrong_hardly_matters():
    even = ending(TODAY, [Decimal(2)] * 28)
    odd = {**even, TODAY - timedelta(days=20): Decimal(5_000)}
    assert month_end(odd, NOON).expected == month_end(even, NOON).expected


@given(HISTORIES, NOWS)
def test_a_forecast_lies_between_its_bounds_and_above_what_is_spent(amounts, now):
    forecast = month_end(ending(now.date(), amounts), now)
    assert Decimal(0) <= forecast.spent <= forecast.low
    assert forecast.low <= forecast.expected <= forecast.high
    assert forecast.month_ends.month == now.month


@given(HISTORIES, NOWS, st.integers(2, 50))
def test_twice_the_money_is_twice_the_forecast(amounts, now, factor):
    days = ending(now.date(), amounts)
    once = month_end(days, now)
    more = month_end({day: usd * factor for day, usd in days.items()}, now)
    slack = Decimal("1e-6") * factor * 2
    for name in ("spent", "expected", "low", "high"):
        assert abs(getattr(more, name) - getattr(once, name) * factor) <= slack


@given(HISTORIES, NOWS, USD)
def test_money_spent_today_is_added_and_nothing_else_changes(amounts, now, usd):
    days = ending(now.date(), amounts)
    before, after = month_end(days, now), month_end({**days, now.date(): usd}, now)
    assert after.expected - before.expected == usd
    assert after.high - after.low == before.high - before.low


@given(HISTORIES, NOWS)
def test_days_further_back_than_four_weeks_change_no_forecast_of_the_rest(amounts, now):
    days = ending(now.date(), [Decimal(3)] * 28)
    older = {
        min(days) - timedelta(days=1 + ago): usd for ago, usd in enumerate(amounts)
    }
    with_older, without = month_end({**older, **days}, now), month_end(days, now)
    assert with_older.expected - with_older.spent == without.expected - without.spent


def test_about_nine_months_in_ten_end_within_the_bounds():
    chance = random.Random(5)
    within = 0
    for _ in range(200):
        now = NOON - timedelta(days=chance.randrange(12))
        amounts = [Decimal(f"{chance.gauss(100, 15):.2f}") for _ in range(60)]
        first = now.date() - timedelta(days=30)
        every = {first + timedelta(days=n): usd for n, usd in enumerate(amounts)}
        known = {day: usd for day, usd in every.items() if day < now.date()}
        known[now.date()] = every[now.date()] / 2
        truth = sum(usd for day, usd in every.items() if day.month == now.month)
        forecast = month_end(known, now)
        within += forecast.low <= truth <= forecast.high
    assert 160 <= within <= 198


@pytest.mark.parametrize("amounts", [[], [1], [1, 2]])
def test_two_days_foretell_nothing(amounts):
    days = ending(TODAY, [Decimal(usd) for usd in amounts])
    assert month_end(days, NOON) is None
    assert trend(days, TODAY) is None


def test_a_missing_day_cost_nothing():
    days = {
        TODAY - timedelta(days=3): Decimal(4),
        TODAY - timedelta(days=1): Decimal(4),
    }
    assert trend(days, TODAY).days == 3


@given(st.integers(3, 80), st.integers(-3, 3))
def test_a_straight_line_has_its_slope(length, slope):
    days = ending(TODAY, [Decimal(300 + slope * n) for n in range(length)])
    found = trend(days, TODAY)
    assert (found.days, found.change_per_day) == (length, slope)


@given(st.integers(0, 27))
def test_one_odd_day_does_not_bend_the_line(place):
    amounts = [Decimal(10 + n) for n in range(28)]
    amounts[place] = Decimal(10_000)
    assert abs(trend(ending(TODAY, amounts), TODAY).change_per_day - 1) < 1


def test_today_is_not_over_and_not_in_the_trend():
    days = ending(TODAY, [Decimal(5)] * 5) | {TODAY: Decimal(1)}
    assert trend(days, TODAY).usd_per_day == 5
