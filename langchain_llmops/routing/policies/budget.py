"""`budget_pressure`: dear models as long as there is money for them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing.base import Opinion, SelectionPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.routing.base import Chance
    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.request import RoutingRequest
    from langchain_llmops.routing.state import RoutingState

__all__ = ["budget_pressure"]


def budget_pressure(*, start: float = 0.8) -> SelectionPolicy:
    """Prefer cheaper candidates the more of the budget is spent.

    Up to `start` all are equal, so put the policy of normal days behind it with
    `then`. From there the price that is still in order falls in a straight line, from
    that of the dearest fitting candidate to that of the cheapest when all is spent.
    Who costs more comes later, cheapest first; who has no known price comes last.

    Args:
        start: The share of the budget from which on it saves.

    Raises:
        ConfigurationError: `start` is not from 0 up to 1.
    """
    if not 0 <= start < 1:
        raise ConfigurationError(f"start is {start!r}: give a share from 0 up to 1")
    return _BudgetPressure(start=start)


@dataclass(frozen=True, slots=True, kw_only=True)
class _BudgetPressure(SelectionPolicy):
    start: float

    def rank(
        self,
        request: RoutingRequest,
        candidates: Sequence[Candidate],
        state: RoutingState,
        chance: Chance,  # noqa: ARG002 - the interface's
    ) -> Sequence[Opinion]:
        squeeze = (state.budget_pressure - self.start) / (1 - self.start)
        if squeeze <= 0:
            return [Opinion(key=(0,))] * len(candidates)
        usage = request.usage
        costs = [candidate.cost(usage, at=request.at) for candidate in candidates]
        known = [cost for cost in costs if cost is not None]
        if not known:
            return [Opinion(key=(0,), reason="no price is known")] * len(candidates)
        room = Decimal(str(1 - min(squeeze, 1)))
        ceiling = min(known) + room * (max(known) - min(known))
        spent = f"{state.budget_pressure:.0%} of the budget is spent"
        return [_opinion(cost, ceiling, spent) for cost in costs]


def _opinion(cost: Decimal | None, ceiling: Decimal, spent: str) -> Opinion:
    if cost is None:
        return Opinion(key=(2,), reason=f"{spent}, its price is unknown")
    if cost <= ceiling:
        return Opinion(key=(0,), reason=f"{spent}, {cost} USD are in order")
    return Opinion(key=(1, float(cost)), reason=f"{spent}, {cost} USD are too much")
