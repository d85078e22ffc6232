"""The body of a chat completion request, checked the way OpenAI checks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_llmops.testing.api_error import ApiError, bad_request
from langchain_llmops.testing.conversation import parse_messages
from langchain_llmops.testing.schema_check import check_schema

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_llmops.testing.conversation import Message

__all__ = ["ChatRequest", "Tool", "parse_chat"]

_MAX_STOPS = 4
_TIERS = ("auto", "default", "flex", "priority", "scale")
_CHOICES = ("auto", "none", "required")


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
    messages = parse_messages(body.get("messages"))
    if json_object and not any("json" in m.text.lower() for m in messages):
        raise bad_request(
            "'messages' must contain the word 'json' in some form, to use "
            "'response_format' of type 'json_object'.",
            "messages",
        )
    stream = bool(body.get("stream"))
    limit = _whole(body, "max_completion_tokens", 1_000_000)
    return ChatRequest(
        model=model,
        messages=messages,
        tools=tools,
        tool_choice=_tool_choice(body.get("tool_choice"), tools),
        parallel_tool_calls=body.get("parallel_tool_calls") is not False,
        schema=schema,
        json_object=json_object,
        n=_whole(body, "n", 128) or 1,
        stop=_stop(body.get("stop")),
        max_tokens=limit or _whole(body, "max_tokens", 1_000_000),
        temperature=_number(body, "temperature", 0, 2),
        seed=_seed(body.get("seed")),
        stream=stream,
        include_usage=_include_usage(body.get("stream_options"), stream=stream),
        service_tier=_service_tier(body.get("service_tier")),
        raw=body,
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
        if not isinstance(function, dict):
            function = {}
        name = function.get("name")
        if not isinstance(name, str) or not name:
            raise bad_request(
                f"Missing required parameter: 'tools[{index}].function.name'.",
                f"tools[{index}].function.name",
                "missing_required_parameter",
            )
        parameters = function.get("parameters") or {}
        param = f"tools[{index}].function.parameters"
        check_schema(parameters, param)
        about = str(function.get("description") or "")
        parsed.append(Tool(name=name, description=about, parameters=parameters))
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
    if isinstance(value, str) and value in _CHOICES:
        return value
    function = value.get("function") if isinstance(value, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    for tool in tools:
        if tool.name == name:
            return tool.name
    raise bad_request(
        f"Invalid value for 'tool_choice': {value!r} names no tool in 'tools'.",
        "tool_choice",
    )


def _format(value: object) -> tuple[Mapping[str, Any] | None, bool]:
    """Return the JSON schema of the answer, or whether it must be some JSON object."""
    if not isinstance(value, dict):
        return None, False
    kind = value.get("type")
    if kind != "json_schema":
        return None, kind == "json_object"
    param = "response_format.json_schema.schema"
    wrapper = value.get("json_schema")
    schema = wrapper.get("schema") if isinstance(wrapper, dict) else None
    if schema is None:
        raise bad_request(
            f"Missing required parameter: '{param}'.",
            param,
            "missing_required_parameter",
        )
    check_schema(schema, param)
    return schema, False


def _stop(value: object) -> tuple[str, ...]:
    stops = [value] if isinstance(value, str) else value or []
    if not isinstance(stops, list) or len(stops) > _MAX_STOPS:
        raise bad_request(
            f"Invalid 'stop': {value!r} is no string and no array of at most "
            f"{_MAX_STOPS} strings.",
            "stop",
        )
    return tuple(stop for stop in stops if isinstance(stop, str) and stop)


def _include_usage(options: object, *, stream: bool) -> bool:
    if options is None:
        return False
    if not isinstance(options, dict):
        raise bad_request(
            f"Invalid 'stream_options': {options!r} is no object.", "stream_options"
        )
    if not stream:
        raise bad_request(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
        )
    return bool(options.get("include_usage"))


def _seed(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise bad_request(f"Invalid 'seed': {value!r} is no integer.", "seed")


def _service_tier(value: object) -> str | None:
    if value is None or (isinstance(value, str) and value in _TIERS):
        return value
    raise bad_request(
        f"Invalid 'service_tier': {value!r}. Supported values are: {list(_TIERS)}.",
        "service_tier",
        "invalid_value",
    )


def _whole(body: Mapping[str, Any], name: str, high: int) -> int | None:
    """Return a positive integer parameter."""
    value = _number(body, name, 1, high)
    if value is not None and value != int(value):
        raise bad_request(f"Invalid '{name}': {value!r} is no integer.", name)
    return None if value is None else int(value)


def _number(
    body: Mapping[str, Any], name: str, low: float, high: float
) -> float | None:
    value = body.get(name)
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
