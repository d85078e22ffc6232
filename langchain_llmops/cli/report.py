"""`llmops report`: what a ledger says, as a table, CSV or JSON."""

from __future__ import annotations

import csv
import json
import re
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_llmops.cost import CostAnalysis, Figures

__all__ = ["Format", "moment", "rows", "run_report"]

Format: TypeAlias = Literal["table", "csv", "json"]

_SPAN = re.compile(r"(\d{1,5})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}
_MOST_ROWS = 40
_SMALL_USD = Decimal("0.01")


def run_report(
    *,
    ledger: str,
    by: str,
    since: str | None,
    until: str | None,
    timeframe: str,
    format_: str,
    now: datetime | None = None,
) -> int:
    """Print what a ledger says about a window of time.

    Args:
        ledger: Path of a SQLite file, or a database URL. It is read, never made.
        by: What to tell apart: names with commas between them.
        since: `7d`, `24h`, `2w`, or a date or time in ISO 8601 (UTC if it has no zone).
        until: The same.
        timeframe: Length of the periods in JSON.
        format_: `table`, `csv` or `json`.
        now: The present; by default that of the machine's clock.

    Returns:
        0.

    Raises:
        ConfigurationError: There is no such ledger, or an option is wrong.
        StorageError: The ledger cannot be read.
    """
    if format_ not in get_args(Format):
        raise ConfigurationError(
            f"--format {format_!r}: choose from {', '.join(get_args(Format))}"
        )
    present = now or datetime.now(UTC)
    window = {
        "since": since and moment(since, present),
        "until": until and moment(until, present),
    }
    axes: Any = tuple(filter(None, (name.strip() for name in by.split(","))))
    _check_there(ledger)
    # A tenth of a second of imports: bad options are told before.
    from langchain_llmops.cost import CostAnalyzer, UsageLedger  # noqa: PLC0415

    with UsageLedger(ledger, create=False) as opened:
        opened.recover()
        analyzer = CostAnalyzer(opened, clock=present.timestamp)
        analysis = analyzer.analyze(timeframe, axes, **window)  # type: ignore[arg-type] # checked there
    if format_ == "json":
        sys.stdout.write(json.dumps(_as_json(analysis), indent=2) + "\n")
    elif format_ == "csv":
        csv.writer(sys.stdout, lineterminator="\n").writerows(rows(analysis))
    else:
        _print_table(analysis)
    return 0


def moment(text: str, now: datetime) -> datetime:
    """Return the moment that an option names.

    Raises:
        ConfigurationError: It names none.
    """
    if found := _SPAN.fullmatch(text.strip()):
        return now - timedelta(hours=int(found[1]) * _HOURS[found[2]])
    try:
        parsed = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is no time: give 7d, 24h, 2w or a date such as 2026-11-01"
        ) from error
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def rows(analysis: CostAnalysis) -> Iterator[list[object]]:
    """Yield the header and a line for each group, amounts exact."""
    names = _figure_names()
    yield [*analysis.by, *names]
    for key, figures in analysis.groups.items() or [((), analysis.total)]:
        yield [*key, *_plain(figures).values()]


def _check_there(ledger: str) -> None:
    path = ledger.removeprefix("sqlite:///")
    if "://" not in path and not Path(path).expanduser().is_file():
        raise ConfigurationError(
            f"there is no ledger {path!r}: give the file or URL that UsageLedger "
            "writes to with --ledger"
        )


def _figure_names() -> list[str]:
    from langchain_llmops.cost import Figures  # noqa: PLC0415 - as above

    return list(Figures.__dataclass_fields__)


def _plain(figures: Figures) -> dict[str, int | str]:
    values = {name: getattr(figures, name) for name in _figure_names()}
    return {
        name: f"{value:f}" if isinstance(value, Decimal) else value
        for name, value in values.items()
    }


def _as_json(analysis: CostAnalysis) -> dict[str, object]:
    return {
        "since": analysis.since and analysis.since.isoformat(),
        "until": analysis.until and analysis.until.isoformat(),
        "timeframe": analysis.timeframe,
        "total": _plain(analysis.total),
        "groups": [
            {**dict(zip(analysis.by, key, strict=True)), **_plain(figures)}
            for key, figures in analysis.groups.items()
        ],
        "series": [
            {"start": start.isoformat(), **_plain(figures)}
            for start, figures in analysis.series.items()
        ],
        "trend": _fields(analysis.trend),
        "forecast": _fields(analysis.forecast),
    }


