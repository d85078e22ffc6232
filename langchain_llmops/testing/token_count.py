"""How many input tokens a chat request has, by the rules OpenAI has published.

Per message 3 tokens and its text, 1 for a name, and 3 that open the answer. Tools are
counted by the formula of OpenAI's cookbook. Calls and results in the history have no
published rule: a call counts its name, its arguments and 3.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_llmops.testing.image_tokens import image_tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_llmops.testing.chat_request import ChatRequest, Tool
    from langchain_llmops.testing.conversation import Message
    from langchain_llmops.testing.encoder import Encoder

__all__ = ["CALL_OVERHEAD", "count_chat"]

PER_MESSAGE = 3
PER_NAME = 1
PRIMING = 3
CALL_OVERHEAD = 3
"""Tokens around a tool call's name and arguments, in and out."""

_FUNCTION_START, _FUNCTION_END = 7, 12
_PROPERTIES_START, _PROPERTY = 3, 3
_ENUM_START, _ENUM_ITEM = -3, 3


def count_chat(request: ChatRequest, coder: Encoder) -> int:
    """Return the input tokens of a request, its tools and answer schema included."""
    total = PRIMING + sum(_message(m, request.model, coder) for m in request.messages)
    if request.tools:
        total += _FUNCTION_END + sum(_tool(tool, coder) for tool in request.tools)
    if request.schema is not None:
        total += len(coder.encode(json.dumps(request.schema)))
    return total


def _message(message: Message, model: str, coder: Encoder) -> int:
    body = message.body
    total = PER_MESSAGE + len(coder.encode(message.role))
    total += _content(body.get("content"), model, coder)
    if body.get("name"):
        total += PER_NAME + len(coder.encode(str(body["name"])))
    for call in message.calls:
        function = call["function"]
        total += CALL_OVERHEAD + len(coder.encode(str(function.get("name", ""))))
        total += len(coder.encode(str(function.get("arguments", ""))))
    return total


def _content(content: object, model: str, coder: Encoder) -> int:
    if isinstance(content, str):
        return len(coder.encode(content))
    if not isinstance(content, list):
        return 0
    total = 0
    for part in content:
        if not isinstance(part, dict):
            continue
        if part.get("type") == "image_url":
            total += image_tokens(part.get("image_url"), model)
        elif isinstance(part.get("text"), str):
            total += len(coder.encode(part["text"]))
    return total


def _tool(tool: Tool, coder: Encoder) -> int:
    total = _FUNCTION_START
    total += len(coder.encode(f"{tool.name}:{tool.description.removesuffix('.')}"))
    properties: Mapping[str, Any] = tool.parameters.get("properties") or {}
    if not properties:
        return total
    return total + _PROPERTIES_START + _properties(properties, coder)


def _properties(properties: Mapping[str, Any], coder: Encoder) -> int:
    total = 0
    for name, schema in properties.items():
        about = str(schema.get("description") or "").removesuffix(".")
        total += _PROPERTY
        total += len(coder.encode(f"{name}:{schema.get('type', '')}:{about}"))
        total += _enum(schema.get("enum") or (), coder)
        total += _properties(schema.get("properties") or {}, coder)
        items = schema.get("items")
        if isinstance(items, dict):
            total += _properties(items.get("properties") or {}, coder)
    return total


def _enum(values: Sequence[object], coder: Encoder) -> int:
    if not values:
        return 0
    return _ENUM_START + sum(
        _ENUM_ITEM + len(coder.encode(str(value))) for value in values
    )
