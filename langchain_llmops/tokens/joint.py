"""Several rounds of one answer as one message, or as one stream of chunks."""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_usage

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.tokens.finish import cut_off
from langchain_llmops.tokens.joining import repeated, undecided

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Joint", "refuse_tool_calls", "text_of", "whole"]


def text_of(rounds: Sequence[AIMessage]) -> str:
    """Return the text of rounds, without what each repeats of those before."""
    text = ""
    for each in rounds:
        text += each.text[repeated(text, each.text) :]
    return text


def whole(rounds: Sequence[AIMessage]) -> AIMessage:
    """Return one message for all rounds: their text, the usage of all, the last's end.

    Args:
        rounds: Answers in order, at least one; a single one comes back as it is.
    """
    first, last = rounds[0], rounds[-1]
    if len(rounds) == 1:
        return first
    content: str | list[Any] = text_of(rounds)
    if isinstance(first.content, list):  # what was thought stays before what is said
        others = [b for b in first.content if isinstance(b, dict) and "text" not in b]
        content = [*others, {"type": "text", "text": content}]
    metadata = {
        key: value
        for key, value in last.response_metadata.items()
        if key not in {"token_usage", "usage"}  # of the last round alone
    }
    usage = reduce(add_usage, (each.usage_metadata for each in rounds), None)
    update = {
        "content": content,
        "id": first.id,
        "response_metadata": metadata,
        "usage_metadata": usage,
    }
    return last.model_copy(update=update)


def refuse_tool_calls(message: AIMessage) -> None:
    """Raise if an answer that was cut off has tool calls.

    Raises:
        ConfigurationError: It has: the last one may be half of one.
    """
    calls = [*message.tool_calls, *message.invalid_tool_calls]
    if calls:
        _refuse(calls[-1]["name"])


def _refuse(name: str | None) -> None:
    raise ConfigurationError(
        f"the answer was cut off in or after a call of the tool {name!r}, and half a "
        "call cannot be continued: raise the model's max_tokens"
    )


class Joint:
    """Makes one stream of the streams of several rounds; belongs to one call.

    Each chunk of a round goes into `take`, the end of the round is told by `end`; both
    yield what is to be passed on. A round's first chunks are held back while they may
    still repeat the answer so far.

    Args:
        max_rounds: Rounds at most.

    Attributes:
        open: Whether another round is to come.
        text: The answer so far.
    """

    def __init__(self, max_rounds: int) -> None:
        self.open = True
        self.text = ""
        self._left = max_rounds
        self._first = True
        self._id: str | None = None
        self._begin_round()

    def _begin_round(self) -> None:
        self._before = self.text
        self._held: str | None = None if self._first else ""
        self._end: dict[str, Any] = {}
        self._tool: str | None = None

    def take(self, chunk: AIMessageChunk) -> Iterator[AIMessageChunk]:
        """Yield what may be passed on now that a chunk has come."""
        for call in chunk.tool_call_chunks:
            self._tool = call["name"] or self._tool
        self._id = self._id or chunk.id
        metadata = chunk.response_metadata
        if cut_off(metadata) or not self._first:
            self._end |= metadata
            metadata = {}
        update: dict[str, Any] = {
            "id": self._id,
            "response_metadata": metadata,
            "chunk_position": None,
        }
        if self._first:
            self.text += chunk.text
        else:
            update["content"] = self._new(chunk.text)
        passed = chunk.model_copy(update=update)
        said = passed.content or passed.tool_call_chunks
        if said or passed.usage_metadata or metadata or self._first:
            yield passed

    def end(self) -> Iterator[AIMessageChunk]:
        """Yield what was held back of a round, and after the last one the end.

        Raises:
            ConfigurationError: The round was cut off with a tool call in it.
        """
        if rest := self._release():
            yield AIMessageChunk(content=rest, id=self._id)
        cut = cut_off(self._end)
        if cut and self._tool is not None:
            _refuse(self._tool)
        self._left -= 1
        self.open = cut and self._left > 0 and len(self.text) > len(self._before)
        if not self.open:
            yield AIMessageChunk(
                content="",
                id=self._id,
                response_metadata=self._end,
                chunk_position="last",
            )
        self._first = False
        self._begin_round()

    def _new(self, text: str) -> str:
        """Return what is new of a continuation, as far as that is clear."""
        if self._held is None:
            self.text += text
            return text
        self._held += text
        return "" if undecided(self._before, self._held) else self._release()

    def _release(self) -> str:
        held, self._held = self._held or "", None
        new = held[repeated(self._before, held) :]
        self.text += new
        return new
