"""The chapters after the comparison, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops.cli.demo.chapter import Chapter
from langchain_llmops.cli.demo.knowledge_chapter import knowledge_chapter
from langchain_llmops.cli.demo.memory_chapter import memory_chapter
from langchain_llmops.cli.demo.routing_chapter import routing_chapter
from langchain_llmops.errors import LLMOpsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_llmops.cli.demo.chapter import Stage

__all__ = ["run_chapters"]

_CHAPTERS = (
    ("routing", "Routing", routing_chapter),
    ("memory", "Memory", memory_chapter),
    ("knowledge", "Knowledge base", knowledge_chapter),
)


def run_chapters(stage: Stage) -> tuple[Chapter, ...]:
    """Run all chapters, or none where each call may cost money.

    A chapter that fails says so: the comparison before it was paid for in time, too.

    Args:
        stage: What to work with.
    """
    return tuple(_run(stage, *each) for each in _CHAPTERS)


def _run(
    stage: Stage, key: str, title: str, chapter: Callable[[Stage], Chapter]
) -> Chapter:
    if not stage.settings.local:
        why = "Skipped: its calls may cost more. The local provider shows it for free."
        return Chapter.left_out(key, title, why)
    try:
        return chapter(stage)
    except LLMOpsError as error:
        return Chapter.left_out(key, title, f"Did not come to its end: {error}")
