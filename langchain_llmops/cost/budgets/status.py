"""Values that a budget hands out: where it stands, and what a call holds of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from langchain_llmops.cost.budgets.base import Hold
    from langchain_llmops.cost.budgets.windows import Window

__all__ = ["BudgetStatus", "Reservation"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStatus:
    """Where a budget stands. Amounts are USD as `Decimal`, or whole tokens or calls.

    Attributes:
        scope: Whose it is, such as `tenant:acme`.
        limit: How much may be used in the window.
        used: What counts against the limit: all of the three below.
        settled: Used by calls that ended, by the provider's own numbers.
        reserved: Held by calls that are under way.
        unsettled: Booked at an estimate: calls that were cut off, or whose process
            died, and which the provider may bill.
        remaining: What is left; never negative.
        resets_at: When the budget starts anew, in UTC; `None` if never.
    """

    scope: str
    limit: Decimal | int
    used: Decimal | int
    settled: Decimal | int
    reserved: Decimal | int
    unsettled: Decimal | int
    remaining: Decimal | int
    resets_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Part of a budget that a call under way holds.

    Attributes:
        hold: What the store keeps of it.
        scope: Whose budget it is.
        window: In which window, even if it is settled in a later one.
    """

    hold: Hold
    scope: str
    window: Window
