"""What tool definitions cost.

OpenAI shows tools to a model as TypeScript, which users of the API have worked out from
its bills; the figures that OpenAI's cookbook publishes for one tool (105 tokens in
cl100k, 101 in o200k) are met. How it writes schemas beyond the plain ones is not known,
so no count is called exact. Other providers are taken to show the JSON schemas.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from langchain_llmops.tokens.count import NOTHING, TokenCount

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_llmops.tokens.profiles import ChatFormat
    from langchain_llmops.tokens.text import TextMeter

__all__ = ["IN_SYSTEM_MESSAGE", "as_json", "as_typescript", "measure_tools"]

_TYPESCRIPT_OVERHEAD = 9
IN_SYSTEM_MESSAGE = -4
"""OpenAI's tools join a system message where there is one, instead of opening one."""


def measure_tools(
    tools: Sequence[Any], meter: TextMeter, chat: ChatFormat
) -> TokenCount:
    """Return what tools add to a request without a system message; never exact.

    Args:
        tools: Whatever `bind_tools` takes: tools, functions, pydantic classes, dicts.
        meter: Counts text for the model.
        chat: How the provider writes tools.
    """
    if not tools:
        return NOTHING
    schemas = [_schema(tool) for tool in tools]
    plain = meter.measure("\n".join(as_json(schema) for schema in schemas))
    best = plain.tokens
    if chat.typescript:
        with suppress(RecursionError):  # a schema that contains itself
            best = meter.count(as_typescript(schemas)) + _TYPESCRIPT_OVERHEAD
    tokens = best + chat.tools
    upper = max(best, plain.upper_bound or 0) + chat.tools + chat.tools_slack
    return TokenCount(tokens=tokens, exact=False, upper_bound=upper)


def as_json(value: object) -> str:
    """Return a value as JSON text, or as Python shows it where it has no JSON."""
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except Exception:  # noqa: BLE001 - anything may come from a user
        return _shown(value)


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - the same
        return type(value).__name__


def as_typescript(schemas: Sequence[Mapping[str, Any]]) -> str:
    """Return OpenAI tool schemas as the TypeScript namespace that a model is shown."""
    lines = ["namespace functions {", ""]
    for schema in schemas:
        function = _mapping(schema.get("function")) or schema
        parameters = _mapping(function.get("parameters"))
        name = function.get("name", schema.get("type", ""))
        if function.get("description"):
            lines.append(f"// {function['description']}")
        if parameters.get("properties"):
            body = _properties(parameters, indent=0)
            lines += [f"type {name} = (_: {{", body, "}) => any;", ""]
        else:
            lines += [f"type {name} = () => any;", ""]
    return "\n".join([*lines, "} // namespace functions"])


def _schema(tool: Any) -> Mapping[str, Any]:
    from langchain_core.utils.function_calling import (  # noqa: PLC0415 - only for tools
        convert_to_openai_tool,
    )

    try:
        return convert_to_openai_tool(tool)
    except Exception:  # noqa: BLE001 - a counter refuses nothing that a user may bind
        return tool if isinstance(tool, dict) else {"name": str(tool)}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _properties(schema: Mapping[str, Any], *, indent: int) -> str:
    required = schema.get("required")
    needed = required if isinstance(required, list) else []
    lines = []
    for name, value in _mapping(schema.get("properties")).items():
        about = _mapping(value)
        if about.get("description"):
            lines.append(f"// {about['description']}")
        mark = "" if name in needed else "?"
        lines.append(f"{name}{mark}: {_type(about, indent=indent)},")
    return "\n".join(" " * indent + line for line in lines)


def _type(schema: Mapping[str, Any], *, indent: int) -> str:
    """Return a property's type; what has no known spelling is written as JSON."""
    kind = schema.get("type")
    if isinstance(choices := schema.get("enum"), list):
        return " | ".join(as_json(choice) for choice in choices)
    if isinstance(either := schema.get("anyOf") or schema.get("oneOf"), list):
        return " | ".join(_type(_mapping(each), indent=indent) for each in either)
    if kind == "object":
        return "\n".join(("{", _properties(schema, indent=indent + 2), "}"))
    if kind == "array":
        items = _mapping(schema.get("items"))
        return f"{_type(items, indent=indent)}[]" if items else "any[]"
    if isinstance(kind, str):
        return "number" if kind == "integer" else kind
    rest = {key: value for key, value in schema.items() if key != "description"}
    return as_json(rest) if rest else "any"
