"""`llmops demo`: from options to an exit code."""

from __future__ import annotations

import errno
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from langchain_llmops.caching import SQLiteTier
from langchain_llmops.cli.demo.chains import calibrated_lines, changed_lines
from langchain_llmops.cli.demo.job import load_traffic, run_job
from langchain_llmops.cli.demo.report import page
from langchain_llmops.cli.demo.results import figures
from langchain_llmops.cli.demo.screen import Screen
from langchain_llmops.cost import UsageLedger

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_llmops.cli.demo.chapter import Chapter
    from langchain_llmops.cli.demo.results import Comparison, Figure
    from langchain_llmops.cli.demo.settings import Settings
    from langchain_llmops.cli.demo.shadow import ShadowReport

__all__ = ["run_demo"]

_INCOMPLETE, _INTERRUPTED = 1, 130


def run_demo(settings: Settings, *, as_json: bool) -> int:
    """Run the demo, print the comparison and write the report.

    Args:
        settings: What the user asked for.
        as_json: Print figures as JSON; everything else goes to stderr.

    Returns:
        0 if every answer arrived, 1 if not, 130 after Ctrl-C.

    Raises:
        LLMOpsError: Bad input, or a file cannot be used; nothing was run.
        OSError: The report cannot be written; the comparison was printed.
    """
    screen = Screen(Console(stderr=as_json))
    try:
        traffic = load_traffic(settings)
        target = settings.report or Path("reports") / time.strftime(
            "demo-%Y%m%d-%H%M%S.html"
        )
        books = settings.ledger or target.with_suffix(".db")
        _check_writable(settings, target)
        books.parent.mkdir(parents=True, exist_ok=True)
        screen.opening(traffic)
        with UsageLedger(books) as ledger:
            ledger.engine()  # its writer would only log that it cannot be used
            comparison = run_job(settings, traffic, screen, ledger)
        changed, calibrated = changed_lines(), calibrated_lines()
        screen.closing(comparison, changed, calibrated)
        if as_json:
            json.dump(_as_json(comparison, target, books), sys.stdout, indent=2)
            sys.stdout.write("\n")
        _write(target, page(comparison, changed, calibrated))
    except KeyboardInterrupt:
        screen.stopped()
        return _INTERRUPTED
    screen.written(target, books)
    screen.incomplete(comparison)
    return 0 if comparison.complete else _INCOMPLETE


def _check_writable(settings: Settings, target: Path) -> None:
    """Find out now, not after a minute of work."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    with tempfile.TemporaryFile(dir=target.parent):
        pass
    if settings.cache is not None:
        SQLiteTier(settings.cache).close()


def _write(target: Path, text: str) -> None:
    """Write a file whole or not at all."""
    fresh = target.with_name(f"{target.name}.part")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _as_json(comparison: Comparison, target: Path, books: Path) -> dict[str, object]:
    false = comparison.hits.false
    return {
        "questions": len(comparison.questions),
        "complete": comparison.complete,
        "stopped": comparison.stopped,
        "counted_equals_invoice": comparison.settled,
        "repeat_share": comparison.repeats.share,
        "same_words_share": comparison.repeats.same_words,
        "figures": _figures(figures(comparison)),
        "false_hits": None
        if false is None
        else [[turn.question.id, origin.id] for turn, origin in false],
        "shadow": _shadow(comparison.shadow),
        "chapters": {one.key: _chapter(one) for one in comparison.chapters},
        "report": str(target),
        "ledger": str(books),
    }


def _chapter(chapter: Chapter) -> dict[str, object]:
    return {
        "title": chapter.title,
        "skipped": chapter.skipped,
        "columns": chapter.columns,
        "figures": _figures(chapter.figures),
        "note": chapter.note,
    }


def _figures(lines: Iterable[Figure]) -> dict[str, object]:
    return {
        one.key: {"before": _number(one.before), "after": _number(one.after)}
        for one in lines
    }


def _shadow(shadow: ShadowReport) -> dict[str, object]:
    told = asdict(shadow)
    return told | {"abstains": shadow.abstains}


def _number(value: object) -> object:
    # A Decimal as text: JSON's numbers would round it.
    return value if value is None or isinstance(value, int | float) else str(value)
