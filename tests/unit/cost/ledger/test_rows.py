"""Whatever a charge holds becomes a row that a database takes."""

from __future__ import annotations

import json
import math
import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.cost.ledger.rollups import MEASURES, rollups_of
from langchain_llmops.cost.ledger.rows import first_of_each, row_of
from langchain_llmops.pricing import Prices, Usage, UsdPerMillion


def test_amounts_are_kept_in_picodollars(charge):
    assert row_of(charge(cost=10**24)).cost_pico == 10**12
    assert row_of(charge(cost=5 * 10**11)).cost_pico == 1
    assert row_of(charge(cost=5 * 10**11 - 1)).cost_pico == 0
    assert row_of(charge(cost=None)).cost_pico is None


def test_absurd_amounts_and_times_are_tamed(charge):
    row = row_of(charge(cost=10**60, started_at=math.inf, duration_s=math.nan))
    assert (row.cost_pico, row.started_at, row.duration_s) == (10**18, 0.0, 0.0)
    assert row_of(charge(saved=-5)).saved_pico == 0


@given(name=st.text())
def test_any_name_can_be_stored(name, charge):
    row = row_of(charge(tenant=name, user=name, feature=name, model=name, error=name))
    connection = sqlite3.connect(":memory:")
    assert connection.execute("SELECT ?", (row.tenant,)).fetchone() == (row.tenant,)
    connection.close()
    assert "\0" not in row.tenant
    assert len(row.tenant) <= 200


def test_a_charge_without_a_provider_says_so(charge):
    assert row_of(charge()).provider == "(none)"
    assert row_of(charge(provider="openai")).provider == "openai"


def test_unit_prices_are_written_out_once_for_all_calls_that_share_them(charge):
    own = UsdPerMillion(input=1, output="2.5", cache_read="0.1", per_request="0.01")
    prices = Prices({"fake-1": own})
    sheet = prices.sheet(("fake-1",))
    first, second = (
        row_of(charge(sheet=sheet, price_version=prices.version)) for _ in "ab"
    )
    assert first.price == second.price
    assert first.price.version.startswith("genai-prices")
    assert json.loads(first.price.usd_per_million) == {
        "input": "1",
        "output": "2.5",
        "cache_read": "0.1",
        "usd_per_request": "0.01",
    }
    other = row_of(charge(sheet=sheet, price_version="other"))
    assert other.price.id != first.price.id


def test_dearer_long_prompts_are_written_out_too(charge):
    sheet = Prices().sheet(("gemini-2.5-pro",))
    said = json.loads(row_of(charge(sheet=sheet)).price.usd_per_million)
    assert said["above"][0]["input_tokens_above"] == 200_000
    assert float(said["above"][0]["input"]) > float(said["input"])


def test_price_versions_differ_where_prices_do():
    plain, own = Prices(), Prices({"m": UsdPerMillion(input=1, output=2)})
    other = Prices({"m": UsdPerMillion(input=1, output=3)})
    assert len({plain.version, own.version, other.version}) == 3
    assert Prices({"m": UsdPerMillion(input=1, output=2)}).version == own.version


def test_of_two_rows_of_a_run_the_first_counts_unless_it_is_unsettled(charge):
    unsettled = row_of(charge(1, basis="unsettled", usage=Usage()))
    settled, later = row_of(charge(1)), row_of(charge(1, model="b"))
    assert first_of_each([unsettled, settled, later]) == {settled.run_id: settled}
    assert first_of_each([settled, unsettled]) == {settled.run_id: settled}


def test_sums_add_up_and_take_off(charges):
    @given(st.lists(charges, max_size=30))
    def check(all_of_them):
        rows = [row_of(each) for each in all_of_them]
        hourly, daily, users = rollups_of(rows)
        totals = [
            [sum(column) for column in zip(*cells.values(), strict=True)]
            for cells in (hourly, daily, users)
        ]
        assert totals[0] == totals[1] == totals[2]
        if rows:
            named = dict(zip(MEASURES, totals[0], strict=True))
            paid = [row for row in rows if row.basis != "cached"]
            assert named["cost_pico"] == sum(row.cost_pico or 0 for row in paid)
            assert named["calls"] + named["cache_hits"] == sum(
                row.basis != "refused" for row in rows
            )
            assert named["answered"] <= named["calls"] + sum(
                row.basis == "refused" for row in rows
            )
        for cells in rollups_of(rows, rows):
            assert not any(any(sums) for sums in cells.values())

    check()


@pytest.mark.parametrize(
    ("changes", "counted"),
    [
        ({}, {"calls": 1, "answered": 1, "cost_pico": 10**8, "duration_ms": 1500}),
        ({"basis": "estimated", "error": "GeneratorExit"}, {"aborted": 1}),
        ({"basis": "estimated", "error": "ValueError"}, {"wasted_pico": 10**8}),
        ({"basis": "unsettled"}, {"calls": 1, "answered": 0, "unsettled": 1}),
        ({"basis": "refused", "error": "RateLimitError"}, {"calls": 0, "failed": 1}),
        ({"basis": "cached", "saved": 10**20}, {"cache_hits": 1, "calls": 0}),
        ({"cost": None}, {"unpriced": 1, "cost_pico": 0}),
    ],
)
def test_what_a_call_counts_as(charge, changes, counted):
    (measures,) = rollups_of([row_of(charge(**changes))]).daily.values()
    named = dict(zip(MEASURES, measures, strict=True))
    assert {name: named[name] for name in counted} == counted
