"""What a layer is and what it sees: the contract that `with_layers` keeps."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_llmops.models.audience import audience_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.callbacks import (
        AsyncCallbackManagerForLLMRun,
        CallbackManagerForLLMRun,
    )
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult
    from langchain_core.runnables import RunnableConfig

__all__ = [
    "AgenerateHandler",
    "AstreamHandler",
    "GenerateHandler",
    "ModelCall",
    "ModelLayer",
    "StreamHandler",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One call of a model, as a layer sees it.

    A layer that wants another call to go in hands on a changed copy:
    `handler(dataclasses.replace(call, messages=shorter))`.

    Attributes:
        model: The model without its layers: an object of the original class that
            shares the layered model's state (read its fields, its name, its tools
            from here; a call made on it passes no layer).
        messages: The prompt, as core hands it to the model.
        stop: Stop words of this call.
        kwargs: Everything else the caller or a binding passed (`tools`, `temperature`).
        config: The config of the call, complete (`ensure_config` was applied):
            `config["metadata"]` says for whom and what for, `config["configurable"]`
            holds the switches of this call. Where the caller gave none, it is the
            ambient one of the chain or graph that runs.
        run_manager: The open LLM run, synchronous in `generate` and `stream`,
            asynchronous in `agenerate` and `astream`. `None` where core hands none
            to the model, which is always so in a plain `stream` or `astream`.
    """

    model: BaseChatModel
    messages: list[BaseMessage]
    stop: list[str] | None
    kwargs: Mapping[str, Any]
    config: RunnableConfig
    run_manager: CallbackManagerForLLMRun | AsyncCallbackManagerForLLMRun | None

    def tell(self, name: str, data: object) -> None:
        """Send a custom event of LangChain to the call's callback handlers.

        They get it in `on_custom_event`, and readers of `astream_events` as an event,
        with the metadata and tags of the call. In a plain stream, where core tells
        nobody its run, it is sent in the name of the run around it; handlers of
        LangChain's configure hooks do not get it there. Less than a microsecond where
        nobody listens. What a handler raises is core's to log, unless its
        `raise_error` is set.

        Args:
            name: What happened, such as `types.RETRY_EVENT`.
            data: Made for this event alone: by its identity a handler that is
                attached twice can tell that it is the same event.
        """
        if audience := audience_of(self):
            audience.hear(name, data)

    async def atell(self, name: str, data: object) -> None:
        """Send an event as `tell` does, from `agenerate` and `astream`."""
        if audience := audience_of(self):
            await audience.ahear(name, data)


GenerateHandler: TypeAlias = Callable[[ModelCall], "ChatResult"]
AgenerateHandler: TypeAlias = Callable[[ModelCall], Awaitable["ChatResult"]]
StreamHandler: TypeAlias = Callable[
    [ModelCall], Generator["ChatGenerationChunk", None, None]
]
AstreamHandler: TypeAlias = Callable[
    [ModelCall], AsyncGenerator["ChatGenerationChunk", None]
]


class ModelLayer:
    """Something that acts on every call of one model: before, around, after.

    Override what you need; a method that you leave out passes the call through at no
    cost. The four methods are the four ways in which a model is called, and LangChain
    chooses among them: `invoke` may run `stream` (a model with `streaming=True`, or a
    graph that streams messages), `stream` may run `generate` (a model that cannot
    stream). So a layer that must see each call overrides all four. Exactly one of them
    runs per call.

    `handler(call)` goes one layer in, and at last to the model: call it once, never
    (the layer answers by itself, or raises), or again (a retry). An exception from
    within reaches the caller as the same object, unless the layer catches it; the
    run is closed with it either way. No callback sees the cancellation of an
    `ainvoke`; a layer does, in its `finally`.

    One layer may serve several models, threads and event loops at once: keep what
    belongs to one call in local variables, and no `asyncio` primitive on the layer.
    """

    def attach(self, model: BaseChatModel) -> Mapping[str, Any]:
        """Prepare to serve a model: look at it, warn, and say which fields to change.

        Called by `with_layers`, once for each model, before the layered copy is made.

        Args:
            model: The model given to `with_layers`; not to be changed.

        Returns:
            New values of fields of the layered copy, unvalidated, as in
            `model_copy(update=…)`. The original keeps its own.
        """
        del model
        return {}

    def generate(self, call: ModelCall, handler: GenerateHandler) -> ChatResult:
        """Answer a call that wants the whole result at once.

        Args:
            call: What is asked, by whom, of which model.
            handler: Goes one layer in.

        Returns:
            The result; core sets ids and metadata on its messages in place, so return
            nothing that is kept elsewhere.
        """
        return handler(call)

    async def agenerate(self, call: ModelCall, handler: AgenerateHandler) -> ChatResult:
        """Answer as `generate` does, on an event loop."""
        return await handler(call)

    def stream(
        self, call: ModelCall, handler: StreamHandler
    ) -> Iterator[ChatGenerationChunk]:
        """Answer a call chunk by chunk.

        Written as a generator it sees an early end as `GeneratorExit`. `handler(call)`
        is a generator as well: `yield from` it, or close it (`contextlib.closing`).

        Args:
            call: What is asked, by whom, of which model.
            handler: Goes one layer in.

        Returns:
            The chunks; at least one, or core raises.
        """
        return handler(call)

    def astream(
        self, call: ModelCall, handler: AstreamHandler
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Answer as `stream` does, on an event loop.

        Override it as an asynchronous generator (`async def` with `yield`), and put
        `handler(call)` into `contextlib.aclosing`, so that whatever is open further
        in ends at once when the reader goes.
        """
        return handler(call)
