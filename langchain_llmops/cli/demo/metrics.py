"""The demo's figures: pure functions of what was observed."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_llmops.cli.demo.questions import Question
    from langchain_llmops.cli.demo.turns import Source, Turn

__all__ = [
    "Hits",
    "Repeats",
    "by_kind",
    "judge_hits",
    "percentile",
    "repeats",
    "retrieval_accuracy",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """How much of a log was asked before.

    Args:
        share: Share of the rows whose meaning an earlier row has.
        same_words: Share of the rows that an earlier row says in the same words.
    """

    share: float
    same_words: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """Answers out of the cache.

    Args:
        exact: How many were found by the exact key.
        semantic: How many were found by likeness.
        false: Turns that were given another question's answer, with that question;
            `None` where nothing tells which answers may be shared.
    """

    exact: int
    semantic: int
    false: tuple[tuple[Turn, Question], ...] | None


def percentile(values: Iterable[float], percent: int) -> float | None:
    """Return a percentile, interpolated between neighbours; `None` of no values."""
    ordered = sorted(values)
    if len(ordered) < 2:  # noqa: PLR2004 - interpolation needs two
        return ordered[0] if ordered else None
    return statistics.quantiles(ordered, n=100, method="inclusive")[percent - 1]


def repeats(questions: Sequence[Question]) -> Repeats:
    """Return how much of a log was asked before."""
    again = len(questions) - len({question.meaning for question in questions})
    worded = sum(question.said_before for question in questions)
    return Repeats(share=again / len(questions), same_words=worded / len(questions))


def retrieval_accuracy(turns: Iterable[Turn]) -> float | None:
    """Return the share of questions for which a right document was retrieved.

    Questions without a known right document do not count; `None` if none has one.
    """
    verdicts = [turn.found for turn in turns if turn.found is not None]
    return sum(verdicts) / len(verdicts) if verdicts else None


def by_kind(turns: Iterable[Turn]) -> Mapping[str, Mapping[Source, int]]:
    """Return where the answers came from, for each kind of question in log order."""
    counts: dict[str, Counter[Source]] = {}
    for turn in turns:
        counts.setdefault(turn.question.kind, Counter())[turn.source] += 1
    return counts


def judge_hits(turns: Sequence[Turn]) -> Hits:
    """Count the answers out of the cache, and those that were another question's.

    A hit carries no name of the question that was first given its answer; it is found
    by what a cache must keep equal: everything that was sent but the last turn, and
    the answer. A hit is false if it gives an answer to a question that, by the log's
    own labels, does not mean the same; where the log has no `of` labels, if the two
    questions have different topics. A hit on an answer of an earlier run is not judged.

    Args:
        turns: One arm, all questions.
    """
    hits = [turn for turn in turns if turn.source in {"exact", "semantic"}]
    kinds = Counter(turn.source for turn in hits)
    labelled = any(turn.question.of for turn in turns)
    told = labelled or any(turn.question.topics for turn in turns)
    first_given: dict[tuple[object, ...], list[Question]] = {}
    for turn in turns:
        if turn.source == "provider":
            first_given.setdefault(_shared(turn), []).append(turn.question)
    wrong = [
        (turn, origins[0])
        for turn in hits
        if (origins := first_given.get(_shared(turn)))
        and not any(_may_share(turn.question, one, labelled) for one in origins)
    ]
    return Hits(
        exact=kinds["exact"],
        semantic=kinds["semantic"],
        false=tuple(wrong) if told else None,
    )


def _shared(turn: Turn) -> tuple[object, ...]:
    return (turn.prompt[:-1], turn.answer)


def _may_share(asked: Question, given: Question, labelled: bool) -> bool:  # noqa: FBT001 - private
    if asked.meaning == given.meaning:
        return True
    if labelled:
        return False
    # Without labels only topics can tell two questions apart.
    if not asked.topics or not given.topics:
        return True
    return not asked.topics.isdisjoint(given.topics)
