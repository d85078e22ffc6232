"""The profile of a router: what all of its candidates can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.language_models import ModelProfile

__all__ = ["intersection"]


def intersection(profiles: Sequence[ModelProfile | None]) -> ModelProfile | None:
    """Return what holds for every model: the least of limits, flags that all have.

    What one of them does not say is left out.

    Args:
        profiles: A profile for each model.

    Returns:
        The profile that they share; `None` if nothing is known of one of them.
    """
    if not profiles or not all(profiles):
        return None
    known = cast("list[dict[str, Any]]", list(profiles))
    shared = set(known[0]).intersection(*known[1:])
    common = {
        key: values
        for key in known[0]
        if key in shared
        and (values := _common([each[key] for each in known])) is not None
    }
    return cast("ModelProfile", common)


def _common(values: Sequence[Any]) -> Any:
    if all(isinstance(value, bool) for value in values):
        return all(values)
    if all(isinstance(value, int | float) for value in values):
        return min(values)
    first = values[0]
    return first if all(value == first for value in values) else None
