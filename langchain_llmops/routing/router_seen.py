"""What goes out of a router, chunk by chunk, and what its run will say went out."""

from __future__ import annotations

from contextlib import aclosing, closing
from typing import TYPE_CHECKING, cast

from langchain_core.messages.ai import add_ai_message_chunks

# How `astream_events` asks for the chunks of a chain; core's own chains look it up so.
from langchain_core.tracers._streaming import _StreamingCallbackHandler

from langchain_llmops.models.closable import aclosable, closable
from langchain_llmops.routing.router_stamp import is_restart

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from uuid import UUID

    from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
    from langchain_core.outputs import ChatGenerationChunk

    from langchain_llmops.routing.router_run import AsyncRouterRun, RouterRun

__all__ = ["Seen", "atapped", "named", "tapped"]


class Seen:
    """The chunks of one stream, kept for the end of its run if anybody listens."""

    __slots__ = ("_chunks", "_run")

    def __init__(self, run: RouterRun | AsyncRouterRun) -> None:
        self._run = run
        self._chunks: list[AIMessageChunk] = []

    @property
    def message(self) -> AIMessageChunk | None:
        """The answer as it stands: what was taken back by a restart is not in it."""
        if not self._chunks:
            return None
        return add_ai_message_chunks(*self._chunks)

    def each(
        self, chunks: Generator[ChatGenerationChunk, None, None]
    ) -> Generator[AIMessageChunk, None, None]:
        """Yield the messages of chunks."""
        run_id, keep = self._run.run_id, bool(self._run.handlers)
        with closing(chunks):
            for chunk in chunks:
                message = cast("AIMessageChunk", named(chunk.message, run_id))
                if keep:
                    self._add(message)
                yield message

    async def aeach(
        self, chunks: AsyncGenerator[ChatGenerationChunk, None]
    ) -> AsyncGenerator[AIMessageChunk, None]:
        """Yield the messages of chunks, on an event loop."""
        run_id, keep = self._run.run_id, bool(self._run.handlers)
        async with aclosing(chunks):
            async for chunk in chunks:
                message = cast("AIMessageChunk", named(chunk.message, run_id))
                if keep:
                    self._add(message)
                yield message

    def _add(self, message: AIMessageChunk) -> None:
        if is_restart(message):
            self._chunks.clear()
        self._chunks.append(message)


def named(message: BaseMessage, run_id: UUID) -> AIMessage:
    """Return a message with an id: its own, or that of the run (a cache's answer)."""
    if message.id is None:
        message.id = f"lc_run--{run_id}"
    return cast("AIMessage", message)


def tapped(
    run: RouterRun, messages: Generator[AIMessageChunk, None, None]
) -> Generator[AIMessageChunk, None, None]:
    """Return a stream with whoever listens to the chunks of a chain in between."""
    for handler in run.handlers:
        if isinstance(handler, _StreamingCallbackHandler):
            return closable(handler.tap_output_iter(run.run_id, messages))
    return messages


def atapped(
    run: AsyncRouterRun, messages: AsyncGenerator[AIMessageChunk, None]
) -> AsyncGenerator[AIMessageChunk, None]:
    """Return a stream with whoever listens to the chunks of a chain in between."""
    for handler in run.handlers:
        if isinstance(handler, _StreamingCallbackHandler):
            return aclosable(handler.tap_output_aiter(run.run_id, messages))
    return messages
