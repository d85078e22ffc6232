"""Limits: one of three, in exact integers."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops import Budget
from langchain_llmops.cost.budgets.limit import (
    MOST,
    Limit,
    picodollars,
    soft_limits_of,
)
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing.money import motes


@given(st.decimals(min_value=0, max_value=1000, places=12))
def test_dollars_are_kept_to_the_picodollar(usd):
    limit = Limit.of(usd, None, None)
    assert limit.shown(limit.most) == usd


def test_costs_are_rounded_up_and_limits_down():
    assert picodollars(motes("0.0000000000001")) == 1
    assert Limit.of("0.0000000000019", None, None).most == 1


def test_an_amount_that_no_store_can_hold_is_cut_off():
    assert picodollars(motes(10**9)) == MOST


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"limit_calls": 1, "limit_tokens": 1},
        {"limit_calls": -1},
        {"limit_calls": 1.5},
        {"limit_calls": True},
        {"limit_tokens": 10**19},
        {"limit_usd": -1},
        {"limit_usd": "a lot"},
        {"limit_usd": float("nan")},
        {"limit_usd": 5_000_000},
    ],
)
def test_what_is_no_limit_is_refused(limits):
    with pytest.raises(ConfigurationError):
        Budget(**limits)


def test_a_soft_limit_is_reached_once():
    half, all_of_it = soft_limits_of((1, 0.5), Limit.of(None, None, 5))
    assert (half.amount, all_of_it.amount) == (3, 5)
    assert [half.crossed(n, n + 1) for n in range(5)] == [
        False,
        False,
        True,
        False,
        False,
    ]
    assert half.crossed(0, 5)


def test_shares_are_exact_decimals():
    (soft,) = soft_limits_of((0.07,), Limit.of(Decimal(100), None, None))
    assert soft.amount == 7 * 10**12


@pytest.mark.parametrize("share", [0, -0.1, 1.01, True, float("nan")])
def test_what_is_no_share_is_refused(share):
    with pytest.raises(ConfigurationError, match="is no share"):
        Budget(limit_calls=1, soft_limits=(share,))
