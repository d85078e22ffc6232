"""The body of a chat completion request, checked the way OpenAI checks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

from langchain_llmops.testing.api_error import ApiError, bad_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["ChatRequest", "Message", "Tool", "parse_chat"]

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message: its text, and the body it came in."""

    role: Role
    text: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """What a valid request asks for; `raw` is the whole body."""

    model: str
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    parallel_tool_calls: bool = True
    schema: Mapping[str, Any] | None = None
    json_object: bool = False
    n: int = 1
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    stream: bool = False
    include_usage: bool = False
    service_tier: str | None = None
    raw: Mapping[str, Any]


def parse_chat(body: Mapping[str, Any]) -> ChatRequest:
    """Check a request body.

    Raises:
        ApiError: 400 with the message, parameter and code that OpenAI would send.
    """
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise ApiError(400, "you must provide a model parameter")
    tools = _tools(body.get("tools"))
    schema, json_object = _format(body.get("response_format"))
    messages = _messages(body.get("messages"))
    if json_object and not any("json" in m.text.lower() for m in messages):
        raise bad_request(
            "'messages' must contain the word 'json' in some form, to use "
            "'response_format' of type 'json_object'.",
            "messages",
        )
    limit = body.get("max_completion_tokens")
    if limit is None:
        limit = body.get("max_tokens")
    stream = bool(body.get("stream"))
    options = body.get("stream_options") or {}
    if options and not stream:
        raise bad_request(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
        )
    return ChatRequest(
        model=model,
        messages=messages,
        tools=tools,
        tool_choice=_tool_choice(body.get("tool_choice"), tools),
        parallel_tool_calls=body.get("parallel_tool_calls") is not False,
        schema=schema,
        json_object=json_object,
        n=cast("int", _number(body, "n", 1, 128)) or 1,
        stop=_stop(body.get("stop")),
        max_tokens=cast(
            "int | None", _ranged(limit, "max_completion_tokens", 1, 1_000_000)
        ),
        temperature=_number(body, "temperature", 0, 2),
        seed=body.get("seed"),
        stream=stream,
        include_usage=bool(options.get("include_usage")),
        service_tier=body.get("service_tier"),
        raw=body,
    )


def text_of(content: object) -> str:
    """Return the text in a message's content, whichever shape it has."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "\n".join(text for text in texts if isinstance(text, str))


def _messages(value: object) -> tuple[Message, ...]:
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
        waiting = _check_tool_order(body, waiting, param)
        parsed.append(
            Message(role=body["role"], text=text_of(body.get("content")), body=body)
        )
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


def _check_tool_order(
    body: Mapping[str, Any], waiting: set[str], param: str
) -> set[str]:
    """Check that tool results follow their calls; return the calls still unanswered."""
    if body["role"] == "tool":
        call = body.get("tool_call_id")
        if call not in waiting:
            raise bad_request(
                "Invalid parameter: messages with role 'tool' must be a response to a "
                "preceeding message with 'tool_calls'.",
                f"{param}.role",
            )
        return waiting - {call}
    if waiting:
        raise _unanswered(waiting, f"{param}.role")
    calls = body.get("tool_calls") or () if body["role"] == "assistant" else ()
    return {call["id"] for call in calls}


def _unanswered(waiting: set[str], param: str) -> ApiError:
    return bad_request(
        "An assistant message with 'tool_calls' must be followed by tool messages "
        "responding to each 'tool_call_id'. The following tool_call_ids did not have "
        f"response messages: {', '.join(sorted(waiting))}",
        param,
    )


def _tools(value: object) -> tuple[Tool, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not value:
        raise bad_request(
            "Invalid 'tools': empty array. Expected an array with minimum length 1.",
            "tools",
            "empty_array",
        )
    parsed = []
    for index, body in enumerate(value):
        function = body.get("function") if isinstance(body, dict) else None
        if not isinstance(function, dict) or not function.get("name"):
            raise bad_request(
                f"Missing required parameter: 'tools[{index}].function.name'.",
                f"tools[{index}].function.name",
                "missing_required_parameter",
            )
        parsed.append(
            Tool(
                name=function["name"],
                description=function.get("description") or "",
                parameters=function.get("parameters") or {},
            )
        )
    return tuple(parsed)


def _tool_choice(value: object, tools: Sequence[Tool]) -> str:
    """Return `auto`, `none`, `required` or the name of a tool."""
    if value is None:
        return "auto"
    if not tools:
        raise bad_request(
            "Invalid value for 'tool_choice': 'tool_choice' is only allowed when "
            "'tools' are specified.",
            "tool_choice",
        )
    if value in {"auto", "none", "required"} if isinstance(value, str) else False:
        return cast("str", value)
    name = value.get("function", {}).get("name") if isinstance(value, dict) else None
    if name not in {tool.name for tool in tools}:
        raise bad_request(
            f"Invalid value for 'tool_choice': {value!r} names no tool in 'tools'.",
            "tool_choice",
        )
    return cast("str", name)


def _format(value: object) -> tuple[Mapping[str, Any] | None, bool]:
    """Return the JSON schema of the answer, or whether it must be some JSON object."""
    if not isinstance(value, dict):
        return None, False
    kind = value.get("type")
    if kind == "json_schema":
        schema = (value.get("json_schema") or {}).get("schema")
        if not isinstance(schema, dict):
            raise bad_request(
                "Missing required parameter: 'response_format.json_schema.schema'.",
                "response_format.json_schema.schema",
                "missing_required_parameter",
            )
        return schema, False
    return None, kind == "json_object"


def _stop(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    stops = (value,) if isinstance(value, str) else tuple(cast("list[str]", value))
    if len(stops) > 4:  # noqa: PLR2004 - OpenAI's limit
        raise bad_request("Invalid 'stop': array too long, at most 4.", "stop")
    return tuple(stop for stop in stops if stop)


def _number(
    body: Mapping[str, Any], name: str, low: float, high: float
) -> float | None:
    return _ranged(body.get(name), name, low, high)


def _ranged(value: object, name: str, low: float, high: float) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise bad_request(
            f"Invalid type for '{name}': expected a number, got {value!r}.", name
        )
    if not low <= value <= high:
        raise bad_request(
            f"Invalid '{name}': {value!r} is not between {low} and {high}.", name
        )
    return value
