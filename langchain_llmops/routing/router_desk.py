"""Where a router decides: what it knows of its candidates, and the order for a call."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from langchain_llmops.routing.catalog import model_names
from langchain_llmops.routing.difficulty import DifficultyGauge
from langchain_llmops.routing.fitting import fitting
from langchain_llmops.routing.health import HealthBoard
from langchain_llmops.routing.ranking import Choice, Ranking
from langchain_llmops.routing.request import prompt_text, routing_request
from langchain_llmops.routing.state import RoutingState
from langchain_llmops.tokens import TokenCounter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig

    from langchain_llmops.routing.base import SelectionPolicy
    from langchain_llmops.routing.breaker import CircuitBreaker
    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.failover import FailoverPolicy
    from langchain_llmops.routing.request import RoutingRequest

__all__ = ["CHARACTERS_PER_TOKEN", "Desk", "Timing"]

# What a provider adds around each message, at most.
_PER_MESSAGE: Final = 8
CHARACTERS_PER_TOKEN: Final = 4
"""What English text has about, where a guess will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """The clock, the chance and the sleep of a router; tests bring their own.

    Attributes:
        clock: Seconds, from any start.
        chance: A number from 0 up to, not with, 1.
        sleep: Waits on a thread.
        asleep: Waits on an event loop.
    """

    clock: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random
    sleep: Callable[[float], None] = time.sleep
    asleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Desk:
    """Rank candidates for calls, by the policy, the tiers and their health.

    Shared by the copies that `bind_tools` makes of a router: they see one health.
    Safe across threads and event loops.

    Args:
        candidates: Whom to choose from, named differently.
        policy: Ranks inside a tier; `None` keeps the order.
        failover: The order of the tiers.
        breaker: Keeps calls from candidates that fail; `None` for none.
        fits_prompts: Whether a prompt can be made to fit a candidate.
        budget_use: How much of a budget is used, for policies that ask.
        timing: Clock and chance.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        *,
        policy: SelectionPolicy | None,
        failover: FailoverPolicy,
        breaker: CircuitBreaker | None,
        fits_prompts: bool,
        budget_use: Callable[[], float] | None,
        timing: Timing,
    ) -> None:
        self.failover = failover
        self.timing = timing
        self.board = HealthBoard(
            [candidate.name for candidate in candidates],
            breaker=breaker,
            clock=timing.clock,
        )
        self._policy = policy
        self._fits_prompts = fits_prompts
        self._budget_use = budget_use
        self._tiers = _tiers(candidates, failover.tiers)
        estimator = None if policy is None else policy.estimator
        self._gauge = None if estimator is None else DifficultyGauge(estimator)
        limits = [c.max_input_tokens for c in candidates if c.max_input_tokens]
        self._shortest = min(limits, default=None)
        self.counters = {each.name: _counter(each) for each in candidates}
        # For the length of a prompt before it is known who gets it.
        self._counter = self.counters[candidates[0].name]

    def request(
        self,
        messages: Sequence[BaseMessage],
        kwargs: Mapping[str, Any],
        config: RunnableConfig,
    ) -> RoutingRequest:
        """Return what is to be known of a call for choosing.

        Args:
            messages: The prompt.
            kwargs: What goes with it, bound tools and schemas included.
            config: The config of the call.
        """
        gauge = self._gauge
        difficulty = None if gauge is None else gauge.read(prompt_text(messages))
        tokens = _estimate(messages, self._shortest)
        if tokens is None:
            tokens = self._counter.count_messages(list(messages))
        return _request(messages, kwargs, config, tokens, difficulty)

    async def arequest(
        self,
        messages: Sequence[BaseMessage],
        kwargs: Mapping[str, Any],
        config: RunnableConfig,
    ) -> RoutingRequest:
        """Return what `request` returns, without blocking the event loop."""
        gauge = self._gauge
        difficulty = None
        if gauge is not None:
            difficulty = await gauge.aread(prompt_text(messages))
        tokens = _estimate(messages, self._shortest)
        if tokens is None:
            await self._counter.aload()
            tokens = self._counter.count_messages(list(messages))
        return _request(messages, kwargs, config, tokens, difficulty)

    def rank(self, request: RoutingRequest, *, heeds_breakers: bool = True) -> Ranking:
        """Return whom to ask, in order, and who is out of the question.

        If nobody can take the whole prompt and it can be made to fit, its length
        counts no more. If it is only breakers that stand in the way, they do not:
        a candidate that may fail is better than none.

        Args:
            request: The call.
            heeds_breakers: Whether an open breaker keeps a candidate out.
        """
        pressure = 0.0 if self._budget_use is None else self._budget_use()
        health = self.board.snapshot()
        if not heeds_breakers:
            health = {n: replace(each, is_open=False) for n, each in health.items()}
        state = RoutingState(health=health, budget_pressure=pressure)
        ranking = self._ranked(request, state)
        if ranking.choices:
            return ranking
        if self._fits_prompts and self._shortest is not None:
            short = min(request.input_tokens, self._shortest)
            ranking = self._ranked(replace(request, input_tokens=short), state)
        if not ranking.choices and any(each.is_open for each in health.values()):
            return self.rank(request, heeds_breakers=False)
        return ranking

    def used(self, candidate: Candidate, request: RoutingRequest) -> None:
        """Note a request against the rate limits of a candidate that has any."""
        if candidate.rpm is not None or candidate.tpm is not None:
            tokens = request.input_tokens + request.output_tokens
            self.board.used(candidate.name, tokens=tokens)

    def _ranked(self, request: RoutingRequest, state: RoutingState) -> Ranking:
        rankings = [self._of_tier(request, tier, state) for tier in self._tiers]
        if len(rankings) == 1:
            return rankings[0]
        return Ranking(
            choices=tuple(choice for each in rankings for choice in each.choices),
            excluded=tuple(out for each in rankings for out in each.excluded),
        )

    def _of_tier(
        self,
        request: RoutingRequest,
        candidates: Sequence[Candidate],
        state: RoutingState,
    ) -> Ranking:
        if self._policy is not None:
            chance = self.timing.chance
            return self._policy.choose(request, candidates, state, chance=chance)
        fit, excluded = fitting(request, candidates, state)
        choices = tuple(Choice(candidate=each, reason="as listed") for each in fit)
        return Ranking(choices=choices, excluded=tuple(excluded))


def _counter(candidate: Candidate) -> TokenCounter:
    return TokenCounter(next(iter(model_names(candidate.model)), candidate.name))


def _tiers(
    candidates: Sequence[Candidate], order: Sequence[str]
) -> list[tuple[Candidate, ...]]:
    if not order:
        return [tuple(candidates)]
    return [tuple(c for c in candidates if c.tier == tier) for tier in order]


def _request(
    messages: Sequence[BaseMessage],
    kwargs: Mapping[str, Any],
    config: RunnableConfig,
    tokens: int,
    difficulty: float | None,
) -> RoutingRequest:
    longest = kwargs.get("max_tokens") or kwargs.get("max_completion_tokens") or 0
    return routing_request(
        messages,
        input_tokens=tokens,
        output_tokens=longest if isinstance(longest, int) else 0,
        kwargs=kwargs,
        config=config,
        difficulty=difficulty,
    )


def _estimate(messages: Sequence[BaseMessage], shortest: int | None) -> int | None:
    """Return about how many tokens messages have; `None` if it must be counted.

    Every token has a byte at least. Where even the bytes fit the shortest limit, a
    guess is enough to compare prices with.
    """
    size = 0
    for message in messages:
        content = message.content
        if not isinstance(content, str):
            return None
        size += len(content) if content.isascii() else len(content.encode())
    if shortest is not None and size + _PER_MESSAGE * len(messages) > shortest:
        return None
    return size // CHARACTERS_PER_TOKEN + _PER_MESSAGE * len(messages)
