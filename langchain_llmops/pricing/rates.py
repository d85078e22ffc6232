"""A model's price list, compiled to one vector of rates per token.

Providers price parts of the whole: cached input, audio, one-hour cache writes. A rate
here is what a token of that part costs *more* than a plain token (cached input: less),
so that a price is one dot product with `Usage`, without first finding what is left
over. All amounts are motes, see `money`.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing.money import motes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmops.pricing.money import Amount
    from langchain_llmops.pricing.usage import Usage

__all__ = ["PriceSheet", "Rates", "UsdPerMillion", "compile_sheet"]

# Each priced part of `Usage`, in its order, with the part that it is a part of.
_PARTS = (
    ("input_mtok", None),
    ("output_mtok", None),
    ("cache_read_mtok", "input_mtok"),
    ("cache_write_mtok", "input_mtok"),
    ("cache_write_1h_mtok", "cache_write_mtok"),
    ("input_audio_mtok", "input_mtok"),
    ("output_audio_mtok", "output_mtok"),
    ("output_reasoning_mtok", "output_mtok"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """What tokens cost, in motes; the order is that of `Usage`.

    Attributes:
        per_token: Surcharge of each part over the part that contains it.
        per_request: Fee of a call.
        input_priced: Whether a price of plain input is known.
        output_priced: Whether a price of plain output is known.
    """

    per_token: tuple[int, ...]
    per_request: int
    input_priced: bool
    output_priced: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceSheet:
    """Rates of a model, by the size of the prompt.

    Attributes:
        base: Rates of a prompt below every threshold.
        above: `(threshold, rates)`, highest threshold first: more input tokens than
            that, and all of the call's tokens cost these rates.
    """

    base: Rates
    above: tuple[tuple[int, Rates], ...] = ()

    def cost(self, usage: Usage) -> int | None:
        """Return the price in motes, or `None` if tokens were used that have none."""
        tokens_in, tokens_out, read, write, write_1h, audio_in, audio_out, hidden = (
            usage
        )
        rates = self.base
        for threshold, dearer in self.above:
            if tokens_in > threshold:
                rates = dearer
                break
        if (tokens_in and not rates.input_priced) or (
            tokens_out and not rates.output_priced
        ):
            return None
        r_in, r_out, r_read, r_write, r_1h, r_audio_in, r_audio_out, r_hidden = (
            rates.per_token
        )
        total = rates.per_request + tokens_in * r_in + tokens_out * r_out
        if read or write:
            total += read * r_read + write * r_write + write_1h * r_1h
        if hidden or audio_in or audio_out:
            total += hidden * r_hidden + audio_in * r_audio_in + audio_out * r_audio_out
        return total


class _Tier(Protocol):
    start: int
    price: Decimal


def compile_sheet(prices: Mapping[str, object]) -> PriceSheet | None:
    """Compile genai-prices' prices of a model.

    Compiled are the kinds of token that LangChain reports (see `Usage`) and the fee
    per request. Prices per image, character, page, second or search cannot apply to a
    `usage_metadata` and are left out.

    Args:
        prices: Price key (`input_mtok`, `cache_read_mtok`, `requests_kcount`, …) to a
            `Decimal` or to `TieredPrices`.

    Returns:
        The sheet, or `None` where no token and no request has a price.
    """
    known = {key: value for key, value in prices.items() if value is not None}
    if not known.keys() & {"input_mtok", "output_mtok", "requests_kcount"}:
        return None
    return _sheet(known)


def _sheet(known: Mapping[str, object]) -> PriceSheet:
    starts = sorted(
        {tier.start for value in known.values() for tier in _tiers(value)}, reverse=True
    )
    return PriceSheet(
        base=_rates(known, 0),
        above=tuple((start, _rates(known, start + 1)) for start in starts),
    )


def _rates(known: Mapping[str, object], input_tokens: int) -> Rates:
    effective: dict[str | None, int] = {None: 0}
    surcharges = []
    for key, whole in _PARTS:
        effective[key] = effective[whole]
        if key in known:
            effective[key] = motes(_price_at(known[key], input_tokens), per=1_000_000)
        surcharges.append(effective[key] - effective[whole])
    fee = _price_at(known.get("requests_kcount", Decimal(0)), input_tokens)
    return Rates(
        per_token=tuple(surcharges),
        per_request=motes(fee, per=1_000),
        input_priced="input_mtok" in known,
        output_priced="output_mtok" in known,
    )


def _tiers(value: object) -> list[_Tier]:
    return list(getattr(value, "tiers", ()))


def _price_at(value: object, input_tokens: int) -> Decimal:
    if isinstance(value, Decimal):
        return value
    price: Decimal = value.base  # type: ignore[attr-defined] # TieredPrices
    for tier in _tiers(value):
        if input_tokens > tier.start:
            price = tier.price
    return price


@dataclass(frozen=True, slots=True, kw_only=True)
class UsdPerMillion:
    """A price list of your own, in USD per million tokens.

    What is left out costs what the part around it costs: `cache_read`, `cache_write`
    and `input_audio` as `input`, `cache_write_1h` as `cache_write`, `reasoning` and
    `output_audio` as `output`.

    Args:
        input: Price of input; a number or its text, as the others.
        output: Price of output.
        cache_read: Price of input read from the provider's prompt cache.
        cache_write: Price of input written to it.
        cache_write_1h: Price of input written to it for an hour.
        input_audio: Price of audio input.
        output_audio: Price of audio output.
        reasoning: Price of hidden output.
        per_request: Fee of one call, in USD.

    Raises:
        ConfigurationError: A price is negative or no number.
    """

    input: Amount
    output: Amount
    cache_read: Amount | None = None
    cache_write: Amount | None = None
    cache_write_1h: Amount | None = None
    input_audio: Amount | None = None
    output_audio: Amount | None = None
    reasoning: Amount | None = None
    per_request: Amount = 0

    def __post_init__(self) -> None:
        self.sheet()

    def sheet(self) -> PriceSheet:
        """Return the compiled sheet."""
        amounts = {
            "input_mtok": _amount(self.input),
            "output_mtok": _amount(self.output),
            "cache_read_mtok": _amount(self.cache_read),
            "cache_write_mtok": _amount(self.cache_write),
            "cache_write_1h_mtok": _amount(self.cache_write_1h),
            "input_audio_mtok": _amount(self.input_audio),
            "output_audio_mtok": _amount(self.output_audio),
            "output_reasoning_mtok": _amount(self.reasoning),
            "requests_kcount": _amount(self.per_request, times=1000),
        }
        return _sheet(
            {key: value for key, value in amounts.items() if value is not None}
        )


def _amount(value: Amount | None, times: int = 1) -> Decimal | None:
    if value is None:
        return None
    if motes(value) < 0:
        raise ConfigurationError(
            f"a price of {value!r} is negative: give USD per million tokens, 0 or more"
        )
    return Decimal(str(value)) * times
