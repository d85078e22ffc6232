"""The hooks that core calls on a chat model, in a router: here is the choice.

They are called with the router's own chain run, by its entry points or by a layer.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from langchain_core.callbacks import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)
from langchain_core.runnables.config import ensure_config
from pydantic import Field, PrivateAttr

from langchain_llmops.routing import attempts, attempts_async
from langchain_llmops.routing.failover import FailoverPolicy
from langchain_llmops.routing.router_call import RoutedCall
from langchain_llmops.routing.router_course import Course
from langchain_llmops.routing.router_desk import Desk, Timing
from langchain_llmops.routing.router_entry import RouterEntryPoints
from langchain_llmops.routing.router_identity import identity
from langchain_llmops.routing.router_replay import Recorded, Replay
from langchain_llmops.routing.router_run import AsyncRouterRun, RouterRun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from typing import Self

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_llmops.routing.base import SelectionPolicy
    from langchain_llmops.routing.breaker import CircuitBreaker
    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.router_call import Fit

    _Candidates: TypeAlias = tuple[Candidate, ...]
    _Policy: TypeAlias = SelectionPolicy | None
    _Failover: TypeAlias = FailoverPolicy
    _Breaker: TypeAlias = CircuitBreaker | None
    _Fit: TypeAlias = Fit | None
    _BudgetUse: TypeAlias = Callable[[], float] | None
    _Timing: TypeAlias = Timing
    _Recorded: TypeAlias = tuple[Recorded, ...]
else:
    # To pydantic they are values: it must not look inside.
    _Candidates = _Policy = _Failover = _Breaker = Any
    _Fit = _BudgetUse = _Timing = _Recorded = Any

__all__ = ["RouterHooks"]

R = TypeVar("R", RouterRun, AsyncRouterRun)

# The private names are those of copies of its own class.
# ruff: noqa: SLF001

_OF_DESK = frozenset(
    {"breaker", "budget_use", "candidates", "failover", "fit", "policy", "timing"}
)


class RouterHooks(RouterEntryPoints):
    """What a router is made of, and how one call of it goes."""

    # None of these is a setting to a cache: what they come to is `identity`.
    candidates: _Candidates = Field(exclude=True)
    policy: _Policy = Field(default=None, exclude=True)
    failover: _Failover = Field(default_factory=FailoverPolicy, exclude=True)
    breaker: _Breaker = Field(default=None, exclude=True)
    fit: _Fit = Field(default=None, exclude=True)
    budget_use: _BudgetUse = Field(default=None, exclude=True)
    timing: _Timing = Field(default_factory=Timing, exclude=True)
    recorded: _Recorded = Field(default=(), exclude=True)
    identity: str = ""

    _desk: Desk = PrivateAttr()
    _replay: Replay = PrivateAttr()

    def model_copy(
        self, *, update: Mapping[str, Any] | None = None, deep: bool = False
    ) -> Self:
        """Return a copy, which shares the health of the candidates with this one."""
        copy = super().model_copy(update=update, deep=deep)
        copy.__dict__.pop("_serialized", None)
        changed = (update or {}).keys() & _OF_DESK
        copy._set_up(None if changed else self._desk)
        return copy

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Return a copy with the same candidates: clients and locks are not copied."""
        return self.model_copy()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        desk, replay, started = self._desk, self._replay, self.timing.clock()
        call = self._call(replay, messages, stop, _run(run_manager), kwargs)
        needs = {**replay.needs, **kwargs}
        request = desk.request(messages, needs, call.run.config)
        return attempts.generate(Course(desk, request, started), call)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        desk, replay, started = self._desk, self._replay, self.timing.clock()
        call = self._call(replay, messages, stop, _arun(run_manager), kwargs)
        needs = {**replay.needs, **kwargs}
        request = await desk.arequest(messages, needs, call.run.config)
        return await attempts_async.agenerate(Course(desk, request, started), call)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        desk, replay, started = self._desk, self._replay, self.timing.clock()
        call = self._call(replay, messages, stop, _run(run_manager), kwargs)
        needs = {**replay.needs, **kwargs}
        request = desk.request(messages, needs, call.run.config)
        yield from attempts.stream(Course(desk, request, started), call)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        desk, replay, started = self._desk, self._replay, self.timing.clock()
        call = self._call(replay, messages, stop, _arun(run_manager), kwargs)
        needs = {**replay.needs, **kwargs}
        request = await desk.arequest(messages, needs, call.run.config)
        chunks = attempts_async.astream(Course(desk, request, started), call)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def _set_up(self, desk: Desk | None = None) -> None:
        self._replay = Replay(self.recorded)
        self.identity = identity(self.candidates, self.policy, self.recorded)
        self._desk = desk or Desk(
            self.candidates,
            policy=self.policy,
            failover=self.failover,
            breaker=self.breaker,
            fits_prompts=self.fit is not None,
            budget_use=self.budget_use,
            timing=self.timing,
        )

    def _call(
        self,
        replay: Replay,
        messages: list[BaseMessage],
        stop: list[str] | None,
        run: R,
        kwargs: dict[str, Any],
    ) -> RoutedCall[R]:
        return RoutedCall(
            messages=messages,
            kwargs=kwargs if stop is None else {**kwargs, "stop": stop},
            run=run,
            prepare=replay.on,
            fit=self.fit,
        )


def _run(run_manager: Any) -> RouterRun:
    if isinstance(run_manager, RouterRun):
        return run_manager
    # A hook called by hand, past the public methods.
    return RouterRun(CallbackManagerForChainRun.get_noop_manager(), ensure_config())


def _arun(run_manager: Any) -> AsyncRouterRun:
    if isinstance(run_manager, AsyncRouterRun):
        return run_manager
    noop = AsyncCallbackManagerForChainRun.get_noop_manager()
    return AsyncRouterRun(noop, ensure_config())
