"""The comparison as one self-contained HTML page: nothing is loaded from elsewhere."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from langchain_llmops.cli.demo.charts import (
    Line,
    distribution_chart,
    outcome_bars,
    running_total_chart,
)
from langchain_llmops.cli.demo.metrics import by_kind
from langchain_llmops.cli.demo.question_table import question_table
from langchain_llmops.cli.demo.results import figures
from langchain_llmops.cli.demo.wording import (
    calibration_note,
    change,
    headline,
    repeat_note,
    shadow_note,
    shown,
    simulation_note,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_llmops.cli.demo.chapter import Chapter
    from langchain_llmops.cli.demo.results import ArmResult, Comparison, Figure
    from langchain_llmops.cli.demo.shadow import ShadowReport
    from langchain_llmops.cli.demo.turns import Source

__all__ = ["page"]

_TILES = {
    "calls": "Calls that reached the model",
    "usd": "Bill",
    "ttft_cached_p50_s": "First text of a cached answer, median",
    "false_hits": "False cache hits",
}
_SOURCES: dict[Source, str] = {
    "provider": "model",
    "exact": "cache, exact",
    "semantic": "cache, semantic",
    "failed": "did not arrive",
}


def page(
    comparison: Comparison, changed: Sequence[str], calibrated: Sequence[str]
) -> str:
    """Return the report.

    Args:
        comparison: What was found.
        changed: The lines of code that shadow mode adds to the proof of concept.
        calibrated: The lines that change once there are labelled pairs.
    """
    data = files("langchain_llmops.cli").joinpath("data")
    style, script = (
        data.joinpath(name).read_text(encoding="utf-8")
        for name in ("report.css", "report.js")
    )
    body = "\n".join(
        (
            _opening(comparison),
            _tiles(figures(comparison)),
            _charts(comparison),
            f"<h2>Figures</h2>{_table(('before', 'after'), figures(comparison))}",
            _shadow(comparison.shadow),
            _code("What changed in the chain, all of it", changed),
            _code("And once there are labelled pairs", calibrated),
            *map(_chapter, comparison.chapters),
            question_table(
                comparison.questions, comparison.after.turns, comparison.hits
            ),
        )
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<title>llmops demo</title>\n"
        f"<style>\n{style}</style>\n</head>\n<body>\n{body}\n"
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )


def _opening(comparison: Comparison) -> str:
    notes = [repeat_note(comparison), simulation_note(comparison), comparison.stopped]
    told = "".join(f"<p>{escape(note)}</p>" for note in notes if note)
    return (
        f"<h1>One RAG chain, twice: {escape(headline(comparison))}</h1>"
        f'<p class="muted">{escape(comparison.source)}: {comparison.documents:,} '
        f"documents in {comparison.chunks:,} chunks, {len(comparison.questions):,} "
        f"questions. Answered by {escape(comparison.provider)}.</p>{told}"
    )


def _tiles(lines: Sequence[Figure]) -> str:
    known = {figure.key: figure for figure in lines}
    tiles = []
    for key, name in _TILES.items():
        figure = known[key]
        was = f"was {shown(figure.before, figure.unit)} {change(figure)}"
        bad = ""
        if key == "ttft_cached_p50_s":
            uncached = known["ttft_p50_s"]
            was = f"of any answer, before: {shown(uncached.before, uncached.unit)}"
        elif key == "false_hits":
            was = "answers that belong to another question"
            bad = " no" if figure.after else ""
        tiles.append(
            f'<div class="tile"><div class="name">{escape(name)}</div>'
            f'<div class="now{bad}">{shown(figure.after, figure.unit)}</div>'
            f'<div class="was">{was}</div></div>'
        )
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _charts(comparison: Comparison) -> str:
    arms = (comparison.before, comparison.after)
    pair = _legend({"before": "before", "after": "after"})
    kinds = by_kind(comparison.after.turns)
    sources = {
        source: name
        for source, name in _SOURCES.items()
        if any(counts.get(source) for counts in kinds.values())
    }
    drawn = [
        (
            "What the log cost so far",
            f"USD, question by question {pair}",
            running_total_chart([_bill(arm) for arm in arms], title="Running bill"),
        ),
        (
            "Where the answers came from",
            f"after, by kind of question {_legend(sources)}",
            outcome_bars(
                {
                    kind: {one: counts[one] for one in sources if counts.get(one)}
                    for kind, counts in kinds.items()
                },
                title="Answers by kind of question and source",
            ),
        ),
        (
            "How long until the first text",
            f"share of the answers within so many seconds {pair}",
            distribution_chart(
                [_times(arm, "ttft_s") for arm in arms], title="Seconds to first text"
            ),
        ),
        (
            "How long until the whole answer",
            f"share of the answers within so many seconds {pair}",
            distribution_chart(
                [_times(arm, "latency_s") for arm in arms],
                title="Seconds to whole answer",
            ),
        ),
    ]
    if comparison.before.counted.usd is None:
        del drawn[0]  # nobody knows what it cost
    figures_ = "".join(
        f"<figure><h3>{title}</h3><figcaption>{caption}</figcaption>{svg}</figure>"
        for title, caption, svg in drawn
    )
    return f'<h2>Charts</h2><div class="charts">{figures_}</div>'


def _bill(arm: ArmResult) -> Line:
    spent = accumulate(float(turn.usd or 0) for turn in arm.turns)
    return Line(name=arm.name, values=list(spent))


def _times(arm: ArmResult, attribute: str) -> Line:
    seen = (getattr(turn, attribute) for turn in arm.turns if turn.error is None)
    return Line(name=arm.name, values=[value for value in seen if value is not None])


def _legend(names: Mapping[Any, str]) -> str:
    return "".join(
        f'<span class="entry"><span class="key {escape(key)}"></span>'
        f"{escape(name)}</span> "
        for key, name in names.items()
    )


def _table(columns: tuple[str, str], lines: Iterable[Figure]) -> str:
    before, after = map(escape, columns)
    rows = "".join(
        f"<tr class={'ends' if one.ends else 'goes-on'}>"
        f"<td>{escape(one.label)}</td><td>{shown(one.before, one.unit)}</td>"
        f"<td>{shown(one.after, one.unit)}</td><td>{change(one)}</td></tr>"
        for one in lines
    )
    return (
        f'<table class="figures"><thead><tr><th></th><th>{before}</th>'
        f"<th>{after}</th><th>change</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _chapter(chapter: Chapter) -> str:
    found = "" if chapter.skipped else _table(chapter.columns, chapter.figures)
    return f"<h2>{escape(chapter.title)}</h2><p>{escape(chapter.note)}</p>{found}"


def _shadow(shadow: ShadowReport) -> str:
    notes = (shadow_note(shadow), calibration_note(shadow))
    told = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return f"<h2>Shadow mode first</h2>{told}"


def _code(title: str, added: Sequence[str]) -> str:
    lines = "\n".join(f'<span class="plus">+ {escape(line)}</span>' for line in added)
    return f"<h2>{escape(title)}</h2><pre>{lines}</pre>"
