"""Dividing tokens by weights: nobody gets more than they want, nothing is left over."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["divide"]


def divide(
    pool: int, wants: Mapping[str, int | None], weights: Mapping[str, float]
) -> dict[str, int]:
    """Return who gets how much.

    What one does not want goes to the others by their weights; only what nobody wants
    stays.

    Args:
        pool: What there is.
        wants: The most that each can use; `None` for as much as there is.
        weights: How much of the pool each may claim, relative to the others.
    """
    given = dict.fromkeys(wants, 0)
    open_ = [name for name in wants if weights[name] > 0]
    while open_ and pool > 0:
        whole = sum(weights[name] for name in open_)
        content = {
            name: want
            for name in open_
            if (want := wants[name]) is not None
            and want * whole <= pool * weights[name]
        }
        if not content:
            break
        given |= content
        pool -= sum(content.values())
        open_ = [name for name in open_ if name not in content]
    whole = sum(weights[name] for name in open_)
    for name in open_:
        given[name] = int(pool * weights[name] / whole)
    rounding = pool - sum(given[name] for name in open_)
    for name in open_[:rounding]:
        want = wants[name]
        given[name] += want is None or given[name] < want
    return given
