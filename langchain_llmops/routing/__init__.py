"""I want one model that is many: to choose well among models, call by call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.routing.base import Opinion, SelectionPolicy
    from langchain_llmops.routing.breaker import CircuitBreaker
    from langchain_llmops.routing.breaker_redis import RedisBreakerStore
    from langchain_llmops.routing.breaker_store import BreakerStore, CircuitNews
    from langchain_llmops.routing.candidate import Candidate, as_candidates
    from langchain_llmops.routing.catalog import ModelCatalog
    from langchain_llmops.routing.difficulty import (
        DifficultyEstimator,
        DifficultyGauge,
        TextDifficulty,
    )
    from langchain_llmops.routing.failover import (
        Attempt,
        FailoverPolicy,
        GiveUp,
        MidStream,
        Try,
    )
    from langchain_llmops.routing.failures import Failure, FailureKind, classify
    from langchain_llmops.routing.health import HealthBoard, LiveCall
    from langchain_llmops.routing.policies.budget import budget_pressure
    from langchain_llmops.routing.policies.capabilities import capabilities
    from langchain_llmops.routing.policies.cheapest import cheapest_capable
    from langchain_llmops.routing.policies.complexity import QualityTable, complexity
    from langchain_llmops.routing.policies.latency import latency
    from langchain_llmops.routing.policies.learned import LearnedPolicy, learned
    from langchain_llmops.routing.policies.sticky import sticky
    from langchain_llmops.routing.policies.weighted import weighted
    from langchain_llmops.routing.ranking import Choice, Exclusion, Ranking
    from langchain_llmops.routing.request import (
        RoutingRequest,
        prompt_text,
        routing_request,
    )
    from langchain_llmops.routing.router import ModelRouter
    from langchain_llmops.routing.router_desk import Timing
    from langchain_llmops.routing.router_errors import (
        AllCandidatesFailedError,
        NoCandidateError,
        partial_message,
    )
    from langchain_llmops.routing.router_stamp import RoutingEvent, RoutingMark
    from langchain_llmops.routing.state import CandidateHealth, RoutingState

__all__ = (
    "AllCandidatesFailedError",
    "Attempt",
    "BreakerStore",
    "Candidate",
    "CandidateHealth",
    "Choice",
    "CircuitBreaker",
    "CircuitNews",
    "DifficultyEstimator",
    "DifficultyGauge",
    "Exclusion",
    "FailoverPolicy",
    "Failure",
    "FailureKind",
    "GiveUp",
    "HealthBoard",
    "LearnedPolicy",
    "LiveCall",
    "MidStream",
    "ModelCatalog",
    "ModelRouter",
    "NoCandidateError",
    "Opinion",
    "QualityTable",
    "Ranking",
    "RedisBreakerStore",
    "RoutingEvent",
    "RoutingMark",
    "RoutingRequest",
    "RoutingState",
    "SelectionPolicy",
    "TextDifficulty",
    "Timing",
    "Try",
    "as_candidates",
    "budget_pressure",
    "capabilities",
    "cheapest_capable",
    "classify",
    "complexity",
    "latency",
    "learned",
    "partial_message",
    "prompt_text",
    "routing_request",
    "sticky",
    "weighted",
)

_MODULES = {
    "base": ("Opinion", "SelectionPolicy"),
    "breaker": ("CircuitBreaker",),
    "breaker_redis": ("RedisBreakerStore",),
    "breaker_store": ("BreakerStore", "CircuitNews"),
    "candidate": ("Candidate", "as_candidates"),
    "catalog": ("ModelCatalog",),
    "difficulty": ("DifficultyEstimator", "DifficultyGauge", "TextDifficulty"),
    "failover": ("Attempt", "FailoverPolicy", "GiveUp", "MidStream", "Try"),
    "failures": ("Failure", "FailureKind", "classify"),
    "health": ("HealthBoard", "LiveCall"),
    "policies.budget": ("budget_pressure",),
    "policies.capabilities": ("capabilities",),
    "policies.cheapest": ("cheapest_capable",),
    "policies.complexity": ("QualityTable", "complexity"),
    "policies.latency": ("latency",),
    "policies.learned": ("LearnedPolicy", "learned"),
    "policies.sticky": ("sticky",),
    "policies.weighted": ("weighted",),
    "ranking": ("Choice", "Exclusion", "Ranking"),
    "request": ("RoutingRequest", "prompt_text", "routing_request"),
    "router": ("ModelRouter",),
    "router_desk": ("Timing",),
    "router_errors": (
        "AllCandidatesFailedError",
        "NoCandidateError",
        "partial_message",
    ),
    "router_stamp": ("RoutingEvent", "RoutingMark"),
    "state": ("CandidateHealth", "RoutingState"),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        name: f"{__name__}.{module}"
        for module, names in _MODULES.items()
        for name in names
    },
)
