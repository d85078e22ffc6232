"""Where the load is heading: a straight line through the last readings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.scaling.state import LoadSample

__all__ = ["load_ahead"]

MAX_GROWTH = 2.0
"""A line through a sudden burst points at the sky: believe a doubling, no more."""


def load_ahead(samples: Sequence[LoadSample], now: float, ahead_s: float) -> float:
    """Return the load to expect, if it goes on rising as it did; never less than now.

    Args:
        samples: Loads of the last minutes, oldest first.
        now: The load of the latest reading.
        ahead_s: How many seconds to look ahead.

    Returns:
        The load now plus the least-squares slope times `ahead_s`, or times what the
        samples span if that is less: two readings that lie close say little of what
        comes later. From `now` to twice that; a falling trend is not followed, since
        giving capacity back can wait.
    """
    if not samples:
        return now
    mean_at = sum(sample.at_s for sample in samples) / len(samples)
    mean_load = sum(sample.load for sample in samples) / len(samples)
    spread = sum((sample.at_s - mean_at) ** 2 for sample in samples)
    if not spread:
        return now
    slope = (
        sum((one.at_s - mean_at) * (one.load - mean_load) for one in samples) / spread
    )
    reach_s = min(ahead_s, samples[-1].at_s - samples[0].at_s)
    return min(max(now, now + slope * reach_s), MAX_GROWTH * now)
