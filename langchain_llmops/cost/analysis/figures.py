"""Figures: what calls added up to, and what an answer cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

from langchain_llmops.cost.ledger.rollups import MEASURES
from langchain_llmops.cost.ledger.rows import MOTES_PER_PICO
from langchain_llmops.pricing.money import dollars

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Figures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What calls used, cost and were good for.

    Attributes:
        calls: Calls that a provider bills or may bill.
        answered: Those that came to an answer.
        failed: Calls that ended in an error, refused ones included, which nobody bills.
        aborted: Calls whose reader left before the end.
        unsettled: Calls that went out and whose end was never heard of.
        estimated: Calls whose tokens were counted here instead of by the provider.
        unpriced: Calls whose tokens are known and whose model has no known price.
        cache_hits: Answers that a cache gave instead.
        input_tokens: Input tokens, cached ones included.
        output_tokens: Output tokens, hidden ones included.
        cached_tokens: Input tokens out of the provider's own prompt cache.
        duration_ms: How long the answered calls took, all together.
        usd: What the calls cost, without those that are unpriced or unsettled.
        wasted_usd: The part of it that went to failed and aborted calls.
        saved_usd: What the cache hits would have cost.
    """

    calls: int = 0
    answered: int = 0
    failed: int = 0
    aborted: int = 0
    unsettled: int = 0
    estimated: int = 0
    unpriced: int = 0
    cache_hits: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    duration_ms: int = 0
    usd: Decimal = Decimal(0)
    wasted_usd: Decimal = Decimal(0)
    saved_usd: Decimal = Decimal(0)

    @property
    def usd_per_answer(self) -> Decimal | None:
        """What an answer cost, waste included and cache hits counted as answers."""
        answers = self.answered + self.cache_hits
        return self.usd / answers if answers else None

    @property
    def usd_per_1k_output(self) -> Decimal | None:
        """What a thousand output tokens cost, input and waste included."""
        return self.usd * 1000 / self.output_tokens if self.output_tokens else None

    @property
    def hit_rate(self) -> float | None:
        """The share of answers that a cache gave."""
        answers = self.answered + self.cache_hits
        return self.cache_hits / answers if answers else None

    @property
    def mean_duration_s(self) -> float | None:
        """How long a call took that was answered."""
        return self.duration_ms / self.answered / 1000 if self.answered else None

    @classmethod
    def from_measures(cls, measures: Sequence[int]) -> Self:
        """Return the figures of a sum of the ledger, in the order of `MEASURES`."""
        *counts, cost, wasted, saved = measures
        named: dict[str, Any] = dict(zip(MEASURES, counts, strict=False))
        return cls(
            **named, usd=_usd(cost), wasted_usd=_usd(wasted), saved_usd=_usd(saved)
        )

    @classmethod
    def total(cls, parts: Iterable[Figures]) -> Self:
        """Add figures up."""
        names = cls.__dataclass_fields__
        rows = [[getattr(part, name) for name in names] for part in parts]
        sums: list[Any] = list(map(sum, zip(*rows, strict=True)))
        return cls(**dict(zip(names, sums, strict=True))) if rows else cls()


def _usd(pico: int) -> Decimal:
    return dollars(pico * MOTES_PER_PICO)
