"""`cheapest_capable`: of the models that can do it, the one that costs least."""

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

__all__ = ["cheapest_capable"]


def cheapest_capable(*, tolerance: float = 0.0) -> SelectionPolicy:
    """Prefer the candidate that the call costs least on.

    A candidate whose price is unknown comes after all that have one.

    Args:
        tolerance: How much dearer than the cheapest counts as equally cheap, as a
            share of its cost, so that a policy put behind with `then` has a say.

    Raises:
        ConfigurationError: The tolerance is negative.
    """
    if not tolerance >= 0:
        raise ConfigurationError(f"tolerance is {tolerance!r}: give 0 or more")
    return _CheapestCapable(tolerance=Decimal(str(tolerance)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _CheapestCapable(SelectionPolicy):
    tolerance: Decimal

    def rank(
        self,
        request: RoutingRequest,
        candidates: Sequence[Candidate],
        state: RoutingState,  # noqa: ARG002 - the interface's
        chance: Chance,  # noqa: ARG002
    ) -> Sequence[Opinion]:
        usage = request.usage
        costs = [candidate.cost(usage, at=request.at) for candidate in candidates]
        known = [cost for cost in costs if cost is not None]
        cheap = min(known) * (1 + self.tolerance) if known else Decimal(0)
        return [_opinion(cost, cheap) for cost in costs]


def _opinion(cost: Decimal | None, cheap: Decimal) -> Opinion:
    if cost is None:
        return Opinion(key=(2, 0), reason="its price is unknown")
    key = (0.0, 0.0) if cost <= cheap else (1.0, float(cost))
    return Opinion(key=key, reason=f"{cost} USD")
