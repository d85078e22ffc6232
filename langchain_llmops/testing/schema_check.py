"""Whether something is a JSON schema, as far as it is read here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from langchain_llmops.testing.api_error import bad_request

__all__ = ["check_schema"]


def _is_map(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(key, str) and isinstance(inner, Mapping)
        for key, inner in value.items()
    )


def _is_list_of(kind: type) -> Callable[[object], bool]:
    return lambda value: (
        isinstance(value, list) and all(isinstance(item, kind) for item in value)
    )


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 0


_RULES: dict[str, Callable[[object], bool]] = {
    "properties": _is_map,
    "$defs": _is_map,
    "definitions": _is_map,
    "items": lambda value: isinstance(value, Mapping),
    "enum": lambda value: isinstance(value, list),
    "required": _is_list_of(str),
    "anyOf": _is_list_of(dict),
    "oneOf": _is_list_of(dict),
    "allOf": _is_list_of(dict),
    "$ref": lambda value: isinstance(value, str),
    "type": lambda value: isinstance(value, str) or _is_list_of(str)(value),
    "minItems": _is_count,
    "maxItems": _is_count,
    "maxLength": _is_count,
}


def check_schema(schema: object, param: str) -> None:
    """Check the keywords that are read, at every depth.

    Args:
        schema: What should be a schema.
        param: Where it stands in the request, for the error.

    Raises:
        ApiError: 400; it names the keyword.
    """
    if not isinstance(schema, Mapping):
        raise _wrong(param, f"{schema!r} is no object")
    for keyword, holds in _RULES.items():
        if keyword in schema and not holds(schema[keyword]):
            raise _wrong(param, f"{schema[keyword]!r} is not valid for {keyword!r}")
    for inner, where in _inside(schema, param):
        check_schema(inner, where)


def _inside(schema: Mapping[str, Any], param: str) -> list[tuple[object, str]]:
    """Return the schemas in a schema."""
    found: list[tuple[object, str]] = []
    for keyword in ("properties", "$defs", "definitions"):
        found += [
            (inner, f"{param}.{keyword}.{name}")
            for name, inner in schema.get(keyword, {}).items()
        ]
    for keyword in ("anyOf", "oneOf", "allOf"):
        found += [(inner, f"{param}.{keyword}") for inner in schema.get(keyword, ())]
    if "items" in schema:
        found.append((schema["items"], f"{param}.items"))
    return found


def _wrong(param: str, what: str) -> Exception:
    return bad_request(
        f"Invalid schema for {param!r}: {what}.", param, "invalid_function_parameters"
    )
