"""The messages of a request: their roles, their text, and the order they must have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from langchain_llmops.testing.api_error import ApiError, bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Message", "parse_messages"]

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: its text, the calls it asks for, and the body it came in."""

    role: Role
    text: str
    calls: tuple[Mapping[str, Any], ...] = ()
    body: Mapping[str, Any]


def parse_messages(value: object) -> tuple[Message, ...]:
    """Check the messages of a request, and that tool results follow their calls.

    Raises:
        ApiError: 400 in the words that OpenAI uses.
    """
    if not isinstance(value, list):
        raise bad_request("Missing required parameter: 'messages'.", "messages")
    if not value:
        raise bad_request(
            "Invalid 'messages': empty array. Expected an array with minimum length "
            "1, but got an empty array instead.",
            "messages",
            "empty_array",
        )
    waiting: set[str] = set()
    parsed = []
    for index, body in enumerate(value):
        param = f"messages.[{index}]"
        if not isinstance(body, dict) or body.get("role") not in _ROLES:
            role = body.get("role") if isinstance(body, dict) else body
            raise bad_request(
                f"Invalid value: {role!r}. Supported values are: {list(_ROLES)}.",
                f"{param}.role",
                "invalid_value",
            )
        _check_content(body, param)
        if body["role"] == "tool":
            waiting = waiting - {_answered_call(body, waiting, param)}
        elif waiting:
            raise _unanswered(waiting, f"{param}.role")
        calls = _calls(body, param)
        waiting |= {call["id"] for call in calls}
        text = _text_of(body.get("content"))
        parsed.append(Message(role=body["role"], text=text, calls=calls, body=body))
    if waiting:
        raise _unanswered(waiting, f"messages.[{len(value) - 1}].role")
    return tuple(parsed)


def _check_content(body: Mapping[str, Any], param: str) -> None:
    content = body.get("content")
    if isinstance(content, (str, list)):
        return
    if content is None and body["role"] == "assistant":
        return
    raise bad_request(
        f"Invalid value for 'content': expected a string, got {content!r}.",
        f"{param}.content",
    )


def _answered_call(body: Mapping[str, Any], waiting: set[str], param: str) -> str:
    """Return the id of the call that a tool's result answers."""
    call = body.get("tool_call_id")
    if isinstance(call, str) and call in waiting:
        return call
    raise bad_request(
        "Invalid parameter: messages with role 'tool' must be a response to a "
        "preceding message with 'tool_calls'.",
        f"{param}.role",
    )


def _calls(body: Mapping[str, Any], param: str) -> tuple[Mapping[str, Any], ...]:
    """Return the calls that an assistant's message asks for."""
    calls = body.get("tool_calls") if body["role"] == "assistant" else None
    if calls is None:
        return ()
    if not isinstance(calls, list) or not all(map(_is_call, calls)):
        raise bad_request(
            f"Invalid 'tool_calls': {calls!r}. Expected an array of objects with 'id' "
            "and 'function'.",
            f"{param}.tool_calls",
        )
    return tuple(calls)


def _is_call(call: object) -> bool:
    return (
        isinstance(call, dict)
        and isinstance(call.get("id"), str)
        and isinstance(call.get("function"), dict)
    )


def _unanswered(waiting: set[str], param: str) -> ApiError:
    return bad_request(
        "An assistant message with 'tool_calls' must be followed by tool messages "
        "responding to each 'tool_call_id'. The following tool_call_ids did not have "
        f"response messages: {', '.join(sorted(waiting))}",
        param,
    )


def _text_of(content: object) -> str:
    """Return the text in a message's content, whichever shape it has."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))
