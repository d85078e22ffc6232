"""Money is exact, whatever the caller does to the decimal module."""

from __future__ import annotations

import decimal
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing.money import dollars, motes


@given(st.decimals(min_value=0, max_value=10**9, places=12))
def test_dollars_undo_motes(amount):
    assert dollars(motes(amount)) == amount


@given(st.lists(st.integers(min_value=0, max_value=10**30)))
def test_sums_are_exact(amounts):
    with decimal.localcontext(prec=80):
        assert dollars(sum(amounts)) == sum(map(dollars, amounts))


def test_the_callers_decimal_context_changes_nothing():
    fine = motes("0.123456789012345678")
    with decimal.localcontext(prec=2) as context:
        context.traps[decimal.Inexact] = True
        assert motes("0.123456789012345678") == fine
        assert str(dollars(fine)) == "0.123456789012345678"


def test_the_finest_list_price_is_a_whole_number_per_token():
    per_token = motes("0.000000000000000001", per=1_000_000)
    assert per_token == 1


@pytest.mark.parametrize("amount", ["nan", "inf", "ten", float("nan"), None, ""])
def test_what_is_no_amount_is_refused_by_name(amount):
    with pytest.raises(ConfigurationError, match="finite number of USD") as caught:
        motes(amount)
    assert repr(amount) in str(caught.value)


@pytest.mark.parametrize(
    ("amount", "shown"), [("10", "10"), ("0", "0"), ("0.50", "0.5"), ("1e-7", "1E-7")]
)
def test_amounts_are_shown_without_trailing_zeros(amount, shown):
    assert str(dollars(motes(amount))) == shown


def test_a_float_stands_for_what_it_prints_as():
    assert dollars(motes(0.1)) == Decimal("0.1")
