"""What rows add to the sums by hour and by day that are kept beside them. Pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_llmops.cost.ledger.rows import CallRow

__all__ = ["DAY_S", "HOUR_S", "MEASURES", "Rollups", "rollups_of"]

HOUR_S = 3_600
DAY_S = 86_400

MEASURES = (
    "calls",
    "answered",
    "failed",
    "aborted",
    "unsettled",
    "estimated",
    "unpriced",
    "cache_hits",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "duration_ms",
    "cost_pico",
    "wasted_pico",
    "saved_pico",
)
"""What is summed, in the order of the columns behind a sum's key."""

_LEFT = frozenset({"GeneratorExit", "CancelledError"})

Key: TypeAlias = tuple[Any, ...]
Measures: TypeAlias = tuple[int, ...]


class Rollups(NamedTuple):
    """Sums by their keys: start of the period in seconds since 1970, then dimensions.

    Attributes:
        hourly: By hour, tenant, feature, model, provider.
        daily: By day, tenant, feature, model, provider.
        daily_users: By day, tenant, user, feature, model, provider.
    """

    hourly: dict[Key, Measures]
    daily: dict[Key, Measures]
    daily_users: dict[Key, Measures]


def rollups_of(new: Iterable[CallRow], gone: Iterable[CallRow] = ()) -> Rollups:
    """Return what changes by rows that are added and rows that are taken off."""
    parts = [(row, _measures(row)) for row in new]
    parts += [(row, tuple(-each for each in _measures(row))) for row in gone]
    hourly = _sums(
        (
            (
                int(row.started_at // HOUR_S) * HOUR_S,
                row.tenant,
                row.feature,
                row.model,
                row.provider,
            ),
            measures,
        )
        for row, measures in parts
    )
    daily = _sums(
        ((key[0] // DAY_S * DAY_S, *key[1:]), measures)
        for key, measures in hourly.items()
    )
    daily_users = _sums(
        (
            (
                int(row.started_at // DAY_S) * DAY_S,
                row.tenant,
                row.user_id,
                row.feature,
                row.model,
                row.provider,
            ),
            measures,
        )
        for row, measures in parts
    )
    return Rollups(hourly, daily, daily_users)


def _sums(parts: Iterable[tuple[Key, Measures]]) -> dict[Key, Measures]:
    cells: dict[Key, list[Measures]] = defaultdict(list)
    for key, measures in parts:
        cells[key].append(measures)
    return {
        key: group[0] if len(group) == 1 else tuple(map(sum, zip(*group, strict=True)))
        for key, group in cells.items()
    }


def _measures(row: CallRow) -> Measures:
    basis, error, cost = row.basis, row.error, row.cost_pico
    if basis == "cached":
        return (0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, row.saved_pico)
    left = error in _LEFT
    unsettled = basis == "unsettled"
    answered = error is None and not unsettled
    return (
        int(basis != "refused"),
        int(answered),
        int(error is not None and not left),
        int(left),
        int(unsettled),
        int(basis == "estimated"),
        int(cost is None),
        0,
        row.input_tokens,
        row.output_tokens,
        row.cache_read,
        int(row.duration_s * 1000) if answered else 0,
        cost or 0,
        (cost or 0) if error is not None else 0,
        0,
    )
