"""A handler inside each attempt: it sees what the router itself cannot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.callbacks.manager import ahandle_event
from langchain_core.messages import AIMessageChunk

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

__all__ = ["Watch"]


class Watch(BaseCallbackHandler):
    """Note the open LLM runs of one attempt and the tokens that handlers were shown.

    LangChain ends no run of an `ainvoke` that is cancelled. And a graph that streams
    gets its tokens from handlers while the router only sees one call: an attempt that
    breaks off after its first token was shown is one that broke off mid-stream.

    Belongs to one attempt; all its methods are cheap and run in line.

    Args:
        handlers: Who else listens to the attempt's runs.
    """

    run_inline = True

    def __init__(self, handlers: Sequence[BaseCallbackHandler]) -> None:
        self._tokens: list[AIMessageChunk] = []
        self._events: list[AIMessageChunk] = []
        self._handlers = list(handlers)
        self._open: dict[UUID, dict[str, Any]] = {}

    @property
    def shown(self) -> list[AIMessageChunk]:
        """What handlers were shown of the answer."""
        if not self._events:
            return self._tokens
        # A model that is asked for events tells of each token as well.
        calls = (chunk for chunk in self._tokens if chunk.tool_call_chunks)
        return [*self._events, *calls]

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002 - as LangChain passes it
        messages: Any,  # noqa: ARG002
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Note a run that opens."""
        self._open[run_id] = {"parent_run_id": parent_run_id, "tags": tags}

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **_: Any) -> None:
        """Note a token that handlers are shown."""
        message = getattr(chunk, "message", None)
        if isinstance(message, AIMessageChunk):
            if message.content or message.tool_call_chunks:
                self._tokens.append(message)
        elif token:
            self._tokens.append(AIMessageChunk(content=token))

    def on_stream_event(self, event: Mapping[str, Any], **_: Any) -> None:
        """Note a piece of content that handlers are shown."""
        if event.get("event") == "content-block-delta":
            delta = event.get("delta") or {}
            self._events.append(AIMessageChunk(content=str(delta.get("text") or "")))

    def on_llm_end(self, response: Any, *, run_id: UUID, **_: Any) -> None:  # noqa: ARG002
        """Note a run that ends."""
        self._open.pop(run_id, None)

    def on_llm_error(self, error: Any, *, run_id: UUID, **_: Any) -> None:  # noqa: ARG002
        """Note a run that fails."""
        self._open.pop(run_id, None)

    async def close(self, error: BaseException) -> None:
        """Tell the others that the runs which are still open have failed."""
        while self._open:
            run_id, where = self._open.popitem()
            await ahandle_event(
                self._handlers,
                "on_llm_error",
                "ignore_llm",
                error,
                run_id=run_id,
                **where,
            )
