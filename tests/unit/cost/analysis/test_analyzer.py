"""The analysis equals what adding up the charges by hand gives."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_llmops.cost import Charge, CostAnalyzer, Figures, UsageLedger
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing import Usage
from langchain_llmops.pricing.money import dollars, motes

NOW = datetime(2026, 11, 16, 12, tzinfo=UTC)


def charge(at=NOW, **changes):
    known = {
        "model": "m",
        "feature": "f",
        "basis": "reported",
        "usage": Usage(1000, 100),
        "cost": motes("0.5"),
        "duration_s": 2.0,
        **changes,
    }
    return Charge(run_id=uuid.uuid4(), started_at=at.timestamp(), **known)


@pytest.fixture
def ledger(tmp_path):
    with UsageLedger(tmp_path / "l.db", interval_s=3600) as made:
        yield made


@pytest.fixture
def analyzer(ledger):
    return CostAnalyzer(ledger, clock=NOW.timestamp)


def test_an_empty_ledger_has_nothing_to_say(analyzer):
    analysis = analyzer.analyze()
    assert analysis.total == Figures()
    assert (analysis.groups, analysis.series) == ({}, {})
    assert (analysis.trend, analysis.forecast) == (None, None)
    assert analysis.total.usd_per_answer is None
    assert analysis.total.usd_per_1k_output is None
    assert analysis.total.hit_rate is None
    assert analysis.total.mean_duration_s is None


def test_efficiency_counts_waste_and_hits(ledger, analyzer):
    ledger.record(charge())
    ledger.record(charge(basis="estimated", error="GeneratorExit"))
    ledger.record(charge(basis="reported", error="ValueError"))
    ledger.record(charge(basis="cached", usage=Usage(), cost=0, saved=motes("0.25")))
    ledger.record(charge(basis="unsettled", usage=Usage(), cost=0))
    ledger.record(charge(basis="refused", usage=Usage(), cost=0, error="RateLimit"))
    total = analyzer.analyze().total
    assert (total.calls, total.answered, total.cache_hits) == (4, 1, 1)
    assert (total.failed, total.aborted, total.unsettled) == (2, 1, 1)
    assert (total.usd, total.wasted_usd) == (Decimal("1.5"), 1)
    assert total.saved_usd == Decimal("0.25")
    assert total.usd_per_answer == Decimal("0.75")
    assert total.usd_per_1k_output == 5
    assert total.hit_rate == 0.5
    assert total.mean_duration_s == 2


CHARGES = st.lists(
    st.builds(
        charge,
        st.datetimes(
            datetime(2026, 9, 1),  # noqa: DTZ001 - zone given
            datetime(2026, 11, 16),  # noqa: DTZ001 - zone given
            timezones=st.just(UTC),
        ),
        model=st.sampled_from("mn"),
        feature=st.sampled_from("fg"),
        user=st.sampled_from("uv"),
        tenant=st.sampled_from("st"),
        cost=st.none() | st.integers(0, 10**18).map(lambda pico: pico * 10**12),
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=15)
@given(
    CHARGES,
    st.sampled_from(["hourly", "daily", "weekly", "monthly"]),
    st.lists(st.sampled_from(["tenant", "feature", "model"]), unique=True),
)
def test_groups_and_series_and_total_are_the_charges(
    tmp_path_factory, charges, timeframe, by
):
    with UsageLedger(tmp_path_factory.mktemp("l") / "l.db") as ledger:
        for each in charges:
            ledger.record(each)
        found = CostAnalyzer(ledger).analyze(timeframe, by)
    spent = dollars(sum(each.cost or 0 for each in charges))
    assert found.total.usd == spent
    assert found.total.calls == len(charges)
    assert Figures.total(found.series.values()) == found.total
    if by:
        assert Figures.total(found.groups.values()) == found.total
        for key, figures in found.groups.items():
            mine = [c for c in charges if tuple(getattr(c, a) for a in by) == key]
            assert figures.calls == len(mine)
    dearest = [figures.usd for figures in found.groups.values()]
    assert dearest == sorted(dearest, reverse=True)


def test_users_are_told_apart_and_can_be_chosen(ledger, analyzer):
    for user in ("ada", "ada", "bob"):
        ledger.record(charge(user=user))
    found = analyzer.analyze(by=("user",))
    assert {key: each.calls for key, each in found.groups.items()} == {
        ("ada",): 2,
        ("bob",): 1,
    }
    assert analyzer.analyze(by=(), where={"user": "bob"}).total.calls == 1
    assert analyzer.analyze(by=(), where={"model": "other"}).total.calls == 0


def test_the_window_is_widened_to_whole_periods(ledger, analyzer):
    for hours in (0, 13, 37):
        ledger.record(charge(NOW - timedelta(hours=hours)))
    since = NOW - timedelta(minutes=30)
    daily = analyzer.analyze(by=(), since=since)
    assert (daily.since, daily.total.calls) == (NOW.replace(hour=0), 1)
    hourly = analyzer.analyze("hourly", (), since=since.replace(tzinfo=None))
    assert (hourly.since, hourly.total.calls) == (NOW.replace(hour=11), 1)
    until = analyzer.analyze(by=(), until=NOW - timedelta(days=1))
    assert (until.until, until.total.calls) == (NOW.replace(hour=0), 2)


def test_weeks_start_on_monday_and_months_on_the_first(ledger, analyzer):
    for days in (0, 1, 20):
        ledger.record(charge(NOW - timedelta(days=days)))
    midnight = NOW.replace(hour=0)
    assert list(analyzer.analyze("weekly", ()).series) == [
        midnight - timedelta(days=21),
        midnight - timedelta(days=7),
        midnight,
    ]
    assert list(analyzer.analyze("monthly", ()).series) == [
        midnight.replace(month=10, day=1),
        midnight.replace(day=1),
    ]


def test_trend_and_forecast_come_with_it(ledger, analyzer):
    for days in range(1, 11):
        ledger.record(charge(NOW - timedelta(days=days)))
    found = analyzer.analyze(by=(), since=NOW - timedelta(days=5))
    assert (found.trend.days, found.trend.usd_per_day) == (5, Decimal("0.5"))
    assert found.forecast.spent == 5
    assert found.forecast.expected == 5 + Decimal("0.25") + 14 * Decimal("0.5")


def test_sums_beyond_64_bits_are_exact(ledger, analyzer):
    for _ in range(12):
        ledger.record(charge(cost=10**30, usage=Usage(1, 1), model=str(uuid.uuid4())))
    assert analyzer.analyze(by=()).total.usd == 12_000_000


async def test_the_same_from_an_event_loop(tmp_path):
    async with UsageLedger(tmp_path / "l.db", interval_s=3600) as ledger:
        ledger.record(charge())
        analysis = await CostAnalyzer(ledger).aanalyze(by=("feature",))
    assert analysis.groups[("f",)].calls == 1


@pytest.mark.parametrize(
    "arguments",
    [
        {"timeframe": "yearly"},
        {"by": "feature"},
        {"by": ("colour",)},
        {"where": {"colour": "red"}, "by": ()},
        {"timeframe": "hourly", "by": ("user",)},
        {"by": (), "since": NOW, "until": NOW - timedelta(days=3)},
    ],
)
def test_bad_questions_are_refused(analyzer, arguments):
    with pytest.raises(ConfigurationError):
        analyzer.analyze(**arguments)
