"""What the demo says in a terminal, or into a pipe."""

from __future__ import annotations

import shlex
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from langchain_llmops.cli.demo.table import chapter_table, comparison_table
from langchain_llmops.cli.demo.wording import (
    calibration_note,
    headline,
    repeat_note,
    shadow_note,
    simulation_note,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import Console

    from langchain_llmops.cli.demo.chapter import Chapter
    from langchain_llmops.cli.demo.job import Traffic
    from langchain_llmops.cli.demo.results import Comparison
    from langchain_llmops.cli.demo.turns import Turn

__all__ = ["Screen"]


class Screen:
    """Tells the user what happens: with a bar on a terminal, in lines elsewhere.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._asked: Counter[str] = Counter()
        self._answered: Counter[str] = Counter()

    def opening(self, traffic: Traffic) -> None:
        """Say what is about to be done."""
        self._console.print(
            "[bold]One RAG chain, twice:[/] as a proof of concept, then with a cache."
        )
        self._console.print(
            f"{traffic.source}: {traffic.documents:,} documents in "
            f"{len(traffic.chunks):,} chunks, {len(traffic.questions):,} questions.\n",
            highlight=False,
        )

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Show that something goes on for which there is no count."""
        if not self._console.is_terminal:
            yield
            return
        with self._console.status(what):
            yield

    @contextmanager
    def arm(self, name: str, total: int) -> Iterator[Callable[[Turn], None]]:
        """Show the progress of one arm; yields what is to be told of each turn."""
        self._asked[name] = total
        progress = Progress(
            TextColumn("{task.description:<6}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        with progress:
            bar = progress.add_task(name, total=total)

            def on_turn(turn: Turn) -> None:
                self._answered[name] += turn.error is None
                progress.advance(bar)

            yield on_turn
        if not self._console.is_terminal:
            self._console.print(
                f"{name}: {self._answered[name]} of {total} questions answered",
                highlight=False,
            )

    def closing(
        self, comparison: Comparison, changed: list[str], calibrated: list[str]
    ) -> None:
        """Show what came of it, and the code: at first, and once calibrated."""
        say = self._console.print
        say()
        say(comparison_table(comparison))
        say()
        say(f"[bold]{headline(comparison)}[/]", highlight=False)
        say(repeat_note(comparison), highlight=False)
        if note := simulation_note(comparison):
            say(note, highlight=False)
        if not comparison.settled:
            say("[red]What was counted is not what the provider billed.[/]")
        self._say_false_hits(comparison)
        say(f"\n{shadow_note(comparison.shadow)}", highlight=False)
        style = "yellow" if comparison.shadow.abstains else ""
        say(Text(calibration_note(comparison.shadow), style=style))
        self._say_code("What changed in the chain, all of it:", changed)
        self._say_code("And once there are labelled pairs:", calibrated)
        for chapter in comparison.chapters:
            self._say_chapter(chapter)

    def written(self, report: Path, ledger: Path) -> None:
        """Say where the report is, and how to look into the ledger."""
        say = self._console.print
        say("\nReport:", Text(str(report)), soft_wrap=True)
        say("What each call cost is in a ledger. Ask it:")
        command = "llmops report --by feature --since 7d --ledger"
        say(Text(f"  {command} {shlex.quote(str(ledger))}"), soft_wrap=True)

    def stopped(self) -> None:
        """Say how far an interrupted run got."""
        arms = [
            f"{name}: {self._answered[name]} of {total} questions answered"
            for name, total in self._asked.items()
        ]
        so_far = "; ".join(arms) or "no question was asked yet"
        self._console.print(
            f"Stopped. {so_far}. No report was written.", highlight=False
        )

    def incomplete(self, comparison: Comparison) -> None:
        """Say what is missing, if anything is."""
        if comparison.stopped:
            self._console.print(Text(f"{comparison.stopped}.", style="yellow"))
        failed = [
            turn
            for arm in (comparison.before, comparison.after)
            for turn in arm.turns
            if turn.error
        ]
        if failed:
            self._console.print(
                Text(
                    f"Answers that did not arrive: {len(failed)}. "
                    f"The first: {failed[0].error}",
                    style="red",
                )
            )

    def _say_chapter(self, chapter: Chapter) -> None:
        say = self._console.print
        say(Text(f"\n{chapter.title}", style="bold"))
        if not chapter.skipped:
            say(chapter_table(chapter))
        say(Text(chapter.note))

    def _say_code(self, title: str, lines: list[str]) -> None:
        self._console.print(f"\n{title}")
        for line in lines:
            self._console.print(Text(f"  + {line}", style="green"), soft_wrap=True)

    def _say_false_hits(self, comparison: Comparison) -> None:
        for turn, origin in comparison.hits.false or ():
            self._console.print(
                Text(
                    f"False hit: {turn.question.text!r} was given the answer to "
                    f"{origin.text!r}",
                    style="red",
                )
            )
