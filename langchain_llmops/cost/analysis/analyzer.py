"""CostAnalyzer: where the money went, what was wasted, what the month will cost."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from langchain_llmops.cost.analysis.figures import Figures
from langchain_llmops.cost.analysis.outlook import Forecast, Trend, month_end, trend
from langchain_llmops.cost.analysis.query import Axis, Selection, snapshot
from langchain_llmops.cost.ledger.rollups import DAY_S, HOUR_S
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal

    from langchain_llmops.cost.ledger import UsageLedger

__all__ = ["CostAnalysis", "CostAnalyzer", "Timeframe"]

Timeframe: TypeAlias = Literal["hourly", "daily", "weekly", "monthly"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostAnalysis:
    """What a ledger says about a window of time.

    Attributes:
        since: Start of the window, in UTC; `None` if it has none.
        until: End of the window; what happened at it is outside.
        timeframe: How long the periods of `series` are.
        by: What `groups` are told apart by.
        total: Everything in the window.
        groups: Figures of each combination of `by`, the dearest first.
        series: Figures of each period that saw a call, by its start in UTC. Weeks start
            on Monday; the first and the last one may be cut by the window.
        trend: How daily spending moves in the window; `None` below three whole days.
        forecast: What the current month will cost, whatever the window is; `None`
            below three whole days of history.
    """

    since: datetime | None
    until: datetime | None
    timeframe: Timeframe
    by: tuple[Axis, ...]
    total: Figures
    groups: dict[tuple[str, ...], Figures]
    series: dict[datetime, Figures]
    trend: Trend | None
    forecast: Forecast | None


class CostAnalyzer:
    """Breaks a ledger down by who, what for and when.

    Reads the sums that the ledger keeps, not its rows: some milliseconds, whatever the
    number of calls; with `user` among the dimensions it grows with the number of users
    and days. What this process recorded is written first. Safe across threads and, in
    `aanalyze`, event loops.

    Args:
        ledger: What to read.
        clock: Seconds since the epoch.
    """

    def __init__(
        self, ledger: UsageLedger, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._ledger = ledger
        self._clock = clock

    def analyze(
        self,
        timeframe: Timeframe = "daily",
        by: Sequence[Axis] = ("feature", "user", "model"),
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        where: Mapping[Axis, str] | None = None,
    ) -> CostAnalysis:
        """Return what a window of time cost. Blocks.

        Args:
            timeframe: Length of the periods of `series`.
            by: What to tell apart in `groups`.
            since: Start of the window; without a zone it is UTC. The window is widened
                to whole hours if the timeframe is `hourly`, else to whole days in UTC.
            until: End of the window, treated alike.
            where: Only calls of this tenant, feature and so on.

        Raises:
            ConfigurationError: A name is unknown, the window ends before it starts, or
                users are asked for by the hour: their sums are kept by the day.
            StorageError: The ledger cannot be read.

        Example:
            ```python
            from datetime import UTC, datetime
            from langchain_llmops import CostAnalyzer, UsageLedger

            with UsageLedger("sqlite:///llmops.db") as ledger:
                analysis = CostAnalyzer(ledger).analyze(
                    "weekly", by=("tenant",), since=datetime(2026, 11, 1, tzinfo=UTC)
                )
            for (tenant,), figures in analysis.groups.items():
                print(tenant, figures.usd, figures.wasted_usd)
            ```
        """
        where = where or {}
        _check(timeframe, by, where)
        step = HOUR_S if timeframe == "hourly" else DAY_S
        start, end = _aligned(since, step), _aligned(until, step, up=True)
        if start is not None and end is not None and start > end:
            raise ConfigurationError(
                f"since={since!r} is after until={until!r}: swap them"
            )
        chosen = Selection(
            where=where,
            since=start,
            until=end,
            hourly=step == HOUR_S,
            with_users="user" in {*by, *where},
        )
        groups, periods, spent = self._read(chosen, by, where)
        now = _moment(self._clock())
        return CostAnalysis(
            since=None if start is None else _moment(start),
            until=None if end is None else _moment(end),
            timeframe=timeframe,
            by=tuple(by),
            total=Figures.total(periods.values()),
            groups=groups,
            series=_series(periods, timeframe),
            trend=trend(_within(spent, start, end), _last_day(now, end)),
            forecast=month_end(spent, now),
        )

    async def aanalyze(
        self,
        timeframe: Timeframe = "daily",
        by: Sequence[Axis] = ("feature", "user", "model"),
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        where: Mapping[Axis, str] | None = None,
    ) -> CostAnalysis:
        """Return what `analyze` returns, from a thread."""
        return await asyncio.to_thread(
            self.analyze, timeframe, by, since=since, until=until, where=where
        )

    def _read(
        self, chosen: Selection, by: Sequence[Axis], where: Mapping[Axis, str]
    ) -> tuple[dict[tuple[str, ...], Figures], dict[int, Figures], dict[date, Decimal]]:
        """Return the window's groups and periods, and what each day ever cost."""
        ever = Selection(
            where=where,
            since=None,
            until=None,
            hourly=False,
            with_users="user" in where,
        )
        self._ledger.flush()
        with snapshot(self._ledger.engine()) as connection:
            groups = dict(chosen.groups(connection, by)) if by else {}
            periods = dict(chosen.periods(connection))
            days = dict(ever.periods(connection))
        figures = {key: Figures.from_measures(sums) for key, sums in groups.items()}
        return (
            dict(sorted(figures.items(), key=lambda pair: -pair[1].usd)),
            {key: Figures.from_measures(sums) for key, sums in periods.items()},
            {
                _moment(key).date(): Figures.from_measures(sums).usd
                for key, sums in days.items()
            },
        )


def _check(timeframe: Timeframe, by: Sequence[Axis], where: Mapping[Axis, str]) -> None:
    if timeframe not in get_args(Timeframe):
        raise ConfigurationError(
            f"timeframe={timeframe!r}: choose from {get_args(Timeframe)!r}"
        )
    if isinstance(by, str) or not {*by, *where} <= set(get_args(Axis)):
        raise ConfigurationError(
            f"cannot break down by {by!r} where {dict(where)!r}: choose from "
            f"{get_args(Axis)!r}, as in by=('feature',)"
        )
    if timeframe == "hourly" and "user" in {*by, *where}:
        raise ConfigurationError(
            "users are summed up by the day: use timeframe='daily', or leave 'user' out"
        )


def _aligned(moment: datetime | None, step: int, *, up: bool = False) -> int | None:
    if moment is None:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = aware.timestamp()
    return int(-(-seconds // step) if up else seconds // step) * step


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _series(
    figures: Mapping[int, Figures], timeframe: Timeframe
) -> dict[datetime, Figures]:
    parts: dict[datetime, list[Figures]] = defaultdict(list)
    for start, each in figures.items():
        parts[_period(_moment(start), timeframe)].append(each)
    return {start: Figures.total(group) for start, group in parts.items()}


def _period(moment: datetime, timeframe: Timeframe) -> datetime:
    if timeframe == "weekly":
        return moment - timedelta(days=moment.weekday())
    return moment.replace(day=1) if timeframe == "monthly" else moment


def _within(
    spent: Mapping[date, Decimal], start: int | None, end: int | None
) -> dict[date, Decimal]:
    first = None if start is None else _moment(start).date()
    last = None if end is None else _moment(end - 1).date()
    return {
        day: usd
        for day, usd in spent.items()
        if (first is None or day >= first) and (last is None or day <= last)
    }


def _last_day(now: datetime, end: int | None) -> date:
    """Return the day after the last whole one of the window."""
    return now.date() if end is None else min(now, _moment(end)).date()
