"""Reports: exact sums, parts that add up, bounded memory."""

from __future__ import annotations

import dataclasses
import decimal
import uuid
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.cost.charge import Charge
from langchain_llmops.cost.report import OTHER, CostReport, Tally
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing import Usage

CHARGES = st.builds(
    Charge,
    run_id=st.just(uuid.UUID(int=0)),
    model=st.sampled_from("abc"),
    feature=st.sampled_from("xyz"),
    basis=st.sampled_from(["reported", "estimated", "unsettled", "cached"]),
    usage=st.builds(Usage, st.integers(0, 10**9), st.integers(0, 10**9)),
    cost=st.none() | st.integers(0, 10**27),
    saved=st.integers(0, 10**27),
)


def tally_of(charges, **options):
    tally = Tally(**options)
    for charge in charges:
        tally.book(charge)
    return tally


def total(parts):
    """Add up reports field by field."""
    names = [field.name for field in dataclasses.fields(CostReport)[:-2]]
    with decimal.localcontext(prec=60):
        sums = {
            name: sum((getattr(part, name) for part in parts), start=0)
            for name in names
        }
    return CostReport(**sums)


@given(st.lists(CHARGES))
def test_parts_add_up_to_the_whole(charges):
    tally = tally_of(charges)
    report = tally.report()
    whole = dataclasses.replace(report, by_model={}, by_feature={})
    assert whole == total(report.by_model.values())
    assert whole == total(report.by_feature.values())
    assert whole == total(tally.split(("feature", "model")).values())
    assert tally.split(()) == ({(): whole} if charges else {})


@given(st.lists(CHARGES), st.lists(CHARGES))
def test_a_copy_is_booked_on_alone(before, after):
    tally = tally_of(before)
    report, copy = tally.report(), tally.copy()
    for charge in after:
        copy.book(charge)
    assert tally.report() == report
    assert copy.report() == tally_of(before + after).report()


@given(st.lists(CHARGES))
def test_every_charge_is_a_call_or_a_hit(charges):
    report = tally_of(charges).report()
    assert report.calls + report.cache_hits == len(charges)
    assert report.estimated + report.unsettled + report.unpriced <= 2 * report.calls


def charge(feature="f", model="m", **figures):
    return Charge(
        run_id=uuid.uuid4(), model=model, feature=feature, basis="reported", **figures
    )


def test_millions_of_fractions_of_a_cent_add_up_exactly():
    tally = tally_of([charge(cost=10**24 // 3)] * 3)
    assert tally.report().usd == Decimal(3 * (10**24 // 3)).scaleb(-24)


def test_split_is_keyed_in_the_order_asked_for():
    tally = tally_of([charge("search", "gpt-4o")])
    assert list(tally.split(("model", "feature"))) == [("gpt-4o", "search")]
    assert list(tally.split(("feature",))) == [("search",)]


@pytest.mark.parametrize("by", ["model", ("tenant",), ("model", "day")])
def test_an_unknown_dimension_is_refused_by_name(by):
    with pytest.raises(ConfigurationError, match="choose from") as caught:
        Tally().split(by)
    assert repr(by) in str(caught.value)


def test_memory_is_bounded_however_many_features_there_are():
    tally = tally_of(
        (charge(str(number), cost=1) for number in range(100)), max_groups=10
    )
    report = tally.report()
    assert (report.calls, report.usd) == (100, Decimal("1E-22"))
    assert len(report.by_feature) == 11
    assert report.by_feature[OTHER].calls == 90
    assert report.by_model["m"].calls == 100


def test_memory_is_bounded_however_many_models_there_are():
    names = [str(number) for number in range(100)]
    report = tally_of((charge(n, n) for n in names), max_groups=10).report()
    assert report.calls == 100
    assert len(report.by_model) == 21
    assert report.by_model[OTHER].calls == 80


def test_a_handlers_report_can_be_split_and_reset(scripted, costs):
    config = {"callbacks": [costs], "metadata": {"feature": "search"}}
    scripted().invoke("hi", config)
    scripted(usage=None).invoke("hi", config)
    (key,) = costs.report(by=("feature", "model"))
    assert key == ("search", "fake-1")
    scripted(usage=None).invoke("hi", config)  # still to be counted
    costs.reset()
    assert costs.report() == CostReport()


async def test_an_async_report_equals_the_sync_one(scripted, costs):
    scripted(usage=None).invoke("hi", {"callbacks": [costs]})
    assert await costs.areport() == costs.report()
    assert await costs.areport(by=("model",)) == costs.report(by=("model",))
