"""What comes after the comparison: one more part of the package, on the same log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from langchain_llmops.cli.demo.run import Arm
from langchain_llmops.cost import CostCallbackHandler

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence
    from pathlib import Path

    from langchain_core.documents import Document

    from langchain_llmops.cli.demo.chains import Chain
    from langchain_llmops.cli.demo.questions import Question
    from langchain_llmops.cli.demo.results import Figure
    from langchain_llmops.cli.demo.settings import Settings
    from langchain_llmops.cli.demo.turns import Turn
    from langchain_llmops.cost import UsageLedger

__all__ = ["Chapter", "Stage", "right_answers", "sample"]

_REFUSED: Final = "The context does not say"
"""How the local provider begins where it finds no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """What one chapter found.

    Args:
        key: Its name in `--json`.
        title: Its name for people.
        columns: What the two numbers of a figure belong to.
        figures: What was measured; empty if it was skipped.
        note: What to make of the figures, or why there are none.
    """

    key: str
    title: str
    columns: tuple[str, str]
    figures: tuple[Figure, ...]
    note: str

    @classmethod
    def left_out(cls, key: str, title: str, why: str) -> Self:
        """Return a chapter without figures, and why there are none."""
        return cls(key=key, title=title, columns=("", ""), figures=(), note=why)

    @property
    def skipped(self) -> bool:
        """Whether nothing was measured."""
        return not self.figures


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What chapters work with.

    Args:
        settings: What the user asked for.
        questions: The log.
        chunks: The pieces of the documents.
        documents: Where the index of the chunks was saved.
        folder: For files of a chapter; it goes away after the run.
        ledger: Keeps what each call cost, as features `demo …`.
        runner: Runs all chains: HTTP clients are shared, and belong to one event loop.
    """

    settings: Settings
    questions: Sequence[Question]
    chunks: Sequence[Document]
    documents: Path
    folder: Path
    ledger: UsageLedger
    runner: asyncio.Runner

    def arm(self, name: str) -> Arm:
        """Return an arm whose calls the ledger keeps.

        Args:
            name: The feature is `demo` and this.
        """
        return Arm(
            name,
            model=self.settings.model,
            callbacks=[CostCallbackHandler(self.ledger)],
        )

    def ask(self, arm: Arm, chain: Chain, questions: Sequence[Question]) -> list[Turn]:
        """Ask all questions, and return what came of these; failures are results."""
        self.runner.run(
            arm.run(
                chain,
                questions,
                concurrency=self.settings.concurrency,
                on_turn=lambda _: None,
            )
        )
        return arm.turns[-len(questions) :]


def _is_right(turn: Turn) -> bool:
    """Whether an answer arrived that was made from a right document."""
    return bool(turn.found) and not turn.answer.startswith(_REFUSED)


def right_answers(turns: Sequence[Turn]) -> int | None:
    """Count the right answers; `None` if no question has a known right document."""
    judged = [turn for turn in turns if turn.question.topics]
    return sum(map(_is_right, judged)) if judged else None


def sample(questions: Sequence[Question], count: int) -> list[Question]:
    """Return questions that need no earlier turn, evenly spread over the log.

    Args:
        questions: The log.
        count: How many, or as many as there are.
    """
    sessions: set[str] = set()
    meanings: set[str] = set()
    pool: list[Question] = []
    for one in questions:
        if one.session not in sessions and one.meaning not in meanings:
            pool.append(one)
        sessions.add(one.session)
        meanings.add(one.meaning)
    # Where the log names right documents, only questions that have one.
    pool = [one for one in pool if one.topics] or pool
    count = min(count, len(pool))
    return [pool[place * len(pool) // count] for place in range(count)]
