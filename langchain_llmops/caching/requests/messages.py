"""What of a conversation changes the answer: the canonical form of its messages.

The same conversation has the same form whether an earlier turn came from the provider,
from a cache or out of a stream: ids, usage, response metadata, artifacts and the
numbering of streamed blocks are left out, and tool call ids become ordinals that still
tie each result to its call. Anything unknown stays in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["message_forms", "question_of"]

Form = list[Any]

_KINDS: Final = {
    "AIMessageChunk": "ai",
    "HumanMessageChunk": "human",
    "SystemMessageChunk": "system",
    "ToolMessageChunk": "tool",
    "FunctionMessageChunk": "function",
    "ChatMessageChunk": "chat",
}
_IGNORED: Final = frozenset(
    {
        "artifact",  # never sent to a model
        "chunk_position",
        "content",
        "id",
        "response_metadata",
        "tool_call_chunks",  # parsed into tool_calls
        "type",
        "usage_metadata",
    }
)
_TEXT_BLOCK: Final = frozenset({"type", "text", "index", "id", "annotations"})


def message_forms(
    messages: Iterable[Mapping[str, Any]],
) -> list[Form]:
    """Return one `[kind, content]` or `[kind, content, more]` per message.

    Args:
        messages: The fields of each message: `vars(message)`, or the `kwargs` of its
            serialised form.
    """
    ordinals: dict[str | None, int] = {}
    return [_form(fields, ordinals) for fields in messages]


def question_of(form: Form) -> str | None:
    """Return the text of a plain human turn, or `None` if it is anything else."""
    if form[0] != "human" or len(form) != 2:  # noqa: PLR2004 - [kind, content]
        return None
    content = form[1]
    if isinstance(content, list):
        if not all(isinstance(block, str) for block in content):
            return None
        content = "\n".join(content)
    return content.strip() or None


def _form(fields: Mapping[str, Any], ordinals: dict[str | None, int]) -> Form:
    kind, content = fields.get("type"), fields.get("content")
    if type(content) is not str:
        content = _content(content, ordinals)
    kind = _KINDS.get(kind, kind) if kind is not None else None
    # Every turn of a long chat comes through here: the plain ones are done in one go.
    more = {
        name: value
        for name, value in fields.items()
        if name not in _IGNORED and value is not None and (value or name not in _FIELDS)
    }
    if more:
        more = _more(more, ordinals)
    return [kind, content, more] if more else [kind, content]


def _more(fields: Mapping[str, Any], ordinals: dict[str | None, int]) -> dict[str, Any]:
    more = {}
    for name in sorted(fields):
        value = fields[name]
        form = _FIELDS[name](value, fields, ordinals) if name in _FIELDS else value
        if form is not None:
            more[name] = form
    return more


def _content(content: Any, ordinals: dict[str | None, int]) -> Any:
    if not isinstance(content, list):
        return content
    blocks = [_block(block, ordinals) for block in content]
    # A lone text block is the same turn as its text.
    return blocks[0] if len(blocks) == 1 and isinstance(blocks[0], str) else blocks


def _block(block: Any, ordinals: dict[str | None, int]) -> Any:
    if not isinstance(block, dict):
        return block
    kind = block.get("type")
    if kind == "text" and block.keys() <= _TEXT_BLOCK and not block.get("annotations"):
        return block.get("text", "")
    form = {name: value for name, value in block.items() if name != "index"}
    if kind in {"tool_use", "tool_call"} and "id" in form:
        form["id"] = _ordinal(form["id"], ordinals)
    elif kind == "tool_result" and "tool_use_id" in form:
        form["tool_use_id"] = _ordinal(form["tool_use_id"], ordinals)
    return form


def _ordinal(call_id: str | None, ordinals: dict[str | None, int]) -> int:
    return ordinals.setdefault(call_id, len(ordinals))


def _calls(
    calls: Sequence[Mapping[str, Any]], _: object, ordinals: dict[str | None, int]
) -> list[Any]:
    return [
        [call["name"], call["args"], _ordinal(call.get("id"), ordinals)]
        for call in calls
    ]


def _additional(
    additional: Mapping[str, Any], fields: Mapping[str, Any], _: object
) -> dict[str, Any] | None:
    # `parsed` is the content once more; raw tool calls are sent only if no parsed ones.
    parsed_calls = fields.get("tool_calls") or fields.get("invalid_tool_calls")
    return {
        name: additional[name]
        for name in sorted(additional)
        if additional[name] is not None
        and name != "parsed"
        and not (name == "tool_calls" and parsed_calls)
    } or None


def _status(status: str, *_: object) -> str | None:
    return None if status == "success" else status


def _call_id(call_id: str | None, _: object, ordinals: dict[str | None, int]) -> int:
    return _ordinal(call_id, ordinals)


_FIELDS: Final[Mapping[str, Any]] = {
    "additional_kwargs": _additional,
    "invalid_tool_calls": _calls,
    "status": _status,
    "tool_call_id": _call_id,
    "tool_calls": _calls,
}
