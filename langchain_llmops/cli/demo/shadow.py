"""What shadow mode showed, and what its labelled pairs prove."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.caching import Calibration, ShadowHit
    from langchain_llmops.cli.demo.chains import LabelledPair
    from langchain_llmops.cli.demo.questions import Question

__all__ = ["ShadowReport", "label", "report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowReport:
    """A semantic cache that served exact hits only, and looked what else it could.

    Args:
        asked: Questions asked in shadow mode.
        near: Questions for which a near one was found, and the answers compared.
        would_serve: How many of these would have been given the other's answer.
        right: For how many of those that would have been right, by their labels.
        agreed: For how many of those the two answers say the same.
        labelled: Whether the labels are the log's own; else a pair is labelled by
            whether its answers say the same.
        calibration: What the labelled pairs prove; `None` if there was no pair.
    """

    asked: int
    near: int
    would_serve: int
    right: int
    agreed: int
    labelled: bool
    calibration: Calibration | None

    @property
    def abstains(self) -> bool:
        """Whether nothing but exact hits was served after it, too."""
        return self.calibration is None or self.calibration.abstains


def label(
    hits: Sequence[ShadowHit], questions: Sequence[Question]
) -> list[LabelledPair]:
    """Return the pairs that shadow mode found, with the label of each.

    Args:
        hits: What it found.
        questions: The log. Its rows say which questions mean the same; if none does,
            a pair is labelled by whether its answers say the same.
    """
    if not _labelled(questions):
        return [(hit.question, hit.stored, hit.agreed) for hit in hits]
    meanings: dict[str, set[str]] = {}
    for question in questions:
        meanings.setdefault(_plain(question.text), set()).add(question.meaning)

    def same(hit: ShadowHit) -> bool:
        one, other = (
            meanings.get(_plain(text), set()) for text in (hit.question, hit.stored)
        )
        return not one.isdisjoint(other)

    return [(hit.question, hit.stored, same(hit)) for hit in hits]


def report(
    hits: Sequence[ShadowHit],
    questions: Sequence[Question],
    *,
    calibration: Calibration | None,
) -> ShadowReport:
    """Return what shadow mode showed.

    Args:
        hits: What it found.
        questions: What was asked in shadow mode.
        calibration: What the labelled pairs prove.
    """
    pairs = zip(hits, label(hits, questions), strict=True)
    served = [(hit, same) for hit, (_, _, same) in pairs if hit.accepted]
    return ShadowReport(
        asked=len(questions),
        near=len(hits),
        would_serve=len(served),
        right=sum(same for _, same in served),
        agreed=sum(hit.agreed for hit, _ in served),
        labelled=_labelled(questions),
        calibration=calibration,
    )


def _labelled(questions: Sequence[Question]) -> bool:
    return any(question.of for question in questions)


def _plain(text: str) -> str:
    return " ".join(text.split())
