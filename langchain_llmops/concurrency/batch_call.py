"""One call for a batch, after which every item has an outcome of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelError,
    ModelInvalidRequestError,
)

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call_batch"]


def call_batch(
    call: Callable[[list[Any]], Any], items: list[Any]
) -> tuple[list[Any], int]:
    """Call a function with a list, and find out which items it cannot take.

    A call that fails is made again with each half, until the items that make it fail
    are alone: two calls per halving for each of them. An error that is nobody's fault
    (no connection, a rate limit, a wrong key) is not searched for; all get it.

    Args:
        call: Returns a result or an exception for each item, in order.
        items: At least one item.

    Returns:
        An outcome for each item in order, exceptions as values; and how many calls were
        made beyond the first.

    Raises:
        BaseException: What is no `Exception`, such as a cancellation, passes through.
    """
    try:
        outcomes = call(items)
    except Exception as error:  # noqa: BLE001 - each item gets the error of its call
        if len(items) == 1 or not _may_be_an_item(error):
            return [error] * len(items), 0
    else:
        return _one_for_each(outcomes, items), 0
    middle = len(items) // 2
    first, extra = call_batch(call, items[:middle])
    second, more = call_batch(call, items[middle:])
    return first + second, 2 + extra + more


def _one_for_each(outcomes: Any, items: list[Any]) -> list[Any]:
    try:
        listed = list(outcomes)
        wrong = f"{len(listed)!r} results"
    except TypeError:
        listed, wrong = [], f"{type(outcomes).__name__!r}"
    if len(listed) == len(items):
        return listed
    error = ConfigurationError(
        f"fn returned {wrong} for {len(items)!r} items: return a list with one result "
        "for each in their order, an exception for one that failed"
    )
    return [error] * len(items)


def _may_be_an_item(error: Exception) -> bool:
    """Say whether an item can be the reason; the alternative is the way to it."""
    if isinstance(error, ModelError):
        return isinstance(error, ModelInvalidRequestError | ContextOverflowError)
    return not isinstance(error, OSError)
