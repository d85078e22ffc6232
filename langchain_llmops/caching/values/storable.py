"""Which answers are worth remembering: complete ones that say something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.outputs import Generation

__all__ = ["Flaw", "finish_reason", "flaw_of"]

Flaw: TypeAlias = Literal["empty", "cut", "withheld", "malformed"]

_FINISH_KEYS: Final = (
    "finish_reason",
    "stop_reason",
    "stopReason",
    "done_reason",
    "status",
)
# How providers say that an answer was cut, withheld or went wrong.
_UNFINISHED: Final[dict[str, Flaw]] = {
    "blocklist": "withheld",
    "cancelled": "cut",
    "content_filter": "withheld",
    "content_filtered": "withheld",
    "error": "cut",
    "failed": "cut",
    "guardrail_intervened": "withheld",
    "image_safety": "withheld",
    "incomplete": "cut",
    "in_progress": "cut",
    "language": "withheld",
    "length": "cut",
    "malformed_function_call": "malformed",
    "max_tokens": "cut",
    "model_context_window_exceeded": "cut",
    "pause_turn": "cut",
    "prohibited_content": "withheld",
    "recitation": "withheld",
    "refusal": "withheld",
    "safety": "withheld",
    "spii": "withheld",
}


def flaw_of(generations: Sequence[Generation]) -> Flaw | None:
    """Return why an answer may not be given again; `None` if it may.

    Not one that is empty, was cut (`length`), was withheld (`content_filter`, a
    refusal) or holds a tool call that could not be parsed: the next try may be better.
    """
    if not generations:
        return "empty"
    return next(filter(None, map(_flaw, generations)), None)


def finish_reason(metadata: Mapping[str, Any]) -> str | None:
    """Return why the provider stopped, in lower case; `None` if it did not say."""
    for name in _FINISH_KEYS:
        if isinstance(reason := metadata.get(name), str):
            return reason.lower()
    return None


def _flaw(generation: Generation) -> Flaw | None:
    flaw = _UNFINISHED.get(finish_reason(generation.generation_info or {}) or "")
    if not isinstance(generation, ChatGeneration):
        return flaw or (None if generation.text.strip() else "empty")
    message = generation.message
    if not isinstance(message, AIMessage):
        return "malformed"
    flaw = flaw or _UNFINISHED.get(finish_reason(message.response_metadata) or "")
    if flaw is None and message.additional_kwargs.get("refusal"):
        flaw = "withheld"
    if flaw is None and message.invalid_tool_calls:
        flaw = "malformed"
    if flaw is None and not message.tool_calls and not _says_something(message):
        flaw = "empty"
    return flaw


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
