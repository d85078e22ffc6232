"""`SelectionPolicy`: a pure answer to "which of these models for this call?"."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypeAlias

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing.fitting import fitting
from langchain_llmops.routing.ranking import Choice, Exclusion, Ranking
from langchain_llmops.routing.state import NOTHING_KNOWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.difficulty import DifficultyEstimator
    from langchain_llmops.routing.request import RoutingRequest
    from langchain_llmops.routing.state import RoutingState

__all__ = ["Chance", "Opinion", "SelectionPolicy"]

Chance: TypeAlias = "Callable[[], float]"
"""A source of randomness: each call returns a number from 0 up to, not with, 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opinion:
    """What a policy thinks of one candidate.

    Attributes:
        key: Smaller is better; candidates with equal keys are equally good.
        reason: Why, for logs and `explain`.
    """

    key: tuple[float, ...] = ()
    reason: str = ""


class SelectionPolicy(ABC):
    """Rank candidates for a call; a pure function of what it is given.

    To write one, implement `rank`, and `exclude` where some candidates are out of the
    question. Which candidates fit the call at all (length, capabilities, region,
    budget, rate limits, breaker, deadline) is settled before a policy is asked.

    Example:
        ```python
        from langchain_openai import ChatOpenAI

        from langchain_llmops import Candidate
        from langchain_llmops.routing import RoutingRequest, cheapest_capable, latency

        policy = cheapest_capable().then(latency())
        models = [Candidate(ChatOpenAI(model=m)) for m in ("gpt-4o", "gpt-4o-mini")]
        ranking = policy.choose(RoutingRequest(input_tokens=1_000), models)
        for choice in ranking.choices:
            print(choice.candidate.name, "|", choice.reason)
            #> gpt-4o-mini | 0.00015 USD
            #> gpt-4o | 0.0025 USD
        ```
    """

    def choose(
        self,
        request: RoutingRequest,
        candidates: Sequence[Candidate],
        state: RoutingState = NOTHING_KNOWN,
        *,
        chance: Chance = random.random,
    ) -> Ranking:
        """Return the candidates that fit, best first, each with its reason.

        Candidates that are equally good keep their order. A candidate that does not
        fit changes nothing for the others.

        Args:
            request: The call.
            candidates: Whom to choose from; their names differ.
            state: How they are doing.
            chance: The source of randomness.
        """
        fit, excluded = fitting(request, candidates, state)
        allowed = []
        for candidate in fit:
            if reason := self.exclude(request, candidate):
                excluded.append(Exclusion(candidate=candidate, reason=reason))
            else:
                allowed.append(candidate)
        opinions = self.rank(request, allowed, state, chance)
        order = sorted(
            zip(opinions, allowed, strict=True), key=lambda pair: pair[0].key
        )
        return Ranking(
            choices=tuple(
                Choice(candidate=candidate, reason=opinion.reason)
                for opinion, candidate in order
            ),
            excluded=tuple(excluded),
        )

    def then(self, other: SelectionPolicy) -> SelectionPolicy:
        """Return a policy that lets another one order what this one finds equal.

        What either of the two excludes is excluded.

        Raises:
            ConfigurationError: Both need an estimate of difficulty.
        """
        return _Then(first=self, second=other)

    @abstractmethod
    def rank(
        self,
        request: RoutingRequest,
        candidates: Sequence[Candidate],
        state: RoutingState,
        chance: Chance,
    ) -> Sequence[Opinion]:
        """Return an opinion on each of the candidates, which all fit, in their order.

        Args are those of `choose`.
        """

    def exclude(
        self,
        request: RoutingRequest,  # noqa: ARG002 - for those who override it
        candidate: Candidate,  # noqa: ARG002
    ) -> str | None:
        """Return why a candidate is out of the question, or `None`."""
        return None

    def check(  # noqa: B027 - most policies can choose among any
        self, candidates: Sequence[Candidate]
    ) -> None:
        """Raise `ConfigurationError` if it cannot choose among these candidates.

        A router calls it once, when it is made.
        """

    @property
    def estimator(self) -> DifficultyEstimator | None:
        """What fills in `RoutingRequest.difficulty`, if the policy reads it."""
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Then(SelectionPolicy):
    first: SelectionPolicy
    second: SelectionPolicy

    def __post_init__(self) -> None:
        if self.first.estimator is not None and self.second.estimator is not None:
            raise ConfigurationError(
                f"{self.first!r} and {self.second!r} both estimate difficulty: "
                "compose with one of them"
            )

    def rank(
        self,
        request: RoutingRequest,
        candidates: Sequence[Candidate],
        state: RoutingState,
        chance: Chance,
    ) -> Sequence[Opinion]:
        opinions = list(self.first.rank(request, candidates, state, chance))
        keys = [opinion.key for opinion in opinions]
        for places in _equals(keys):
            equals = [candidates[place] for place in places]
            finer = self.second.rank(request, equals, state, chance)
            for place, opinion in zip(places, finer, strict=True):
                opinions[place] = _both(opinions[place], opinion)
        return opinions

    def exclude(self, request: RoutingRequest, candidate: Candidate) -> str | None:
        reason = self.first.exclude(request, candidate)
        return reason or self.second.exclude(request, candidate)

    def check(self, candidates: Sequence[Candidate]) -> None:
        self.first.check(candidates)
        self.second.check(candidates)

    @property
    def estimator(self) -> DifficultyEstimator | None:
        own = self.first.estimator
        return self.second.estimator if own is None else own


def _equals(keys: Sequence[tuple[float, ...]]) -> Iterable[list[int]]:
    """Yield the places of each group of two or more equal keys."""
    order = sorted(range(len(keys)), key=keys.__getitem__)
    for _, group in groupby(order, key=keys.__getitem__):
        places = list(group)
        if len(places) > 1:
            yield places


def _both(coarse: Opinion, fine: Opinion) -> Opinion:
    reasons = [reason for reason in (coarse.reason, fine.reason) if reason]
    return Opinion(key=coarse.key + fine.key, reason="; ".join(reasons))
