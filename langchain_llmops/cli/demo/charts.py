"""Inline SVG charts: text in, text out; colours come from the page's style sheet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["Line", "distribution_chart", "outcome_bars", "running_total_chart"]

_WIDTH, _HEIGHT = 560, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 64, 14, 34
_ROW = 30
_QUICKEST_S = 0.001
_FINE_DECADES = 3
_LEAST = 1e-12
"""Totals below this are drawn as none: a millionth of a millionth of a dollar."""
_BAR_LEFT, _BAR_RIGHT = 118, 44


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart.

    Args:
        name: Its label; also its CSS class.
        values: A running total per question, or observed seconds.
    """

    name: str
    values: Sequence[float]


def running_total_chart(lines: Sequence[Line], *, title: str) -> str:
    """Draw how totals grow from question to question, labelled at their ends."""
    longest = max(len(line.values) for line in lines)
    ticks = _round_ticks(max(max(line.values, default=0.0) for line in lines))
    x = _scale(0, max(longest - 1, 1), _LEFT, _WIDTH - _RIGHT)
    y = _scale(0, ticks[-1], _HEIGHT - _BOTTOM, _TOP)
    drawn = [_y_axis(ticks, y, lambda value: f"${value:g}")]
    drawn += [
        _text(x(place - 1), _HEIGHT - 12, f"{place:,}", "tick middle")
        for place in sorted({1, longest // 2, longest} - {0})
    ]
    drawn += [
        _path(line.name, [(x(n), y(value)) for n, value in enumerate(line.values)])
        for line in lines
    ]
    drawn += _end_labels(
        [
            (line.name, f"{line.name} ${line.values[-1]:.4f}", y(line.values[-1]))
            for line in lines
            if line.values
        ]
    )
    drawn += [_hover(n, lines, x) for n in range(longest)]
    return _svg(drawn, _HEIGHT, title)


def distribution_chart(lines: Sequence[Line], *, title: str) -> str:
    """Draw which share of the answers came within how many seconds, on a log axis."""
    # A log axis has no zero: what is quicker than the first tick is drawn there.
    observed = [max(value, _QUICKEST_S) for line in lines for value in line.values]
    ticks = _log_ticks(min(observed, default=0.1), max(observed, default=1.0))
    log_x = _scale(math.log10(ticks[0]), math.log10(ticks[-1]), _LEFT, _WIDTH - _RIGHT)

    def x(value: float) -> float:
        return log_x(math.log10(max(value, ticks[0])))

    y = _scale(0, 1, _HEIGHT - _BOTTOM, _TOP)
    drawn = [_y_axis([0, 0.25, 0.5, 0.75, 1], y, lambda share: f"{share:.0%}")]
    for tick in ticks:
        drawn.append(_rule(x(tick), _TOP, x(tick), _HEIGHT - _BOTTOM))
        drawn.append(_text(x(tick), _HEIGHT - 12, f"{tick:g} s", "tick middle"))
    for line in lines:
        ordered = sorted(line.values)
        steps: list[tuple[float, float]] = [(x(ticks[0]), y(0))]
        for place, value in enumerate(ordered, start=1):
            steps += [(x(value), steps[-1][1]), (x(value), y(place / len(ordered)))]
        drawn.append(_path(line.name, steps))
    legend = " · ".join(line.name for line in lines)
    return _svg(drawn, _HEIGHT, f"{title}: {legend}")


def outcome_bars(rows: Mapping[str, Mapping[str, int]], *, title: str) -> str:
    """Draw one bar per kind of question, cut by where the answers came from.

    Args:
        rows: Kind to source to count; a source is also a CSS class.
        title: What the chart shows, for those who cannot see it.
    """
    longest = max((sum(counts.values()) for counts in rows.values()), default=1)
    x = _scale(0, longest, _BAR_LEFT, _WIDTH - _BAR_RIGHT)
    drawn = []
    for row, (kind, counts) in enumerate(rows.items()):
        top, done = row * _ROW + 6, 0
        drawn.append(_text(_BAR_LEFT - 8, top + 13, kind.replace("_", " "), "tick end"))
        for source, count in counts.items():
            start, end = x(done), x(done + count)
            done += count
            drawn.append(
                f'<rect class="{escape(source)}" x="{start:.1f}" y="{top}" rx="2" '
                f'width="{max(end - start - 1.5, 1):.1f}" height="18">'
                f"<title>{escape(kind)}: {count} {escape(source)}</title></rect>"
            )
        drawn.append(_text(x(done) + 6, top + 13, str(done), "tick"))
    return _svg(drawn, len(rows) * _ROW + 6, title)


def _scale(
    low: float, high: float, start: float, end: float
) -> Callable[[float], float]:
    return lambda value: start + (value - low) / ((high - low) or 1) * (end - start)


def _round_ticks(highest: float) -> list[float]:
    """Return four or five round numbers from 0 to at least the highest value."""
    if highest < _LEAST:
        return [0.0, 1.0]
    rough = highest / 4
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * one for one in (1, 2, 2.5, 5, 10) if power * one >= rough)
    return [step * n for n in range(math.ceil(highest / step - 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """Return ticks from at most `low` to more: 1, 2, 5, 10, ... or powers of ten."""
    # A little wider than the numbers, so that rounding leaves none outside.
    first = math.floor(math.log10(low * 0.999))
    last = math.ceil(math.log10(high * 1.001))
    steps = (1.0, 2.0, 5.0) if last - first <= _FINE_DECADES else (1.0,)
    ticks = [step * 10.0**power for power in range(first, last + 1) for step in steps]
    start = max(place for place, tick in enumerate(ticks) if tick <= low)
    end = min(place for place, tick in enumerate(ticks) if tick > high)
    return ticks[start : end + 1]


def _y_axis(
    ticks: Sequence[float],
    y: Callable[[float], float],
    label: Callable[[float], str],
) -> str:
    return "".join(
        _rule(_LEFT, y(tick), _WIDTH - _RIGHT, y(tick))
        + _text(_LEFT - 8, y(tick) + 4, label(tick), "tick end")
        for tick in ticks
    )


def _end_labels(labels: Sequence[tuple[str, str, float]]) -> list[str]:
    """Place labels beside the lines' ends, apart from each other."""
    drawn, last = [], -math.inf
    for name, text, at in sorted(labels, key=lambda one: one[2]):
        last = max(at, last + 16)
        first, _, second = text.partition(" ")
        drawn.append(
            f'<text class="name {escape(name)}" x="{_WIDTH - _RIGHT + 6}" '
            f'y="{last + 4:.1f}">{escape(first)}<title>{escape(second)}</title></text>'
        )
    return drawn


def _hover(place: int, lines: Sequence[Line], x: Callable[[float], float]) -> str:
    told = ", ".join(
        f"{line.name} ${line.values[place]:.4f}"
        for line in lines
        if place < len(line.values)
    )
    return (
        f'<rect class="hover" x="{x(place - 0.5):.1f}" y="{_TOP}" '
        f'width="{x(1) - x(0):.1f}" height="{_HEIGHT - _BOTTOM - _TOP}">'
        f"<title>question {place + 1}: {escape(told)}</title></rect>"
    )


def _path(name: str, points: Sequence[tuple[float, float]]) -> str:
    data = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="line {escape(name)}" points="{data}"/>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
    )


def _text(x: float, y: float, text: str, classes: str) -> str:
    return f'<text class="{classes}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _svg(drawn: Sequence[str], height: float, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(title)}">{"".join(drawn)}</svg>'
    )
