"""From a charge to its row in the ledger.

Pure. Whatever a charge holds becomes a row that any database accepts.
"""

from __future__ import annotations

import hashlib
import json
import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from langchain_llmops.cost.charge import NOT_SAID
from langchain_llmops.pricing.money import dollars
from langchain_llmops.pricing.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_llmops.cost.charge import Charge
    from langchain_llmops.pricing.rates import PriceSheet, Rates

__all__ = ["MOTES_PER_PICO", "CallRow", "UnitPrice", "first_of_each", "row_of"]

MOTES_PER_PICO = 10**12
"""Motes in a picodollar, the ledger's unit: 10⁻¹² USD, a thousandth of any token."""

_MOST = 10**18  # a million dollars in one call is nonsense; nine of them fit a column
_MOST_TOKENS = 10**12
_LONGEST_NAME = 200
_PARTS = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "output_audio",
    "reasoning",
)
_WHOLE = (None, None, 0, 0, 3, 0, 1, 1)


class UnitPrice(NamedTuple):
    """Unit prices as they are kept, once for all calls that they hold for."""

    id: str
    version: str
    usd_per_million: str


class CallRow(NamedTuple):
    """A row of `tables.CALLS` in the order of its columns, unit prices written out."""

    run_id: bytes
    started_at: float
    tenant: str
    user_id: str
    feature: str
    model: str
    provider: str
    service_tier: str | None
    basis: str
    error: str | None
    cache_kind: str | None
    input_tokens: int
    output_tokens: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    input_audio: int
    output_audio: int
    reasoning: int
    cost_pico: int | None
    saved_pico: int
    duration_s: float
    first_token_s: float | None
    price: UnitPrice | None


def row_of(charge: Charge) -> CallRow:
    """Return the row of a charge; amounts are rounded to a picodollar.

    Names are cut at 200 characters and freed of what a database refuses; times that
    are no numbers are 0, counts and amounts end where nonsense begins.
    """
    sheet, cost = charge.sheet, charge.cost
    return CallRow(
        charge.run_id.bytes,
        _finite(charge.started_at),
        _name(charge.tenant),
        _name(charge.user),
        _name(charge.feature),
        _name(charge.model),
        _name(charge.provider or NOT_SAID),
        charge.service_tier and _name(charge.service_tier),
        charge.basis,
        charge.error and _name(charge.error),
        charge.cache_kind and _name(charge.cache_kind),
        *_credible(charge.usage),
        None if cost is None else _pico(cost),
        _pico(charge.saved),
        _finite(charge.duration_s),
        None if charge.first_token_s is None else _finite(charge.first_token_s),
        None if sheet is None else _unit_price(sheet, charge.price_version or ""),
    )


def first_of_each(rows: Iterable[CallRow]) -> dict[bytes, CallRow]:
    """Return one row per run: the first, but any before one that is unsettled."""
    kept: dict[bytes, CallRow] = {}
    for row in rows:
        before = kept.get(row.run_id)
        if before is None or (before.basis == "unsettled" != row.basis):
            kept[row.run_id] = row
    return kept


def _pico(motes: int) -> int:
    return max(0, min((motes + MOTES_PER_PICO // 2) // MOTES_PER_PICO, _MOST))


def _credible(usage: Usage) -> Usage:
    if max(usage) <= _MOST_TOKENS and min(usage) >= 0:
        return usage
    return Usage(*(max(0, min(count, _MOST_TOKENS)) for count in usage))


def _finite(seconds: float) -> float:
    return float(seconds) if math.isfinite(seconds) and abs(seconds) < 1e11 else 0.0  # noqa: PLR2004 - the year 5138


def _name(text: str) -> str:
    if text.isprintable() and len(text) <= _LONGEST_NAME:
        return text
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST_NAME])


@lru_cache(maxsize=1024)
def _unit_price(sheet: PriceSheet, version: str) -> UnitPrice:
    prices = _usd_per_million(sheet.base)
    above: list[object] = [
        {"input_tokens_above": start, **_usd_per_million(rates)}
        for start, rates in sheet.above
    ]
    text = json.dumps({**prices, "above": above} if above else prices)
    return UnitPrice(
        hashlib.sha256(f"{version}\n{text}".encode()).hexdigest()[:16], version, text
    )


def _usd_per_million(rates: Rates) -> dict[str, object]:
    known = {"input": rates.input_priced, "output": rates.output_priced}
    prices: dict[str, object] = {}
    effective: list[int] = []
    for part, whole, surcharge in zip(_PARTS, _WHOLE, rates.per_token, strict=True):
        effective.append(surcharge + (0 if whole is None else effective[whole]))
        if surcharge or known.get(part):
            prices[part] = str(dollars(effective[-1] * 1_000_000))
    if rates.per_request:
        prices["usd_per_request"] = str(dollars(rates.per_request))
    return prices
