"""What a budget counts, in integers: exact sums that every store can keep.

Stores know 64-bit integers. Tokens and calls are such; dollars are counted in
picodollars (10⁻¹² USD), rounded up per call. List prices are whole picodollars per
token, save for a few models cheaper than a cent per million.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing.money import dollars, motes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from langchain_llmops.pricing.money import Amount

__all__ = ["MOST", "Limit", "SoftLimit", "Unit", "picodollars", "soft_limits_of"]

Unit: TypeAlias = Literal["usd", "tokens", "calls"]

MOST: Final = 4 * 10**18
"""The largest amount: four million dollars. Two of them still fit 64 bits."""

_MOTES: Final = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How much may be used in a window.

    Attributes:
        unit: What is counted.
        most: How many tokens, calls or picodollars.
    """

    unit: Unit
    most: int

    @classmethod
    def of(cls, usd: Amount | None, tokens: int | None, calls: int | None) -> Limit:
        """Return the one limit that is given.

        Raises:
            ConfigurationError: There is none or more than one, or it is no amount.
        """
        given: dict[Unit, object] = {
            "usd": usd,
            "tokens": tokens,
            "calls": calls,
        }
        units = [unit for unit, value in given.items() if value is not None]
        if len(units) != 1:
            raise ConfigurationError(
                "a Budget has one of limit_usd, limit_tokens and limit_calls, and got "
                f"{len(units)}: for several limits give with_layers a BudgetLayer each"
            )
        unit = units[0]
        value = given[unit]
        if unit == "usd":
            most = motes(usd or 0) // _MOTES
        else:
            most = value if type(value) is int else -1
        if not 0 <= most <= MOST:
            raise ConfigurationError(
                f"limit_{unit}={value!r} is no limit: give a number from 0 to "
                f"{4_000_000 if unit == 'usd' else MOST}"
            )
        return cls(unit=unit, most=most)

    def shown(self, amount: int) -> Decimal | int:
        """Return an amount as people read it: USD as a `Decimal`, else as it is."""
        return dollars(amount * _MOTES) if self.unit == "usd" else amount


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftLimit:
    """A share of the limit that is told about when it is reached.

    Attributes:
        share: The share, as it was given.
        amount: The same as an amount, rounded up.
    """

    share: float
    amount: int

    def crossed(self, before: int, after: int) -> bool:
        """Say whether it was reached between two amounts; what is spent only grows."""
        return before < self.amount <= after


def soft_limits_of(shares: Sequence[float], limit: Limit) -> tuple[SoftLimit, ...]:
    """Return soft limits in rising order.

    Raises:
        ConfigurationError: A share is not above 0 and at most 1.
    """
    for share in shares:
        if isinstance(share, bool) or not 0 < share <= 1:
            raise ConfigurationError(
                f"the soft limit {share!r} is no share: give numbers in (0, 1], "
                "such as 0.8"
            )
    return tuple(
        SoftLimit(share=share, amount=-(-Fraction(str(share)) * limit.most // 1))
        for share in sorted(set(shares))
    )


def picodollars(amount: int) -> int:
    """Return motes as picodollars, rounded up and cut off at `MOST`."""
    return min(-(-amount // _MOTES), MOST)
