"""The provider's own price list: what it charges, in USD per million tokens.

Written down by hand from OpenAI's published list prices, on purpose: an invoice that
came from the code or the data it is compared with would prove nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

__all__ = ["LISTED", "UNLISTED", "ListedModel", "Rates", "ServiceTier", "look_up"]

ServiceTier = Literal["default", "flex", "priority", "batch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """USD per million tokens."""

    input: Decimal
    cached: Decimal
    output: Decimal

    def charge(
        self, *, input_tokens: int, cached_tokens: int, output_tokens: int
    ) -> Decimal:
        """Return the exact price of one call in USD; input includes cached."""
        return (
            self.input * (input_tokens - cached_tokens)
            + self.cached * cached_tokens
            + self.output * output_tokens
        ).scaleb(-6)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """What the provider knows about a model.

    Args:
        rates: Standard prices.
        window: Tokens that prompt and answer may have together.
        priority: Prices of the priority tier, where it is offered.
        flex: Whether the flex tier is offered, at half the price.
        reasons: Whether the model thinks before it answers (hidden output tokens).
        embeds: Whether it embeds texts instead of answering.
        encoding: Name of its tiktoken encoding.
    """

    rates: Rates
    window: int
    priority: Rates | None = None
    flex: bool = False
    reasons: bool = False
    embeds: bool = False
    encoding: str = "o200k_base"

    def tier(self, asked: str | None) -> ServiceTier:
        """Return the tier that serves a request; what is not offered is standard."""
        if asked == "batch":
            return "batch"
        if asked == "flex" and self.flex:
            return "flex"
        if asked == "priority" and self.priority is not None:
            return "priority"
        return "default"

    def rates_of(self, tier: ServiceTier) -> Rates:
        """Return the prices of a tier: flex and batch cost half."""
        if tier == "priority" and self.priority is not None:
            return self.priority
        if tier in {"flex", "batch"}:
            half = Decimal("0.5")
            return Rates(
                input=self.rates.input * half,
                cached=self.rates.cached * half,
                output=self.rates.output * half,
            )
        return self.rates


def _rates(row: str) -> Rates:
    """Read "input cached output"."""
    input_, cached, output = map(Decimal, row.split())
    return Rates(input=input_, cached=cached, output=output)


def _chat(
    standard: str,
    window: int,
    priority: str | None = None,
    *,
    flex: bool = False,
    reasons: bool = False,
    encoding: str = "o200k_base",
) -> ListedModel:
    return ListedModel(
        rates=_rates(standard),
        window=window,
        priority=_rates(priority) if priority else None,
        flex=flex,
        reasons=reasons,
        encoding=encoding,
    )


def _embedding(price: str) -> ListedModel:
    return ListedModel(
        rates=_rates(f"{price} {price} 0"),
        window=8_191,
        embeds=True,
        encoding="cl100k_base",
    )


LISTED: dict[str, ListedModel] = {
    "gpt-4o": _chat("2.50 1.25 10", 128_000, "4.25 2.125 17"),
    "gpt-4o-mini": _chat("0.15 0.075 0.60", 128_000, "0.25 0.125 1"),
    "gpt-4.1": _chat("2 0.50 8", 1_047_576, "3.50 0.875 14"),
    "gpt-4.1-mini": _chat("0.40 0.10 1.60", 1_047_576, "0.70 0.175 2.80"),
    "gpt-4.1-nano": _chat("0.10 0.025 0.40", 1_047_576, "0.20 0.05 0.80"),
    "gpt-5": _chat("1.25 0.125 10", 400_000, "2.50 0.25 20", flex=True, reasons=True),
    "gpt-5-mini": _chat(
        "0.25 0.025 2", 400_000, "0.45 0.045 3.60", flex=True, reasons=True
    ),
    "gpt-5-nano": _chat("0.05 0.005 0.40", 400_000, flex=True, reasons=True),
    "gpt-5.1": _chat("1.25 0.125 10", 400_000, "2.50 0.25 20", flex=True, reasons=True),
    "gpt-5.2": _chat("1.75 0.175 14", 400_000, "3.50 0.35 28", flex=True, reasons=True),
    "o1": _chat("15 7.50 60", 200_000, reasons=True),
    "o3": _chat("2 0.50 8", 200_000, "3.50 0.875 14", flex=True, reasons=True),
    "o3-mini": _chat("1.10 0.55 4.40", 200_000, reasons=True),
    "o4-mini": _chat("1.10 0.275 4.40", 200_000, "2 0.50 8", flex=True, reasons=True),
    "gpt-4-turbo": _chat("10 10 30", 128_000, encoding="cl100k_base"),
    "gpt-4": _chat("30 30 60", 8_192, encoding="cl100k_base"),
    "gpt-3.5-turbo": _chat("0.50 0.50 1.50", 16_385, encoding="cl100k_base"),
    "ft:gpt-4o": _chat("3.75 1.875 15", 128_000),
    "ft:gpt-4o-mini": _chat("0.30 0.15 1.20", 128_000),
    "ft:gpt-4.1": _chat("3 0.75 12", 1_047_576),
    "ft:gpt-4.1-mini": _chat("0.80 0.20 3.20", 1_047_576),
    "text-embedding-3-small": _embedding("0.02"),
    "text-embedding-3-large": _embedding("0.13"),
    "text-embedding-ada-002": _embedding("0.10"),
}
"""Every model on the list. Dated snapshots cost what their model costs."""

UNLISTED = ListedModel(rates=LISTED["gpt-4o"].rates, window=128_000)
"""What a model that is not on the list is taken for: gpt-4o's standard prices."""

_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")


def look_up(model: str) -> ListedModel | None:
    """Return a model's entry, also for `gpt-4o-2024-08-06` or `ft:gpt-4o:acme::7p`."""
    if model.startswith("ft:"):
        model = ":".join(model.split(":")[:2])
    return LISTED.get(_DATE.sub("", model))
