"""When two items ask for the same thing: by value and type, never by mere equality."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["request_identity"]

_SCALARS: Final = frozenset({str, bytes, int, bool, type(None)})


def request_identity(item: Any) -> Hashable | None:
    """Return a key that two items share only if they are the same request.

    Strings, bytes, numbers, `None`, lists, tuples and dictionaries of them, and
    pydantic models such as documents and messages have one. `1`, `1.0` and `True`
    differ.

    Args:
        item: What is asked for.

    Returns:
        The key; `None` for any other object, which is like no other.
    """
    try:
        return _frozen(item)
    except (TypeError, RecursionError):
        return None


def _frozen(item: Any) -> Hashable:
    kind = type(item)
    if kind in _SCALARS:
        return (kind, item)
    if kind is float:
        return (kind, item.hex())  # tells 0.0 from -0.0
    if kind is list or kind is tuple:
        return (kind, tuple([_frozen(part) for part in item]))
    if kind is dict:
        # In the order they were written: a function may see it.
        return (kind, tuple([(_frozen(k), _frozen(v)) for k, v in item.items()]))
    if isinstance(item, BaseModel):
        return (kind, _frozen(item.__dict__), _frozen(item.__pydantic_extra__))
    raise TypeError(kind)
