"""with_memory: a chain that remembers its conversations."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, cast

from langchain_core.runnables import Runnable
from langchain_core.runnables.base import coerce_to_runnable
from langchain_core.runnables.config import ensure_config
from typing_extensions import override

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.memory.messages import answer_messages, turn_messages

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

    from langchain_core.callbacks import (
        AsyncCallbackManagerForChainRun,
        CallbackManagerForChainRun,
    )
    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig
    from langchain_core.runnables.base import RunnableLike

    from langchain_llmops.memory.conversation_memory import ConversationMemory

__all__ = ["with_memory"]


def with_memory(
    chain: RunnableLike[Any, Any], memory: ConversationMemory
) -> Runnable[Any, Any]:
    """Return a chain that remembers: it takes a turn and sees the window before it.

    ```python
    from langchain_core.language_models import FakeListChatModel
    from langchain_llmops import ConversationMemory, ConversationStore, WindowPolicy
    from langchain_llmops import with_memory

    model = FakeListChatModel(responses=["Hello Ann!", "Your name is Ann."])
    memory = ConversationMemory(ConversationStore("memory://"), WindowPolicy(1_000))
    chat = with_memory(model, memory)
    session = {"configurable": {"thread_id": "ann"}}
    chat.invoke("I am Ann.", session)
    chat.invoke("What is my name?", session)
    ```

    The turn is saved before the chain runs, the answer after it. A chain that fails
    raises its own error, and the turn stays in the log without an answer. A stream that
    is not read to its end (the client has gone, an error, a cancelled task) keeps what
    was streamed, marked `response_metadata["partial"]`. A store that is lost changes
    nothing for the caller: see `ConversationMemory`.

    The session comes from `config["configurable"]`: `thread_id`, or `session_id`.

    Args:
        chain: Takes messages; gives a text, a message, messages or an agent's state. A
            prompt goes in front with a `MessagesPlaceholder`.
        memory: What it remembers.

    Raises:
        ConfigurationError: At a call: its config names no session, or its input is
            nothing that a turn can be made of.
    """
    return _MemoryChain(coerce_to_runnable(chain), memory)


class _MemoryChain(Runnable[Any, Any]):
    """A chain between the beginning and the end of a turn."""

    def __init__(self, chain: Runnable[Any, Any], memory: ConversationMemory) -> None:
        self._chain = chain
        self._memory = memory

    @override
    def get_name(self, suffix: str | None = None, *, name: str | None = None) -> str:
        return super().get_name(suffix, name=name or "with_memory")

    @override
    def invoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        call = cast("Any", self._invoke)  # core passes on keywords, its type does not
        return self._call_with_config(call, input, config, **kwargs)

    @override
    async def ainvoke(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        call = cast("Any", self._ainvoke)
        return await self._acall_with_config(call, input, config, **kwargs)

    @override
    def stream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Iterator[Any]:
        yield from self.transform(iter((input,)), config, **kwargs)

    @override
    async def astream(
        self, input: Any, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncIterator[Any]:
        chunks = self.atransform(_once(input), config, **kwargs)
        async with aclosing(cast("AsyncGenerator[Any]", chunks)) as stream:
            async for chunk in stream:
                yield chunk

    @override
    def transform(
        self,
        input: Iterator[Any],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        chunks = self._transform_stream_with_config(
            input, self._stream, config, **kwargs
        )
        yield from chunks

    @override
    async def atransform(
        self,
        input: AsyncIterator[Any],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        chunks = self._atransform_stream_with_config(
            input, self._astream, config, **kwargs
        )
        async with aclosing(cast("AsyncGenerator[Any]", chunks)) as stream:
            async for chunk in stream:
                yield chunk

    def _invoke(self, turn: Any, config: RunnableConfig, **kwargs: Any) -> Any:
        session = session_of(config)
        window = self._memory.begin_turn(session, turn_messages(turn))
        answer = self._chain.invoke(window, config, **kwargs)
        self._memory.end_turn(session, answer_messages(answer, _ids(window)))
        return answer

    async def _ainvoke(self, turn: Any, config: RunnableConfig, **kwargs: Any) -> Any:
        session = session_of(config)
        window = await self._memory.abegin_turn(session, turn_messages(turn))
        answer = await self._chain.ainvoke(window, config, **kwargs)
        await self._memory.aend_turn(session, answer_messages(answer, _ids(window)))
        return answer

    def _stream(
        self,
        turns: Iterator[Any],
        run_manager: CallbackManagerForChainRun,  # noqa: ARG002 - core looks for it
        config: RunnableConfig,
        **kwargs: Any,
    ) -> Iterator[Any]:
        session = session_of(config)
        window = self._memory.begin_turn(session, turn_messages(_joined(list(turns))))
        heard = _Heard()
        stream = self._chain.stream(window, config, **kwargs)
        try:
            with closing(cast("Generator[Any]", stream)):
                for chunk in stream:
                    heard.add(chunk)
                    yield chunk
            heard.whole = True
        finally:
            self._memory.end_turn(session, heard.messages(window))

    async def _astream(
        self,
        turns: AsyncIterator[Any],
        run_manager: AsyncCallbackManagerForChainRun,  # noqa: ARG002 - as above
        config: RunnableConfig,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        session = session_of(config)
        turn = turn_messages(_joined([turn async for turn in turns]))
        window = await self._memory.abegin_turn(session, turn)
        heard = _Heard()
        stream = self._chain.astream(window, config, **kwargs)
        try:
            async with aclosing(cast("AsyncGenerator[Any]", stream)):
                async for chunk in stream:
                    heard.add(chunk)
                    yield chunk
            heard.whole = True
        finally:
            saving = self._memory.aend_turn(session, heard.messages(window))
            await asyncio.shield(saving)  # a second cancel must not lose the answer


class _Heard:
    """What of an answer has been streamed."""

    __slots__ = ("_chunks", "whole")

    def __init__(self) -> None:
        self._chunks: list[Any] = []
        self.whole = False

    def add(self, chunk: Any) -> None:
        self._chunks.append(chunk)

    def messages(self, window: list[BaseMessage]) -> list[BaseMessage]:
        if not self._chunks:
            return []
        answer = _joined(self._chunks)
        return answer_messages(answer, _ids(window), partial=not self.whole)


def session_of(config: RunnableConfig | None) -> str:
    """Return the session that a call belongs to.

    Args:
        config: The call's config.

    Raises:
        ConfigurationError: It names none.
    """
    configurable = ensure_config(config).get("configurable", {})
    session = configurable.get("thread_id") or configurable.get("session_id")
    if not session:
        raise ConfigurationError(
            f"no session in config['configurable'] = {configurable!r}: pass "
            "config={'configurable': {'thread_id': …}}"
        )
    return str(session)


def _joined(chunks: list[Any]) -> Any:
    """Return what chunks add up to; the last one where they cannot be added."""
    whole = chunks[0]
    for chunk in chunks[1:]:
        try:
            whole = whole + chunk
        except TypeError:
            whole = chunk
    return whole


def _ids(window: list[BaseMessage]) -> set[str | None]:
    return {message.id for message in window}


async def _once(value: Any) -> AsyncIterator[Any]:
    yield value
