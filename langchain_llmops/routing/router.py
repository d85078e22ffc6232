"""`ModelRouter`: one chat model that is many."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.runnables.config import ensure_config

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.models import client_retries, without_client_retries
from langchain_llmops.routing.breaker import CircuitBreaker
from langchain_llmops.routing.candidate import as_candidates
from langchain_llmops.routing.failover import FailoverPolicy
from langchain_llmops.routing.router_desk import Timing
from langchain_llmops.routing.router_hooks import RouterHooks
from langchain_llmops.routing.router_profile import intersection
from langchain_llmops.routing.router_replay import STRUCTURED, Recorded
from langchain_llmops.routing.router_structured import CandidateParser
from langchain_llmops.routing.router_warm import awarm, warm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Self

    from langchain_core.language_models import (
        BaseChatModel,
        LangSmithParams,
        LanguageModelInput,
        ModelProfile,
    )
    from langchain_core.messages import AIMessage, BaseMessage
    from langchain_core.runnables import Runnable, RunnableConfig
    from langchain_core.tools import BaseTool

    from langchain_llmops.routing.base import SelectionPolicy
    from langchain_llmops.routing.breaker_store import BreakerStore
    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.ranking import Ranking
    from langchain_llmops.routing.router_call import Fit

__all__ = ["ModelRouter"]

# Core names the parameters (`input`); the private names are those of copies of its own
# class, and core's own for what identifies a model.
# ruff: noqa: A002, SLF001


class ModelRouter(RouterHooks):
    """Choose among chat models call by call, and go on with another when one fails.

    It is a chat model: tools, structured output, streaming, batches, agents and layers
    work as with any other. Each call is one chain run, with an LLM run below it for
    each attempt: so usage is counted where it arises, and once.

    The answer's `response_metadata["routing"]` says which `model` of which `tier`
    answered, for which `reason`, after how many `attempts`, and the estimated
    `cost_estimate_usd`. In a stream the last chunk has it.

    If a call fails, the error is that of the model, as the same object, where one
    candidate was tried; else `AllCandidatesFailedError`. What a stream had handed out
    before it broke off, `routing.partial_message(error)` returns.

    Requests of candidates' clients are sent once: their own retries are switched off,
    or warned about where that cannot be done. Safe across threads and event loops.

    Args:
        candidates: Models, or `Candidate`s that say more about them.
        policy: Ranks the candidates of a tier; by default they come as listed.
        failover: What to do after a failure; by default `FailoverPolicy()`.
        breaker: Keeps calls away from candidates that fail; by default a
            `CircuitBreaker()`.
        fit: Makes a prompt fit: `fit(messages, max_tokens=…, counter=…)` is called for
            each attempt whose candidate has a known limit, and returns messages.
        store: Where breakers share what they know across processes.
        budget_use: Returns how much of a budget is used, 0 to 1: for
            `routing.budget_pressure`.
        timing: Clock, chance and sleep.

    Raises:
        ConfigurationError: There are no candidates, their names clash, the policy
            cannot choose among them, or a tier is missing.

    Example:
        ```python
        from langchain_llmops import ModelRouter
        from langchain_openai import ChatOpenAI

        router = ModelRouter(
            [ChatOpenAI(model="gpt-4o-mini"), ChatOpenAI(model="gpt-4o")]
        )
        answer = router.invoke("Hello!")
        print(answer.response_metadata["routing"]["model"])
        #> gpt-4o-mini
        ```
    """

    def __init__(
        self,
        candidates: Iterable[Candidate | BaseChatModel],
        policy: SelectionPolicy | None = None,
        failover: FailoverPolicy | None = None,
        breaker: CircuitBreaker | None = None,
        fit: Fit | None = None,
        store: BreakerStore | None = None,
        *,
        budget_use: Callable[[], float] | None = None,
        timing: Timing | None = None,
        **fields: Any,
    ) -> None:
        clocks = Timing() if timing is None else timing
        if breaker is None:
            breaker = CircuitBreaker(clock=clocks.clock, chance=clocks.chance)
        settings: dict[str, Any] = {
            "candidates": tuple(map(_sent_once, as_candidates(candidates))),
            "policy": policy,
            "failover": FailoverPolicy() if failover is None else failover,
            "breaker": breaker if store is None else breaker.with_store(store),
            "fit": fit,
            "budget_use": budget_use,
            "timing": clocks,
        }
        super().__init__(**settings, **fields)
        self._check()
        self._set_up()

    @property
    def _llm_type(self) -> str:
        return "model-router"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"router": self.identity}

    def _get_ls_params(
        self, stop: list[str] | None = None, **kwargs: Any
    ) -> LangSmithParams:
        params = super()._get_ls_params(stop=stop, **kwargs)
        params["ls_model_name"] = kwargs.get("model") or self._llm_type
        return params

    def _resolve_model_profile(self) -> ModelProfile | None:
        return intersection([each.model.profile for each in self.candidates])

    def get_token_ids(self, text: str) -> list[int]:
        """Return the tokens of a text, as the first candidate sees them."""
        return self.candidates[0].model.get_token_ids(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """Return the tokens of a prompt, as the first candidate counts them."""
        model = self.candidates[0].model
        return model.get_num_tokens_from_messages(messages, tools)

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Return a router whose candidates have these tools.

        Each candidate binds them in its own way when its turn comes; the first that
        can does so now, so that tools which no model takes are refused at once.

        Args:
            tools: As for any chat model.
            tool_choice: As for any chat model.
            kwargs: Handed on to the candidates.
        """
        if tool_choice is not None:
            kwargs["tool_choice"] = tool_choice
        return self._with(
            Recorded(method="bind_tools", subject=list(tools), kwargs=kwargs)
        )

    def with_structured_output(
        self, schema: dict[str, Any] | type, *, include_raw: bool = False, **kwargs: Any
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a chain whose answers have the form of a schema.

        Each candidate is asked in its own way, and its answer is read by its own
        parser. An answer that does not parse is an error, and no reason to ask another
        candidate.

        Args:
            schema: As for any chat model.
            include_raw: Whether to return `raw`, `parsed` and `parsing_error`.
            kwargs: Handed on to the candidates: `method`, `strict`.
        """
        router = self._with(Recorded(method=STRUCTURED, subject=schema, kwargs=kwargs))
        return router | CandidateParser(router._parser, include_raw=include_raw)

    def explain(
        self, input: LanguageModelInput, config: RunnableConfig | None = None
    ) -> Ranking:
        """Return whom a call would go to, in which order and why, without making it.

        An estimator of difficulty is asked, if the policy has one; no model is.

        Args:
            input: The prompt.
            config: The config of the call: metadata and switches count.
        """
        messages = self._convert_input(input).to_messages()
        request = self._desk.request(
            messages, self._replay.needs, ensure_config(config)
        )
        return self._desk.rank(request)

    async def aexplain(
        self, input: LanguageModelInput, config: RunnableConfig | None = None
    ) -> Ranking:
        """Return what `explain` returns, without blocking the event loop."""
        messages = self._convert_input(input).to_messages()
        full = ensure_config(config)
        return self._desk.rank(
            await self._desk.arequest(messages, self._replay.needs, full)
        )

    def warm(self, prompt: str = "Hi", **kwargs: Any) -> dict[str, Exception | None]:
        """Ask every candidate at once, so that connections are open; see `awarm`."""
        return warm(self.candidates, self._desk, prompt, kwargs)

    async def awarm(
        self, prompt: str = "Hi", **kwargs: Any
    ) -> dict[str, Exception | None]:
        """Ask every candidate at once, so that connections are open.

        Each gets one request, which is billed; breakers and latencies learn from it.
        Files for counting tokens are loaded. Nothing is raised.

        Args:
            prompt: What is asked.
            kwargs: Handed on to the candidates; by default `max_tokens=1`.

        Returns:
            Name of each candidate to its error, or to `None` if it has answered.
        """
        return await awarm(self.candidates, self._desk, prompt, kwargs)

    def _check(self) -> None:
        for field in ("cache", "rate_limiter"):
            if getattr(self, field):
                raise ConfigurationError(
                    f"{field}={getattr(self, field)!r} of a ModelRouter would be "
                    "ignored: give it to the candidates' models, or use a layer"
                )
        self.failover.check(self.candidates)
        if self.policy is not None:
            self.policy.check(self.candidates)

    def _with(self, request: Recorded) -> Self:
        """Return a copy for which something more was asked, once a model has agreed."""
        copy = self.model_copy(update={"recorded": (*self.recorded, request)})
        refusal: NotImplementedError | None = None
        for candidate in self.candidates:
            try:
                copy._replay.on(candidate)
            except NotImplementedError as error:
                refusal = error
            else:
                return copy
        assert refusal is not None  # noqa: S101 - there is a candidate
        raise refusal

    def _parser(self, name: str | None) -> Runnable[Any, Any]:
        named = (each for each in self.candidates if each.name == name)
        parser = self._replay.on(next(named, self.candidates[0])).parser
        assert parser is not None  # noqa: S101 - asked of a structured copy only
        return parser


def _sent_once(candidate: Candidate) -> Candidate:
    """Return a candidate whose client does not repeat requests by itself."""
    model = without_client_retries(candidate.model)
    if client_retries(model):
        warnings.warn(
            f"the client of {candidate.name!r} repeats failed requests by itself, and "
            "that cannot be switched off from here: failover will be late, and some "
            "requests uncounted; configure the model with max_retries=0",
            stacklevel=3,
        )
    if model is candidate.model:
        return candidate
    return replace(candidate, model=model)
