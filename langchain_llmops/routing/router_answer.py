"""From what a candidate says to what a router says: chunks, marks, joined parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_llmops.pricing import Usage
from langchain_llmops.routing.router_stamp import (
    ROUTING,
    ROUTING_EVENTS,
    RoutingEvent,
    event_chunk,
    marked,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_core.messages import BaseMessage

    from langchain_llmops.routing.router_course import Course

__all__ = ["Answer", "Opened", "answered", "has_content"]


class Opened(NamedTuple):
    """A stream that has said something: its chunks so far, and the rest."""

    head: list[BaseMessage]
    rest: Any


class Answer:
    """The answer of one call as it is handed out, over all its attempts.

    Attributes:
        given: The chunks with content that were handed out and still hold.
    """

    __slots__ = ("_course", "_is_new", "_usage", "given")

    def __init__(self, course: Course) -> None:
        self.given: list[AIMessageChunk] = []
        self._course = course
        self._is_new = True
        self._usage: Usage | None = None

    def opening(self) -> Iterator[ChatGenerationChunk]:
        """Yield what tells the reader that another attempt takes over mid-stream."""
        self._is_new, self._usage = not self.given, None
        if self.given:
            name, goes_on = self._course.leg.candidate.name, self._course.goes_on
            yield event_chunk("continue" if goes_on else "restart", name)
            if not goes_on:
                self.given.clear()

    def chunk(self, message: BaseMessage) -> ChatGenerationChunk:
        """Return a message of the candidate's stream as the router hands it out."""
        chunk = message if isinstance(message, AIMessageChunk) else _as_chunk(message)
        if has_content(chunk):
            self.given.append(chunk)
        if chunk.usage_metadata is not None:
            self._usage = Usage.from_metadata(chunk.usage_metadata)
        if self._is_new:
            self._is_new = False
            event = RoutingEvent(event="start", model=self._course.leg.candidate.name)
            chunk = marked(chunk, ROUTING_EVENTS, [event])
        if chunk.chunk_position == "last":
            usage = self._usage or self._course.guess(self.given)
            chunk = marked(chunk, ROUTING, self._course.mark(usage))
        return ChatGenerationChunk(message=chunk)


def answered(
    course: Course, message: AIMessage, begun: Sequence[AIMessageChunk]
) -> ChatResult:
    """Return a candidate's whole answer as the router's.

    Args:
        course: Of the call.
        message: Its answer, which is copied and not changed.
        begun: What had been given of an answer that this one continues.
    """
    reported = message.usage_metadata
    usage = Usage.from_metadata(reported) if reported else course.guess([message])
    stamped = marked(message, ROUTING, course.mark(usage))
    if begun:
        text = "".join(str(chunk.text) for chunk in begun) + str(message.text)
        stamped = stamped.model_copy(update={"content": text})
    return ChatResult(generations=[ChatGeneration(message=stamped)])


def has_content(message: BaseMessage) -> bool:
    """Say whether a chunk says anything, or is only an envelope."""
    return bool(message.content) or bool(getattr(message, "tool_call_chunks", None))


def _as_chunk(message: BaseMessage) -> AIMessageChunk:
    """Return the whole answer of a model that cannot stream as its only chunk."""
    whole = cast("AIMessage", message)
    return AIMessageChunk(
        content=whole.content,
        additional_kwargs=whole.additional_kwargs,
        response_metadata=whole.response_metadata,
        tool_calls=whole.tool_calls,
        invalid_tool_calls=whole.invalid_tool_calls,
        usage_metadata=whole.usage_metadata,
        id=whole.id,
        name=whole.name,
        chunk_position="last",
    )
