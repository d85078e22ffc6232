"""What is sent to a candidate: its model as prepared, the prompt, the config."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from langchain_core.callbacks import AsyncCallbackManager, CallbackManager
from langchain_core.messages import AIMessage

from langchain_llmops.routing.router_watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_core.messages import AIMessageChunk, BaseMessage
    from langchain_core.runnables import Runnable, RunnableConfig

    from langchain_llmops.routing.candidate import Candidate
    from langchain_llmops.routing.router_replay import Prepared
    from langchain_llmops.routing.router_run import AsyncRouterRun, RouterRun
    from langchain_llmops.tokens import TokenCounter

    Fit = Callable[..., Sequence[BaseMessage]]

__all__ = ["RoutedCall", "Sending"]

R = TypeVar("R", bound="RouterRun | AsyncRouterRun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """One request to one candidate: the arguments of its `invoke` or `stream`.

    Attributes:
        model: The candidate's model, tools and schema bound.
        messages: The prompt, made to fit.
        config: The config of the child run.
        watch: What sees the child's runs; `None` where nobody listens to them.
    """

    model: Runnable[Any, Any]
    messages: Sequence[BaseMessage]
    config: RunnableConfig
    watch: Watch | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedCall(Generic[R]):
    """One call of a router, before it is known who takes it.

    Attributes:
        messages: The prompt.
        kwargs: What goes with it, `stop` included where it was given.
        run: The open run of the router.
        prepare: A candidate's model with tools and schema bound.
        fit: Makes a prompt fit a candidate.
    """

    messages: list[BaseMessage]
    kwargs: Mapping[str, Any]
    run: R
    prepare: Callable[[Candidate], Prepared]
    fit: Fit | None

    def to(
        self,
        candidate: Candidate,
        counter: TokenCounter,
        begun: Sequence[AIMessageChunk] = (),
    ) -> Sending:
        """Return what to send to a candidate.

        Args:
            candidate: Who is asked.
            counter: Counts tokens as its model does.
            begun: An answer that broke off, to go on with.
        """
        messages: Sequence[BaseMessage] = self.messages
        if self.fit is not None and candidate.max_input_tokens is not None:
            messages = self.fit(
                messages,
                max_tokens=candidate.max_input_tokens,
                counter=counter,
            )
        if begun:
            text = "".join(str(chunk.text) for chunk in begun)
            messages = [*messages, AIMessage(text)]
        watch, config = self._watched()
        model = self.prepare(candidate).model
        return Sending(model=model, messages=messages, config=config, watch=watch)

    def _watched(self) -> tuple[Watch | None, RunnableConfig]:
        config = self.run.config
        manager = config["callbacks"]
        assert isinstance(manager, CallbackManager | AsyncCallbackManager)  # noqa: S101
        if not manager.handlers:
            return None, config
        watch = Watch(list(manager.handlers))
        watched = manager.copy()
        watched.add_handler(watch)
        return watch, {**config, "callbacks": watched}
