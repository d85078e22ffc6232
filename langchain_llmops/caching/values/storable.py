"""Which answers are worth remembering: complete ones that say something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.outputs import Generation

__all__ = ["finish_reason", "is_storable"]

_FINISH_KEYS: Final = (
    "finish_reason",
    "stop_reason",
    "stopReason",
    "done_reason",
    "status",
)
# How providers say that an answer was cut, withheld or went wrong.
_UNFINISHED: Final = frozenset(
    {
        "blocklist",
        "cancelled",
        "content_filter",
        "content_filtered",
        "error",
        "failed",
        "guardrail_intervened",
        "image_safety",
        "incomplete",
        "in_progress",
        "language",
        "length",
        "malformed_function_call",
        "max_tokens",
        "model_context_window_exceeded",
        "pause_turn",
        "prohibited_content",
        "recitation",
        "refusal",
        "safety",
        "spii",
    }
)


def is_storable(generations: Sequence[Generation]) -> bool:
    """Return whether an answer may be given again.

    Not one that is empty, was cut (`length`), was withheld (`content_filter`, a
    refusal) or holds a tool call that could not be parsed: the next try may be better.
    """
    return bool(generations) and all(map(_is_good, generations))


def finish_reason(metadata: Mapping[str, Any]) -> str | None:
    """Return why the provider stopped, in lower case; `None` if it did not say."""
    for name in _FINISH_KEYS:
        if isinstance(reason := metadata.get(name), str):
            return reason.lower()
    return None


def _is_good(generation: Generation) -> bool:
    info = generation.generation_info or {}
    if not isinstance(generation, ChatGeneration):
        return bool(generation.text.strip()) and finish_reason(info) not in _UNFINISHED
    message = generation.message
    if not isinstance(message, AIMessage):
        return False
    reasons = {finish_reason(info), finish_reason(message.response_metadata)}
    if reasons & _UNFINISHED or message.invalid_tool_calls:
        return False
    if message.additional_kwargs.get("refusal"):
        return False
    return bool(message.tool_calls) or _says_something(message)


def _says_something(message: AIMessage) -> bool:
    if isinstance(message.content, str):
        return bool(message.content.strip()) or bool(
            message.additional_kwargs.get("audio")
            or message.additional_kwargs.get("function_call")
        )
    return any(
        block.strip() if isinstance(block, str) else block.get("text", True)
        for block in message.content
    )
