"""Where calls of a layered model come in: each opens the scope of one call.

Core hands no config to the hooks that run the layers, and leaves open streams to the
garbage collector. So the public methods take note of the config, let core do the call
on a scoped twin, and close what it opened.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from langchain_llmops.models.closable import aclosable
from langchain_llmops.models.twins import Scope, scope_of, scoped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.callbacks import Callbacks
    from langchain_core.language_models import BaseChatModel, LanguageModelInput
    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
    from langchain_core.outputs import LLMResult
    from langchain_core.runnables import RunnableConfig

    _Model = BaseChatModel
else:
    # At run time the model's own class stands in its place: see `layered_class`.
    _Model = object

__all__ = ["EntryPoints"]

# Core names the parameters (`input`), and its docstrings are what `help` shows for a
# method here that has none.
# ruff: noqa: A002, D102


class EntryPoints(_Model):
    """The public methods of a layered model, in front of those of its own class."""

    __slots__ = ()

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        model = scoped(self, Scope(config))
        return super(EntryPoints, model).invoke(input, config, **kwargs)

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        scope = Scope(config)
        try:
            model = scoped(self, scope)
            return await super(EntryPoints, model).ainvoke(input, config, **kwargs)
        finally:
            await scope.aclose()

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        model = scoped(self, Scope(config))
        yield from super(EntryPoints, model).stream(input, config, **kwargs)

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        scope = Scope(config)
        model = scoped(self, scope)
        chunks = aclosable(super(EntryPoints, model).astream(input, config, **kwargs))
        # From the inside out, as an error or a cancellation would go: the layers end
        # first, then core closes the run.
        async with aclosing(chunks), aclosing(scope):
            async for chunk in chunks:
                yield chunk

    def stream_events(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        model = scoped(self, Scope(config))
        return super(EntryPoints, model).stream_events(input, config, **kwargs)

    def astream_events(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Any:
        model = scoped(self, Scope(config))
        return super(EntryPoints, model).astream_events(input, config, **kwargs)

    def generate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        model = self
        if scope_of(self) is None:
            model = scoped(self, Scope(_as_config(callbacks, kwargs)))
        return super(EntryPoints, model).generate(messages, stop, callbacks, **kwargs)

    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        model, scope = self, scope_of(self)
        if scope is None:
            scope = Scope(_as_config(callbacks, kwargs))
            model = scoped(self, scope)
        try:
            run = super(EntryPoints, model).agenerate(
                messages, stop, callbacks, **kwargs
            )
            return await run
        finally:
            await scope.aclose()


def _as_config(callbacks: Callbacks, options: Mapping[str, Any]) -> RunnableConfig:
    """Return what the caller of `generate` says in single parameters as a config."""
    names = ("tags", "metadata", "run_name", "run_id")
    given = {"callbacks": callbacks, **{name: options.get(name) for name in names}}
    config = {name: value for name, value in given.items() if value is not None}
    return cast("RunnableConfig", config)
