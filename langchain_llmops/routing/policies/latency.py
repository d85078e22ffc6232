"""`latency`: the less busy of two that were drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from langchain_llmops.routing.base import Opinion, SelectionPolicy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.routing.base import Chance
    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.request import RoutingRequest
    from langchain_llmops.routing.state import CandidateHealth, RoutingState

__all__ = ["expected_waits", "latency"]

_HOPELESS: Final = 0.01
"""The least share of successes that a wait is divided by."""


def latency() -> SelectionPolicy:
    """Prefer the candidate that answers sooner, of two drawn at random.

    Comparing two instead of all keeps callers that see the same old figures from all
    running to the same candidate. How long one takes: its average time to the first
    token, times the calls under way and this one, divided by its share of successes.
    A candidate without a measurement counts as fast as the fastest, so that it gets
    one. Those that were not picked follow, quickest first.
    """
    return _Latency()


def expected_waits(health: Sequence[CandidateHealth]) -> list[float]:
    """Return for each candidate what `latency` compares, in seconds (or alike).

    Where no time is measured at all, the calls under way alone count.
    """
    known = [each.ttft_s for each in health if each.ttft_s is not None]
    fastest = min(known, default=1.0)
    return [
        (fastest if each.ttft_s is None else each.ttft_s)
        * (1 + each.outstanding)
        / max(1 - each.error_share, _HOPELESS)
        for each in health
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Latency(SelectionPolicy):
    def rank(
        self,
        request: RoutingRequest,  # noqa: ARG002 - the interface's
        candidates: Sequence[Candidate],
        state: RoutingState,
        chance: Chance,
    ) -> Sequence[Opinion]:
        health = [state.of(candidate.name) for candidate in candidates]
        waits = expected_waits(health)
        picked = _sooner_of_two(waits, chance) if len(waits) > 1 else 0
        return [
            Opinion(
                key=(0,) if place == picked else (1, wait),
                reason=f"{_measured(each)}, {each.outstanding} under way",
            )
            for place, (each, wait) in enumerate(zip(health, waits, strict=True))
        ]


def _sooner_of_two(waits: Sequence[float], chance: Chance) -> int:
    one = int(chance() * len(waits))
    other = int(chance() * (len(waits) - 1))
    other += other >= one  # every other place is equally likely
    return one if waits[one] <= waits[other] else other


def _measured(health: CandidateHealth) -> str:
    if health.ttft_s is None:
        return "not measured"
    return f"first token after {health.ttft_s:.3g} s"
