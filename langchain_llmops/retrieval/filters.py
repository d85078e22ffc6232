"""What a metadata filter means: a callable, or a mapping of wanted values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_core.documents import Document

__all__ = ["DocumentFilter", "compile_filter"]

DocumentFilter = Callable[["Document"], bool] | Mapping[str, Any]
"""Keeps a document: a function of it, or metadata keys with their wanted values."""


def compile_filter(wanted: DocumentFilter) -> Callable[[Document], bool]:
    """Turn a filter into a function.

    Args:
        wanted: A function, or a mapping in which every key must match. A list, tuple
            or set as value means "any of these"; anything else is compared by `==`.

    Returns:
        A function that says whether a document is kept.

    Raises:
        ConfigurationError: The filter is neither, or uses operators such as `$gt`.
    """
    if callable(wanted):
        return wanted
    if not isinstance(wanted, Mapping):
        raise ConfigurationError(
            f"filter must be a function of a Document or a mapping, got {wanted!r}"
        )
    operators = [key for key in (*wanted, *_inner_keys(wanted)) if key.startswith("$")]
    if operators:
        raise ConfigurationError(
            f"filter operator {operators[0]!r} is not supported: pass a function, "
            "such as filter=lambda document: document.metadata['year'] > 2020"
        )
    conditions = [
        (key, value if isinstance(value, list | tuple | set | frozenset) else (value,))
        for key, value in wanted.items()
    ]
    missing = object()  # so that {"tag": None} does not match a document without a tag
    return lambda document: all(
        document.metadata.get(key, missing) in values for key, values in conditions
    )


def _inner_keys(wanted: Mapping[str, Any]) -> list[str]:
    return [
        key
        for value in wanted.values()
        if isinstance(value, Mapping)
        for key in value
        if isinstance(key, str)
    ]
