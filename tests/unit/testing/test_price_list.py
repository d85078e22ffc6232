"""Prices: exact arithmetic, tiers, names; compared with what others have written."""

from __future__ import annotations

from decimal import Decimal

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.testing.price_list import LISTED, look_up

tokens = st.integers(0, 2_000_000)


def test_one_call_by_hand():
    usd = LISTED["gpt-4o"].rates.charge(
        input_tokens=1_000, cached_tokens=400, output_tokens=50
    )
    assert usd == Decimal("0.0015") + Decimal("0.0005") + Decimal("0.0005")


@given(tokens, tokens, tokens)
def test_prices_add_up_exactly(one, other, output):
    rates = LISTED["gpt-4.1-nano"].rates
    parts = [
        rates.charge(input_tokens=one, cached_tokens=0, output_tokens=0),
        rates.charge(input_tokens=other, cached_tokens=other, output_tokens=0),
        rates.charge(input_tokens=0, cached_tokens=0, output_tokens=output),
    ]
    whole = rates.charge(
        input_tokens=one + other, cached_tokens=other, output_tokens=output
    )
    assert whole == sum(parts)


@pytest.mark.parametrize(
    ("model", "asked", "served"),
    [
        ("gpt-4o", None, "default"),
        ("gpt-4o", "auto", "default"),
        ("gpt-4o", "priority", "priority"),
        ("gpt-4o", "flex", "default"),
        ("o3", "flex", "flex"),
        ("gpt-5-nano", "priority", "default"),
        ("gpt-4o", "batch", "batch"),
    ],
)
def test_a_tier_that_is_not_offered_is_the_standard_one(model, asked, served):
    assert LISTED[model].tier(asked) == served


@pytest.mark.parametrize("tier", ["flex", "batch"])
def test_flex_and_batch_cost_half(tier):
    model = LISTED["gpt-5"]
    half, full = model.rates_of(tier), model.rates_of("default")
    assert (half.input * 2, half.cached * 2, half.output * 2) == (
        full.input,
        full.cached,
        full.output,
    )


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
        ("ft:gpt-4o-mini:acme::7p4lURel", "ft:gpt-4o-mini"),
        ("ft:gpt-4o-mini-2024-07-18:acme::7p4lURel", "ft:gpt-4o-mini"),
    ],
)
def test_snapshots_and_fine_tunes_have_an_entry(name, listed):
    assert look_up(name) is LISTED[listed]


@pytest.mark.parametrize("name", ["", "gpt-4o-2024", "llama3", "openai/gpt-4o", "ft:"])
def test_other_names_have_none(name):
    assert look_up(name) is None


@pytest.mark.parametrize("name", [n for n in LISTED if not n.startswith("ft:")])
def test_the_list_agrees_with_an_independent_one(name):
    """Both were written down by others: a slip in either shows here."""
    cached = 400 if LISTED[name].rates.cached != LISTED[name].rates.input else 0
    usage = Usage(input_tokens=1_000, cache_read_tokens=cached, output_tokens=50)
    theirs = calc_price(usage, name, provider_id="openai").total_price
    ours = LISTED[name].rates.charge(
        input_tokens=1_000, cached_tokens=cached, output_tokens=50
    )
    assert ours == theirs
