"""Between streams and answers: collect the chunks of one, replay the other."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    message_chunk_to_message,
)
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk
from langchain_core.utils._merge import merge_dicts

from langchain_llmops.caching.values.storable import finish_reason
from langchain_llmops.types import CACHE_KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.messages import BaseMessageChunk

__all__ = ["ChunkCollector", "replayed_chunks"]

_PIECE: Final = re.compile(r".{1,32}(?:\s+|$)|.{1,32}", re.DOTALL)
"""Up to 32 characters, ended where a word ends if one does."""


class ChunkCollector:
    """Collect the chunks of one stream, and make the answer of it once it ended.

    Core changes the id, the metadata and even the content of a chunk that it was
    handed, so what matters is noted before. Merging happens once, at the end, in time
    that grows with the stream and not with its square.
    """

    def __init__(self) -> None:
        self._messages: list[BaseMessageChunk] = []
        self._metadata: dict[str, Any] = {}

    @property
    def started(self) -> bool:
        """Whether a chunk was handed on."""
        return bool(self._messages)

    def add(self, chunk: ChatGenerationChunk) -> None:
        """Note a chunk before it is handed on."""
        self._messages.append(chunk.message)
        for source in (chunk.message.response_metadata, chunk.generation_info):
            # Some integrations say the same thing twice; merging would join it.
            news = {
                name: value
                for name, value in (source or {}).items()
                if not (isinstance(value, str) and self._metadata.get(name) == value)
            }
            self._metadata = merge_dicts(self._metadata, news)

    def generations(self) -> list[ChatGeneration]:
        """Return the whole answer; nothing if the stream was cut off or empty."""
        messages = [m for m in self._messages if isinstance(m, AIMessageChunk)]
        if not messages or len(messages) < len(self._messages):
            return []
        if "model_provider" in self._metadata and not finish_reason(self._metadata):
            return []  # a real provider says why it stops: this stream was cut off
        # With the last chunk marked, core parses the tool calls to their end.
        empty = AIMessageChunk(
            content="" if isinstance(messages[0].content, str) else [],
            chunk_position="last",
        )
        whole = message_chunk_to_message(add_ai_message_chunks(*messages, empty))
        whole.response_metadata = self._metadata
        return [ChatGeneration(message=whole)]


def replayed_chunks(generation: ChatGeneration) -> Iterator[ChatGenerationChunk]:
    """Yield an answer in pieces, as its provider might have streamed it.

    Text comes a few words at a time, then the tool calls; usage and metadata come with
    the last chunk, which is marked as such. The cache's own mark comes with the first:
    a reader who leaves early must not look like one who paid.
    """
    message = generation.message
    assert isinstance(message, AIMessage)  # noqa: S101 - what the codec carries
    parts: list[dict[str, Any]] = [
        *({"content": content} for content in _contents(message.content)),
        *({"content": "", "tool_call_chunks": [call]} for call in _calls(message)),
    ] or [{"content": ""}]
    # The calls were replayed; from their raw form core would make them once more.
    parts[0]["additional_kwargs"] = {
        name: value
        for name, value in message.additional_kwargs.items()
        if name != "tool_calls"
    }
    said = dict(message.response_metadata)
    mark = said.pop(CACHE_KEY, None)
    if mark is not None:
        parts[0]["response_metadata"] = {CACHE_KEY: mark}
    parts[-1].update(
        response_metadata={**parts[-1].get("response_metadata", {}), **said},
        usage_metadata=message.usage_metadata,
        chunk_position="last",
    )
    for part in parts[:-1]:
        yield ChatGenerationChunk(message=AIMessageChunk(**part))
    yield ChatGenerationChunk(
        message=AIMessageChunk(**parts[-1]),
        generation_info=generation.generation_info,
    )


def _contents(content: str | list[Any]) -> Iterator[str | list[Any]]:
    if isinstance(content, str):
        yield from _PIECE.findall(content)
        return
    for index, block in enumerate(content):
        if isinstance(block, str):
            yield [block]
        elif block.get("type") == "text" and block.get("text"):
            # Blocks with one index are merged into one by whoever adds the chunks up.
            place = {"index": block.get("index", index)}
            first, *rest = _PIECE.findall(block["text"])
            yield [{**block, **place, "text": first}]
            for piece in rest:
                yield [{"type": "text", "text": piece, **place}]
        else:
            yield [block]


def _calls(message: AIMessage) -> Iterator[Any]:
    for index, call in enumerate(message.tool_calls):
        args = json.dumps(call["args"], ensure_ascii=False)
        yield tool_call_chunk(name=call["name"], args=args, id=call["id"], index=index)
