"""Exact money as integers: sums that neither round nor depend on a decimal context.

A *mote* is 10⁻²⁴ USD. The finest list price known is written with 18 decimals per
million tokens, so that each price per token is a whole number of motes.
"""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation
from typing import TypeAlias

from langchain_llmops.errors import ConfigurationError

__all__ = ["Amount", "dollars", "motes"]

Amount: TypeAlias = Decimal | float | str

_SCALE = 24
_DOLLAR = 10**_SCALE
# Our own context: the caller's precision and traps must not touch a sum. A number
# that outgrows it (10⁷⁶ USD) came from nonsense.
_CONTEXT = Context(prec=100)
_MOTE = Decimal((0, (1,), -_SCALE))
_multiply, _normalize = _CONTEXT.multiply, _CONTEXT.normalize


def motes(usd: Amount, *, per: int = 1) -> int:
    """Return an amount of USD in motes, rounded to the nearest.

    Args:
        usd: The amount; a `float` stands for the number that it prints as.
        per: How many units the amount pays for; the result is the price of one.

    Raises:
        ConfigurationError: It is no finite number.
    """
    try:
        amount = _CONTEXT.divide(Decimal(str(usd)), per)
        return int(_CONTEXT.to_integral_value(_CONTEXT.scaleb(amount, _SCALE)))
    except (InvalidOperation, OverflowError, ValueError) as error:
        raise ConfigurationError(
            f"{usd!r} is not an amount of money: give a finite number of USD"
        ) from error


def dollars(amount: int) -> Decimal:
    """Return motes as USD, exactly, without trailing zeros."""
    if not amount % _DOLLAR:
        return Decimal(amount // _DOLLAR)
    return _normalize(_multiply(amount, _MOTE))