def _fields(value: object) -> dict[str, object] | None:
    if value is None:
        return None
    names: Sequence[str] = value.__dataclass_fields__  # type: ignore[attr-defined] # Trend, Forecast
    found = {name: getattr(value, name) for name in names}
    return {k: v if isinstance(v, int) else f"{v}" for k, v in found.items()}


def _print_table(analysis: CostAnalysis) -> None:
    from rich import box  # noqa: PLC0415 - not needed for the other formats
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    console = Console(highlight=False)
    groups = list(analysis.groups.items())
    total = _cells(analysis.total)
    shown = [(key, _cells(figures)) for key, figures in groups[:_MOST_ROWS]]
    table = Table(
        box=box.SIMPLE_HEAD, show_footer=bool(analysis.by), padding=(0, 1, 0, 0)
    )
    widths = {
        title: max(
            len(title), *(len(cells[title]) for _, cells in [*shown, ((), total)])
        )
        for title in total
    }
    # Names give way to figures, which are never cut.
    left = console.width - sum(widths.values()) - 2 * (len(widths) + len(analysis.by))
    for number, axis in enumerate(analysis.by):
        table.add_column(
            axis,
            "" if number else "total",
            no_wrap=True,
            max_width=max(6, left // len(analysis.by)),
        )
    for title, footer in total.items():
        table.add_column(title, footer, justify="right", min_width=widths[title])
    for key, cells in shown:
        table.add_row(*key, *cells.values())
    if not analysis.by:
        table.add_row(*total.values())
    console.print(f"Costs {_window(analysis)}", style="bold")
    console.print(table)
    if len(groups) > _MOST_ROWS:
        console.print(f"{len(groups) - _MOST_ROWS:,} more: --format csv shows them all")
    for line in _remarks(analysis):
        console.print(line)


def _cells(figures: Figures) -> dict[str, str]:
    return {
        "calls": _count(figures.calls),
        "in": _count(figures.input_tokens),
        "out": _count(figures.output_tokens),
        "USD": _usd(figures.usd),
        "/answer": _price(figures.usd_per_answer),
        "wasted": _usd(figures.wasted_usd),
        "saved": _usd(figures.saved_usd),
    }


def _window(analysis: CostAnalysis) -> str:
    ends = [
        None if end is None else f"{end:%Y-%m-%d %H:%M}".removesuffix(" 00:00")
        for end in (analysis.since, analysis.until)
    ]
    if ends == [None, None]:
        return "since the ledger began (UTC)"
    return (
        " ".join(
            f"{word} {end}"
            for word, end in zip(("from", "until"), ends, strict=True)
            if end is not None
        )
        + " (UTC)"
    )


def _remarks(analysis: CostAnalysis) -> Iterator[str]:
    total = analysis.total
    doubts = {
        "estimated": total.estimated,
        "unpriced": total.unpriced,
        "unsettled": total.unsettled,
    }
    if any(doubts.values()):
        told = ", ".join(f"{count:,} {name}" for name, count in doubts.items() if count)
        yield f"Not exact: {told}"
    if total.cache_hits:
        yield (
            f"Caches gave {total.cache_hits:,} answers ({total.hit_rate:.0%}) "
            f"and saved {_usd(total.saved_usd)} USD"
        )
    if total.failed or total.aborted:
        yield f"Without an answer: {total.failed:,} failed, {total.aborted:,} aborted"
    if (trend := analysis.trend) is not None:
        yield (
            f"A day costs {_usd(trend.usd_per_day)} USD (median of {trend.days}), "
            f"changing by {trend.change_per_day:+.2f} a day"
        )
    if (forecast := analysis.forecast) is not None:
        yield (
            f"By {forecast.month_ends} the month will cost {_usd(forecast.expected)} "
            f"USD ({_usd(forecast.low)} to {_usd(forecast.high)})"
        )


def _count(number: int) -> str:
    for least, unit, letter in (
        (10**9, 10**9, "G"),
        (10**6, 10**6, "M"),
        (10**4, 10**3, "k"),
    ):
        if number >= least:
            return f"{number / unit:.1f}{letter}"
    return f"{number:,}"


def _price(usd: Decimal | None) -> str:
    return "-" if usd is None else f"{usd:.5f}"


def _usd(usd: Decimal) -> str:
    return f"{usd:,.2f}" if usd >= _SMALL_USD or not usd else f"{usd:.1g}"
