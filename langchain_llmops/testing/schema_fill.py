"""JSON that fits a schema, with values read from a text.

Numbers come from the text's numbers, enumerations from the words it uses, strings from
what it quotes, what it names or what it says about the property. The result depends on
schema and text only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_llmops.testing.answers import Passage, answer

__all__ = ["fill", "object_schema"]

_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w])")
_QUOTED = re.compile(r"[\"“'`]([^\"”'`\n]{1,200})[\"”'`]")
_NAMED = re.compile(
    r"\b(?:in|for|about|of|called|named|to|at|from|is)\s+"
    r"((?:[A-Z][\w.'-]*)(?:,?\s+(?:[A-Z][\w.'-]*))*)"
)
_TOPIC = re.compile(r"(?i)\b(?:about|for|of|on|called|named|in)\s+(.+?)(?:[.?!]|$)")
_NEGATED = re.compile(r"(?i)\b(?:not|no|never|without|isn't|don't|doesn't)\b")
_MAX_DEPTH = 8


_LIST = r"((?:[\"'`]\w+[\"'`](?:[,\s]|and\b|or\b)*)+)"
_KEYS = re.compile(
    rf"(?i){_LIST}(?:as\s+)?(?:keys?|fields?|property|properties)"
    rf"|(?:keys?|fields?|properties):?\s+{_LIST}"
)


@dataclass(slots=True)
class _Source:
    """A text, and what of it has been used: each number serves one property."""

    text: str
    root: Mapping[str, Any]
    numbers: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


def fill(schema: Mapping[str, Any], text: str) -> Any:
    """Return a value that fits a JSON schema.

    Args:
        schema: The schema, with `$defs` where it refers to them.
        text: Where values are looked for.

    Returns:
        JSON-like data. Optional properties are left out unless the schema is a strict
        one, which requires them all.
    """
    names = [*_QUOTED.findall(text), *_NAMED.findall(text)]
    source = _Source(text, schema, _NUMBER.findall(text), names)
    return _value(schema, "", source, 0)


def object_schema(instructions: str) -> dict[str, Any]:
    """Return the schema of an object whose keys a prompt names ("with 'a', 'b' keys").

    Args:
        instructions: The whole prompt; without any named key the object has `answer`.
    """
    named = [name for match in _KEYS.findall(instructions) for name in match if name]
    keys = [key for name in named for key in re.findall(r"\w+(?=[\"'`])", name)]
    return {"type": "object", "properties": {key: {} for key in keys or ["answer"]}}


def _value(schema: Mapping[str, Any], name: str, source: _Source, depth: int) -> Any:
    schema = _resolve(schema, source)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return _member(schema["enum"], source.text)
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    match "object" if "properties" in schema else kind:
        case "object":
            value: Any = _object(schema, source, depth)
        case "array":
            value = _array(schema, name, source, depth)
        case "integer" | "number":
            value = _number(schema, source, whole=kind == "integer")
        case "boolean":
            value = not _NEGATED.search(source.text)
        case "null":
            value = None
        case _:
            value = _string(schema, name, source)
    return value


def _resolve(schema: Mapping[str, Any], source: _Source) -> Mapping[str, Any]:
    """Follow references and take the first alternative that is not null."""
    for _ in range(_MAX_DEPTH):
        if "$ref" in schema:
            node: Any = source.root
            for key in schema["$ref"].removeprefix("#/").split("/"):
                node = node.get(key, {}) if isinstance(node, Mapping) else {}
            schema = node
            continue
        options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if not options:
            break
        schema = next((o for o in options if o.get("type") != "null"), options[0])
    return schema


def _object(schema: Mapping[str, Any], source: _Source, depth: int) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    wanted = schema.get("required", () if depth else properties)
    if depth >= _MAX_DEPTH:
        return {}
    return {
        name: _value(properties[name], name, source, depth + 1)
        for name in properties
        if name in wanted
    }


def _array(
    schema: Mapping[str, Any], name: str, source: _Source, depth: int
) -> list[Any]:
    items = schema.get("items") or {"type": "string"}
    kind = _resolve(items, source).get("type")
    count = 1
    if kind in {"integer", "number"}:
        count = len(source.numbers)
    count = max(schema.get("minItems", 0), min(count, schema.get("maxItems", count)))
    if depth >= _MAX_DEPTH:
        count = 0
    return [_value(items, name, source, depth + 1) for _ in range(count)]


def _member(members: list[Any], text: str) -> Any:
    lower = text.lower()
    said = (m for m in members if isinstance(m, str) and m.lower() in lower)
    return next(said, members[0])


def _number(schema: Mapping[str, Any], source: _Source, *, whole: bool) -> float:
    value = float(source.numbers.pop(0)) if source.numbers else 0.0
    bounds = (
        ("minimum", max, 0),
        ("exclusiveMinimum", max, 1),
        ("maximum", min, 0),
        ("exclusiveMaximum", min, -1),
    )
    for name, clamp, step in bounds:
        if isinstance(schema.get(name), (int, float)):
            value = float(clamp(value, schema[name] + step))
    return int(value) if whole or value.is_integer() else value


def _string(schema: Mapping[str, Any], name: str, source: _Source) -> str:
    about = f"{name.replace('_', ' ')} {schema.get('description', '')}"
    if source.names:
        value = source.names.pop(0)
    else:
        topic = _TOPIC.search(source.text)
        said = answer(about, [Passage(text=source.text)])
        value = said or (topic[1] if topic else source.text.strip())
    limit = schema.get("maxLength", 300)
    return value[:limit]
