"""Where spending goes: its trend, and what the month will have cost. Pure.

One day that went wrong moves neither much.
"""

from __future__ import annotations

import math
from calendar import monthrange
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import combinations
from statistics import fmean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Forecast", "Trend", "month_end", "trend"]

_DAY = timedelta(days=1)
_HISTORY_DAYS = 28
_LEAST_DAYS = 3
_WEEKDAYS_FROM = 14
_TREND_DAYS = 90
# Days further from the median than so many median deviations are cut to that.
_FAR = 7.5
# Student's t for some twenty days: leaves a tenth outside on both sides together.
_QUANTILE = 1.73


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """How daily spending moves.

    Attributes:
        days: Whole days that it was read from.
        usd_per_day: What a day costs: the median.
        change_per_day: By how much that changes from one day to the next: the median
            of all pairs' slopes (Theil and Sen).
    """

    days: int
    usd_per_day: Decimal
    change_per_day: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the current month will have cost when it ends, in UTC.

    Attributes:
        month_ends: The month's last day.
        spent: What was spent so far this month.
        expected: What the whole month should cost.
        low: What it should cost at least.
        high: What it should cost at most. If the days to come are like those of the
            last four weeks, the month ends between the two about nine times in ten;
            three in four where a day is often twice as dear as another.
    """

    month_ends: date
    spent: Decimal
    expected: Decimal
    low: Decimal
    high: Decimal


def trend(days: Mapping[date, Decimal], today: date) -> Trend | None:
    """Return the trend of daily spending before today; `None` below three days.

    Args:
        days: What was spent on each day; a day that is missing after the first cost
            nothing.
        today: The day that is not over.
    """
    whole = _whole_days(days, today, _TREND_DAYS)
    if len(whole) < _LEAST_DAYS:
        return None
    spent = list(whole.values())
    slopes = [(b - a) / (j - i) for (i, a), (j, b) in combinations(enumerate(spent), 2)]
    return Trend(
        days=len(spent),
        usd_per_day=_rounded(median(spent)),
        change_per_day=_rounded(median(slopes)),
    )


def month_end(days: Mapping[date, Decimal], now: datetime) -> Forecast | None:
    """Forecast the month's cost; `None` below three whole days of history.

    Each day to come is expected to cost the mean of the same weekday within the last
    four weeks, once there are two weeks; until then the mean of all days. Days that are
    far out (7.5 median deviations from their median) are cut to that before. The
    interval is as wide as the unevenness of those days makes the sum of the days to
    come. A trend is not continued.

    Args:
        days: What was spent on each day, today's part included; a day that is missing
            after the first cost nothing.
        now: The present, in UTC.
    """
    today = now.date()
    history = _whole_days(days, today, _HISTORY_DAYS)
    if len(history) < _LEAST_DAYS:
        return None
    last = today.replace(day=monthrange(today.year, today.month)[1])
    begun = now - datetime.combine(today, datetime.min.time(), now.tzinfo)
    coming = {today: 1 - begun / _DAY}
    for ahead in range(1, (last - today).days + 1):
        coming[today + _DAY * ahead] = 1.0
    rest, margin = _outlook(history, coming)
    spent = sum(
        (usd for day, usd in days.items() if today.replace(day=1) <= day <= today),
        start=Decimal(0),
    )
    return Forecast(
        month_ends=last,
        spent=spent,
        expected=spent + _rounded(rest),
        low=spent + max(Decimal(0), _rounded(rest - margin)),
        high=spent + _rounded(rest + margin),
    )


def _whole_days(
    days: Mapping[date, Decimal], today: date, most: int
) -> dict[date, float]:
    """Return each day's cost from the first one known to yesterday, in order."""
    first = max(min(days, default=today), today - _DAY * most)
    length = max(0, (today - first).days)
    each = (first + _DAY * number for number in range(length))
    return {day: float(days.get(day, 0)) for day in each}


def _outlook(
    history: Mapping[date, float], coming: Mapping[date, float]
) -> tuple[float, float]:
    """Return what days to come should cost, and by how much that may be off.

    Args:
        history: Whole days and what they cost.
        coming: Days and the part of each that is to come.
    """
    by_weekday = len(history) >= _WEEKDAYS_FROM
    groups: dict[int, list[float]] = defaultdict(list)
    for day, spent in history.items():
        groups[day.weekday() * by_weekday].append(spent)
    medians = {key: median(group) for key, group in groups.items()}
    far = _FAR * median(
        abs(spent - medians[key]) for key, group in groups.items() for spent in group
    )
    cut = {
        key: [
            min(max(spent, medians[key] - far), medians[key] + far) for spent in group
        ]
        for key, group in groups.items()
    }
    means = {key: fmean(group) for key, group in cut.items()}
    squares = sum(
        (spent - means[key]) ** 2 for key, group in cut.items() for spent in group
    )
    variance = squares / (len(history) - len(groups))
    parts: dict[int, float] = defaultdict(float)
    for day, part in coming.items():
        parts[day.weekday() * by_weekday] += part
    # The days' own unevenness, and that of the means that they are expected by.
    spread = sum(part + part**2 / len(groups[key]) for key, part in parts.items())
    rest = sum(means[key] * part for key, part in parts.items())
    return rest, _QUANTILE * math.sqrt(variance * spread)


def _rounded(usd: float) -> Decimal:
    return Decimal(f"{usd:.6f}")
