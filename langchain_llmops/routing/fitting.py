"""Which candidates a call fits: the rules that hold whatever the policy prefers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops.routing.ranking import Exclusion

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.request import RoutingRequest
    from langchain_llmops.routing.state import CandidateHealth, RoutingState

__all__ = ["exclusion", "fitting"]


def fitting(
    request: RoutingRequest, candidates: Sequence[Candidate], state: RoutingState
) -> tuple[list[Candidate], list[Exclusion]]:
    """Split the candidates into those that fit a call and those that do not.

    What is unknown counts as fitting, except the region: a call that must stay in one
    goes nowhere else.
    """
    fit, excluded = [], []
    for candidate in candidates:
        out = exclusion(request, candidate, state.of(candidate.name))
        if out is None:
            fit.append(candidate)
        else:
            excluded.append(out)
    return fit, excluded


def exclusion(
    request: RoutingRequest, candidate: Candidate, health: CandidateHealth
) -> Exclusion | None:
    """Return why a candidate cannot take a call, or `None` if it can.

    Reasons that lie in the call come before those of the moment.
    """
    if reason := _unfit(request, candidate):
        return Exclusion(candidate=candidate, reason=reason)
    if reason := _unavailable(request, candidate, health):
        return Exclusion(candidate=candidate, reason=reason, is_temporary=True)
    return None


def _unfit(request: RoutingRequest, candidate: Candidate) -> str | None:
    if request.region is not None and candidate.region != request.region:
        where = f"the call must stay in {request.region!r}"
        if candidate.region is None:
            return f"{where}, its region is unknown"
        return f"{where}, it runs in {candidate.region!r}"
    if missing := [need for need in request.needs if candidate.can(need) is False]:
        return f"lacks {', '.join(sorted(missing))}"
    return _too_long(request, candidate) or _too_dear(request, candidate)


def _too_long(request: RoutingRequest, candidate: Candidate) -> str | None:
    longest = candidate.max_input_tokens
    if longest is not None and request.input_tokens > longest:
        return f"takes {longest} input tokens, not {request.input_tokens}"
    longest = candidate.max_output_tokens
    if longest is not None and request.output_tokens > longest:
        return f"writes {longest} output tokens, not {request.output_tokens}"
    return None


def _too_dear(request: RoutingRequest, candidate: Candidate) -> str | None:
    if request.max_usd is None:
        return None
    cost = candidate.cost(request.usage, at=request.at)
    if cost is None or cost <= request.max_usd:
        return None
    return f"costs {cost} USD, more than {request.max_usd}"


def _unavailable(
    request: RoutingRequest, candidate: Candidate, health: CandidateHealth
) -> str | None:
    if health.is_open:
        return "its circuit breaker is open"
    if candidate.rpm is not None and health.requests_used >= candidate.rpm:
        return f"its {candidate.rpm} requests of this minute are used"
    if candidate.tpm is not None:
        tokens = health.tokens_used + request.input_tokens + request.output_tokens
        if tokens > candidate.tpm:
            return f"its {candidate.tpm} tokens of this minute do not suffice"
    left, start = request.deadline_s, health.ttft_s
    if left is not None and start is not None and start > left:
        return f"starts after {start:.3g} s, {left:.3g} left"
    return None
