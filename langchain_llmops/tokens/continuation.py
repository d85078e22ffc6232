"""continue_truncated: an answer that was cut off goes on until it is complete."""

from __future__ import annotations

from contextlib import aclosing, closing
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, cast

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    convert_to_messages,
)
from langchain_core.prompt_values import PromptValue
from langchain_core.runnables import Runnable, RunnableConfig, RunnableSerializable
from pydantic import ConfigDict

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.tokens.finish import cut_off
from langchain_llmops.tokens.joining import repeated
from langchain_llmops.tokens.joint import Joint, refuse_tool_calls, text_of, whole

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from langchain_core.language_models import LanguageModelInput
    from langchain_core.messages import AIMessageChunk

__all__ = ["ContinuedModel", "continue_truncated"]

_GO_ON = (
    "Your answer was cut off. Go on with it: first repeat its last words, which are "
    "{words!r}, exactly, and then write only what is missing. No introduction."
)
_LAST_WORDS = 60


def continue_truncated(
    model: Runnable[LanguageModelInput, AIMessage], *, max_rounds: int = 8
) -> ContinuedModel:
    """Return a model whose answers go on where a limit of tokens cut them off.

    ```python
    from langchain_openai import ChatOpenAI
    from langchain_llmops import continue_truncated

    model = continue_truncated(ChatOpenAI(model="gpt-4o-mini", max_tokens=2000))
    answer = model.invoke("Write out the rules of chess.")
    assert answer.response_metadata["finish_reason"] == "stop"
    ```

    After `finish_reason="length"` (or what other providers call it) the model is asked
    to go on, with its answer so far; what it repeats of that is taken out at the joint.
    The one message that comes back has the text and the usage of all rounds, and the
    metadata of the last. Streams stream: only the beginning of a continuation is held
    back, until it is clear what it repeats.

    Each round is an LLM run of its own below one chain run, so costs, budgets and
    limits see every request; layers on the model stay in force. An error of any round
    reaches the caller as it is.

    Args:
        model: A chat model, with or without layers, or a router.
        max_rounds: Requests at most, the first included. An answer that is not
            complete then keeps its `finish_reason`.

    Returns:
        A Runnable, safe across threads and event loops. It raises
        `ConfigurationError` where the limit cut off a tool call: half of one cannot be
        continued.

    Raises:
        ConfigurationError: `max_rounds` is below 1.
    """
    if max_rounds < 1:
        raise ConfigurationError(f"max_rounds={max_rounds!r} must be at least 1")
    return ContinuedModel(model=model, max_rounds=max_rounds)


class ContinuedModel(RunnableSerializable[Any, AIMessage]):
    """A chat model whose answers are complete; made by `continue_truncated`."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model: Runnable[Any, AIMessage]
    max_rounds: int = 8

    def invoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Return the whole answer."""
        return self._call_with_config(
            cast("Any", self._answer), input, config, **kwargs
        )

    async def ainvoke(
        self,
        input: LanguageModelInput,  # noqa: A002 - core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AIMessage:
        """Return the whole answer."""
        return await self._acall_with_config(
            cast("Any", self._aanswer), input, config, **kwargs
        )

    def stream(
        self,
        input: LanguageModelInput,  # noqa: A002 - core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Yield the whole answer as it comes."""
        return self.transform(iter([input]), config, **kwargs)

    async def astream(
        self,
        input: LanguageModelInput,  # noqa: A002 - core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Yield the whole answer as it comes."""

        async def once() -> AsyncIterator[Any]:
            yield input

        chunks = cast("Any", self.atransform(once(), config, **kwargs))
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def transform(
        self,
        input: Iterator[Any],  # noqa: A002 - core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[AIMessageChunk]:
        """Yield the whole answer as it comes."""
        yield from cast(
            "Iterator[AIMessageChunk]",
            self._transform_stream_with_config(
                input, cast("Any", self._parts), config, **kwargs
            ),
        )

    async def atransform(
        self,
        input: AsyncIterator[Any],  # noqa: A002 - core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[AIMessageChunk]:
        """Yield the whole answer as it comes."""
        chunks = cast(
            "Any",
            self._atransform_stream_with_config(
                input, cast("Any", self._aparts), config, **kwargs
            ),
        )
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk

    def _answer(self, value: Any, config: RunnableConfig, **kwargs: Any) -> AIMessage:
        prompt, rounds = _messages(value), list[AIMessage]()
        while True:
            request = [*prompt, *_so_far(text_of(rounds))]
            rounds.append(self.model.invoke(request, config, **kwargs))
            if self._complete(rounds):
                return whole(rounds)

    async def _aanswer(
        self, value: Any, config: RunnableConfig, **kwargs: Any
    ) -> AIMessage:
        prompt, rounds = _messages(value), list[AIMessage]()
        while True:
            request = [*prompt, *_so_far(text_of(rounds))]
            rounds.append(await self.model.ainvoke(request, config, **kwargs))
            if self._complete(rounds):
                return whole(rounds)

    def _complete(self, rounds: list[AIMessage]) -> bool:
        """Tell whether to stop: complete, out of rounds, or nothing new any more."""
        last = rounds[-1]
        if not cut_off(last.response_metadata):
            return True
        refuse_tool_calls(last)
        before = text_of(rounds[:-1])
        new = len(last.text) > repeated(before, last.text)
        return len(rounds) >= self.max_rounds or not new

    def _parts(
        self, values: Iterator[Any], config: RunnableConfig, **kwargs: Any
    ) -> Iterator[AIMessageChunk]:
        prompt = _messages(_sum(values))
        joint = Joint(self.max_rounds)
        while joint.open:
            request = [*prompt, *_so_far(joint.text)]
            chunks = cast("Any", self.model.stream(request, config, **kwargs))
            with closing(chunks):
                for chunk in chunks:
                    yield from joint.take(chunk)
            yield from joint.end()

    async def _aparts(
        self, values: AsyncIterator[Any], config: RunnableConfig, **kwargs: Any
    ) -> AsyncIterator[AIMessageChunk]:
        prompt = _messages(_sum([value async for value in values]))
        joint = Joint(self.max_rounds)
        while joint.open:
            request = [*prompt, *_so_far(joint.text)]
            chunks = cast("Any", self.model.astream(request, config, **kwargs))
            async with aclosing(chunks):
                async for chunk in chunks:
                    for each in joint.take(chunk):
                        yield each
            for each in joint.end():
                yield each


def _sum(values: Iterable[Any]) -> Any:
    """Return an input that came in pieces as one."""
    return reduce(add, values)


def _messages(value: Any) -> list[BaseMessage]:
    """Return the messages of a chat model's input."""
    if isinstance(value, PromptValue):
        return value.to_messages()
    return convert_to_messages([value] if isinstance(value, str) else value)


def _so_far(text: str) -> list[BaseMessage]:
    """Return what is added to the prompt of a further round."""
    if not text:
        return []
    words = text[-_LAST_WORDS:]
    if len(text) > len(words):  # from the beginning of a word, if one begins there
        words = words.partition(" ")[2] or words
    return [AIMessage(text), HumanMessage(_GO_ON.format(words=words))]
