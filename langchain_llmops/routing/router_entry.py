"""Where calls of a router come in: each opens one chain run around the choice.

A chat model opens an LLM run; a router's LLM runs are its candidates', so its own is a
chain. The hooks (`_generate` and so on) are called with the chain's run manager:
whatever is put around them, layers included, is around the whole choice.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.outputs import ChatGeneration, LLMResult, RunInfo
from langchain_core.utils.uuid import uuid7

from langchain_llmops.models.closable import aclosable, closable
from langchain_llmops.routing.router_events import achain_events, chain_events
from langchain_llmops.routing.router_run import aopen_run, open_run
from langchain_llmops.routing.router_seen import Seen, atapped, named, tapped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from langchain_core.callbacks import Callbacks
    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
    from langchain_core.runnables import RunnableConfig

__all__ = ["RouterEntryPoints"]

# Core names the parameters (`input`), and its docstrings are what `help` shows.
# ruff: noqa: A002, D102


class RouterEntryPoints(BaseChatModel):
    """The public methods of a router, in terms of the hooks of a chat model."""

    def invoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        messages = self._convert_input(input).to_messages()
        run = open_run(self, input, config)
        try:
            result = self._generate(messages, stop, cast("Any", run), **kwargs)
            message = named(result.generations[0].message, run.run_id)
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end(message)
        return message

    async def ainvoke(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        messages = self._convert_input(input).to_messages()
        run = await aopen_run(self, input, config)
        try:
            result = await self._agenerate(messages, stop, cast("Any", run), **kwargs)
            message = named(result.generations[0].message, run.run_id)
        except BaseException as error:
            await run.on_chain_error(error)
            raise
        await run.on_chain_end(message)
        return message

    def stream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        if self._streaming_disabled(**kwargs):
            whole = self.invoke(input, config, stop=stop, **kwargs)
            yield cast("AIMessageChunk", whole)
            return
        messages = self._convert_input(input).to_messages()
        run = open_run(self, input, config)
        seen = Seen(run)
        try:
            chunks = closable(self._stream(messages, stop, cast("Any", run), **kwargs))
            with closing(seen.each(chunks)) as each, closing(tapped(run, each)) as taps:
                yield from taps
        except GeneratorExit:
            run.on_chain_end(seen.message)  # as core ends a chain that is left early
            raise
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end(seen.message)

    async def astream(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        if self._streaming_disabled(**kwargs):
            whole = await self.ainvoke(input, config, stop=stop, **kwargs)
            yield cast("AIMessageChunk", whole)
            return
        messages = self._convert_input(input).to_messages()
        run = await aopen_run(self, input, config)
        seen = Seen(run)
        try:
            chunks = aclosable(
                self._astream(messages, stop, cast("Any", run), **kwargs)
            )
            async with (
                aclosing(seen.aeach(chunks)) as each,
                aclosing(atapped(run, each)) as taps,
            ):
                async for message in taps:
                    yield message
        except GeneratorExit:
            await run.on_chain_end(seen.message)
            raise
        except BaseException as error:
            await run.on_chain_error(error)
            raise
        await run.on_chain_end(seen.message)

    def stream_events(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        version: str = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        if version == "v3":
            return chain_events(self, input, config, stop=stop, **kwargs)
        return super().stream_events(
            input, config, version=cast("Any", version), stop=stop, **kwargs
        )

    def astream_events(
        self,
        input: LanguageModelInput,
        config: RunnableConfig | None = None,
        *,
        version: str = "v2",
        stop: list[str] | None = None,
        **kwargs: Any,
    ) -> Any:
        if version == "v3":
            return achain_events(self, input, config, stop=stop, **kwargs)
        return super().astream_events(
            input, config, version=cast("Any", version), stop=stop, **kwargs
        )

    def generate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        configs = _configs(callbacks, kwargs, len(messages))
        answers = [
            self.invoke(prompt, config, stop=stop, **kwargs)
            for prompt, config in zip(messages, configs, strict=True)
        ]
        return _result(answers, configs)

    async def agenerate(
        self,
        messages: list[list[BaseMessage]],
        stop: list[str] | None = None,
        callbacks: Callbacks = None,
        **kwargs: Any,
    ) -> LLMResult:
        configs = _configs(callbacks, kwargs, len(messages))
        answers = await asyncio.gather(
            *(
                self.ainvoke(prompt, config, stop=stop, **kwargs)
                for prompt, config in zip(messages, configs, strict=True)
            ),
            return_exceptions=True,  # so that none is left running
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return _result(cast("list[AIMessage]", answers), configs)


def _configs(
    callbacks: Callbacks, options: dict[str, Any], count: int
) -> list[RunnableConfig]:
    """Take what `generate` is told in single parameters out, as a config per prompt."""
    names = ("tags", "metadata", "run_name", "run_id")
    given = {name: options.pop(name, None) for name in names} | {"callbacks": callbacks}
    shared = {name: value for name, value in given.items() if value is not None}
    ids = [shared.pop("run_id", None) or uuid7(), *(uuid7() for _ in range(1, count))]
    return [cast("RunnableConfig", {**shared, "run_id": run_id}) for run_id in ids]


def _result(
    answers: Sequence[AIMessage], configs: Sequence[RunnableConfig]
) -> LLMResult:
    return LLMResult(
        generations=[[ChatGeneration(message=answer)] for answer in answers],
        llm_output={},
        run=[RunInfo(run_id=config["run_id"] or uuid7()) for config in configs],
    )
