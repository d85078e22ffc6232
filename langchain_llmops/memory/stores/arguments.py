"""What a caller may ask of a conversation store, and what to tell them if not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from langchain_llmops.errors import ConfigurationError

__all__ = ["check_numbers", "check_session", "search_words", "seconds"]

_LONGEST_NAME: Final = 500


def check_session(session_id: Any) -> None:
    """Refuse a name that some database could not keep."""
    if (
        not isinstance(session_id, str)
        or not 0 < len(session_id) <= _LONGEST_NAME
        or not session_id.isprintable()
    ):
        raise ConfigurationError(
            f"session_id={session_id!r} must be a text of 1 to {_LONGEST_NAME} "
            "characters that can be printed"
        )


def check_numbers(**numbers: int | None) -> None:
    """Refuse negative numbers, named as the caller names them."""
    for name, number in numbers.items():
        if number is not None and number < 0:
            raise ConfigurationError(f"{name}={number!r} must not be negative")


def seconds(name: str, value: Any) -> float:
    """Return the seconds of a duration that is not negative."""
    if not isinstance(value, timedelta) or value < timedelta(0):
        raise ConfigurationError(
            f"{name}={value!r} must be a timedelta of zero or more, such as "
            "timedelta(days=30)"
        )
    return value.total_seconds()


def search_words(query: str) -> list[str]:
    """Return what to look for: words, whatever their case."""
    words = query.casefold().split()
    if not words:
        raise ConfigurationError(f"query={query!r} has no word to look for: give one")
    return words
