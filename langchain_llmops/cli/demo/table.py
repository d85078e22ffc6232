"""The comparison as a terminal shows it, at 80 columns or more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from langchain_llmops.cli.demo.results import figures
from langchain_llmops.cli.demo.wording import change, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from langchain_llmops.cli.demo.chapter import Chapter
    from langchain_llmops.cli.demo.results import Comparison, Figure

__all__ = ["chapter_table", "comparison_table"]


def comparison_table(comparison: Comparison) -> Table:
    """Return the side-by-side table."""
    return _table(("before", "after"), figures(comparison), _colour)


def chapter_table(chapter: Chapter) -> Table:
    """Return a chapter's figures: more is not worse in all of them, so no colours."""
    return _table(chapter.columns, chapter.figures, lambda _: "dim")


def _table(
    columns: tuple[str, str],
    lines: Iterable[Figure],
    colour: Callable[[Figure], str],
) -> Table:
    before, after = columns
    table = Table(box=None, padding=(0, 2), header_style="bold")
    table.add_column("")
    table.add_column(before, justify="right")
    table.add_column(after, justify="right", style="bold")
    table.add_column("", justify="right")
    for figure in lines:
        table.add_row(
            figure.label,
            shown(figure.before, figure.unit),
            shown(figure.after, figure.unit),
            f"[{colour(figure)}]{change(figure)}",
            end_section=figure.ends,
        )
    return table


def _colour(figure: Figure) -> str:
    if figure.key == "false_hits":
        return "red" if figure.after else "green"
    if not figure.before or figure.after is None or figure.before == figure.after:
        return "dim"
    return "green" if figure.after < figure.before else "yellow"
