"""`weighted`: traffic shared out by the candidates' weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_llmops.routing.base import Opinion, SelectionPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.routing.base import Chance
    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.request import RoutingRequest
    from langchain_llmops.routing.state import RoutingState

__all__ = ["weighted"]


def weighted() -> SelectionPolicy:
    """Draw the order at random, each candidate as often first as its weight says.

    The second place is drawn by weight among the others, and so on. A weight of 0 makes
    a spare: it comes last.
    """
    return _Weighted()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Weighted(SelectionPolicy):
    def rank(
        self,
        request: RoutingRequest,  # noqa: ARG002 - the interface's
        candidates: Sequence[Candidate],
        state: RoutingState,  # noqa: ARG002
        chance: Chance,
    ) -> Sequence[Opinion]:
        # The order of exponential waiting times is a draw without replacement by
        # weight (Efraimidis and Spirakis, 2006).
        return [
            Opinion(
                key=(
                    (0, -math.log1p(-chance()) / candidate.weight)
                    if candidate.weight
                    else (1,)
                ),
                reason=f"weight {candidate.weight:g}",
            )
            for candidate in candidates
        ]
