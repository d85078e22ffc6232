"""Whose budget a call draws on: a template filled from the metadata of its config."""

from __future__ import annotations

import string
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["UNKNOWN", "Scope"]

UNKNOWN: Final = "(unknown)"
"""What stands for a key that the metadata of a call lacks."""

_LONGEST: Final = 200
_RESERVED: Final = frozenset("%()")


class Scope:
    """A template such as `"tenant:{tenant}:feature:{feature}"`.

    Two calls share a budget if and only if all values are equal: characters of a value
    that could be taken for the template's own are escaped. Pure and safe across
    threads.

    Args:
        template: Text with the names of metadata keys in braces; without braces it is
            one budget for all.

    Raises:
        ConfigurationError: The template is empty or malformed, or two names stand
            beside each other with nothing but letters and digits between them.
    """

    def __init__(self, template: str) -> None:
        self._parts = list(_parsed(template))
        literals = "".join(text for text, _ in self._parts)
        separators = {char for char in literals if not char.isalnum()}
        self._escaped = _RESERVED | separators
        self.names = tuple(name for _, name in self._parts if name is not None)

    def of(self, metadata: Mapping[str, Any] | None) -> tuple[str, list[str]]:
        """Fill the template.

        Args:
            metadata: `config["metadata"]` of a call.

        Returns:
            The scope, and the names that the metadata did not have: `(unknown)` stands
            for each of them.
        """
        found, missing, filled = metadata or {}, [], ""
        for text, name in self._parts:
            filled += text
            if name is not None:
                value = found.get(name)
                if _is_name(value):
                    filled += self._shown(str(value))
                else:
                    missing.append(name)
                    filled += UNKNOWN
        return filled, missing

    def _shown(self, value: str) -> str:
        if value.isalnum() and len(value) <= _LONGEST:
            return value
        shown = "".join(
            f"%{ord(char):02X}"
            if char in self._escaped or not char.isprintable()
            else char
            for char in value[: _LONGEST + 1]
        )
        if len(value) > _LONGEST:
            # Databases index no key of any length.
            digest = sha256(value.encode("utf-8", "surrogatepass")).hexdigest()
            shown = f"{shown[:_LONGEST]}%{digest}"
        return shown


def _parsed(template: object) -> Iterator[tuple[str, str | None]]:
    if not isinstance(template, str) or not template:
        raise ConfigurationError(
            f"scope={template!r} names nobody: write a text such as "
            '"tenant:{tenant}", or "all"'
        )
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ConfigurationError(
            f"scope={template!r} is malformed ({error}): put keys of the metadata in "
            'braces, as in "tenant:{tenant}"'
        ) from error
    for place, (text, name, spec, conversion) in enumerate(parts):
        plain = name is None or (name.isidentifier() and not spec and not conversion)
        apart = place == 0 or name is None or (text and not text.isalnum())
        if not plain or not apart:
            raise ConfigurationError(
                f"scope={template!r} is ambiguous: put single names in braces and a "
                'sign between two of them, as in "tenant:{tenant}:user:{user}"'
            )
        yield text, name


def _is_name(value: object) -> bool:
    # 0 is a fine id of a tenant; an empty text is none.
    return value not in ("", None) and isinstance(value, str | int | float | UUID)
