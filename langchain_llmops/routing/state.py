"""What a selection policy is told about the candidates' health: `RoutingState`."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NOTHING_KNOWN", "CandidateHealth", "RoutingState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateHealth:
    """How a candidate is doing.

    Attributes:
        ttft_s: Seconds to the first token, as a moving average; `None`: not measured.
        outstanding: Calls under way.
        error_share: Share of the recent calls that failed, from 0 to 1.
        is_open: Whether its circuit breaker keeps calls away.
        requests_used: Requests of the current minute.
        tokens_used: Tokens of the current minute.
    """

    ttft_s: float | None = None
    outstanding: int = 0
    error_share: float = 0.0
    is_open: bool = False
    requests_used: int = 0
    tokens_used: int = 0


_UNKNOWN: Final = CandidateHealth()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingState:
    """What is known at the moment of the choice.

    Attributes:
        health: Name of a candidate to its health; whoever is missing is unmeasured.
        budget_pressure: How much of the budget is spent, from 0 to 1.
    """

    health: Mapping[str, CandidateHealth] = field(
        default_factory=lambda: MappingProxyType({})
    )
    budget_pressure: float = 0.0

    def of(self, name: str) -> CandidateHealth:
        """Return the health of the candidate of that name."""
        return self.health.get(name, _UNKNOWN)


NOTHING_KNOWN: Final = RoutingState()
"""The state before the first call."""
