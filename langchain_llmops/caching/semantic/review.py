"""What came of the hits: labels from feedback, and comparisons in shadow mode."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.outputs import Generation

    from langchain_llmops.caching.semantic.base import Match

__all__ = ["HitReview", "ShadowHit", "answers_agree"]

_REMEMBERED: Final = 5_000
_ANSWER_CHARACTERS: Final = 2_000
_AGREEMENT: Final = 0.8
"""Share of their words that two answers have in common when they say the same."""

_WORD: Final = re.compile(r"\w+(?:[.,]\d+)*")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowHit:
    """A near question that shadow mode did not serve, and what came of it.

    Attributes:
        question: What was asked.
        stored: The question that has an answer.
        similarity: Cosine of the two.
        accepted: Whether it would have been given; near misses are compared too.
        agreed: Whether the answer that the model then gave says the same.
    """

    question: str
    stored: str
    similarity: float
    accepted: bool
    agreed: bool


class HitReview:
    """Remember the latest hits, to tell later what came of them; bounded, thread-safe.

    In memory only: what a process learnt it should hand to `calibrate` or to the log.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._hits: _Latest[tuple[str, str]] = _Latest()
        self._labels: _Latest[tuple[str, str, bool]] = _Latest()
        self._pending: _Latest[tuple[str, Match, bool]] = _Latest()
        self._answers: _Latest[str] = _Latest()
        self._shadow: _Latest[ShadowHit] = _Latest()

    def given(self, hit_id: str, question: str, stored: str) -> None:
        """Remember a hit for feedback on it."""
        with self._lock:
            self._hits.put(hit_id, (question, stored))

    def label(self, hit_id: str, *, correct: bool) -> bool:
        """Make a labelled pair of feedback on a hit; `False` if it is unknown."""
        with self._lock:
            pair = self._hits.get(hit_id)
            if pair is not None:
                self._labels.put(" ".join(pair), (*pair, correct))
            return pair is not None

    def labels(self) -> list[tuple[str, str, bool]]:
        """Return the labelled pairs, oldest first."""
        with self._lock:
            return list(self._labels.values())

    def expect(self, key: str, question: str, match: Match, *, accepted: bool) -> None:
        """Remember what shadow mode found for a request."""
        with self._lock:
            self._pending.put(key, (question, match, accepted))

    def answered(self, key: str, generations: Sequence[Generation]) -> ShadowHit | None:
        """Take note of an answer; compare it with the one that was found.

        Returns:
            What the comparison says; `None` if there is nothing to compare.
        """
        answer = "\n".join(generation.text for generation in generations)
        answer = answer[:_ANSWER_CHARACTERS]
        with self._lock:
            self._answers.put(key, answer)
            pending = self._pending.pop(key, None)
            if pending is None:
                return None
            question, match, accepted = pending
            other = self._answers.get(match.key)
            if other is None:
                return None
            hit = ShadowHit(
                question=question,
                stored=match.text,
                similarity=match.similarity,
                accepted=accepted,
                agreed=answers_agree(answer, other),
            )
            self._shadow.put(key, hit)
            return hit

    def shadow_hits(self) -> list[ShadowHit]:
        """Return the latest compared shadow hits, oldest first."""
        with self._lock:
            return list(self._shadow.values())

    def clear(self) -> None:
        """Forget what concerns stored answers; labels stay."""
        with self._lock:
            for latest in (self._hits, self._pending, self._answers, self._shadow):
                latest.clear()


class _Latest(OrderedDict[str, _Value], Generic[_Value]):
    """The latest values by key."""

    def put(self, key: str, value: _Value) -> None:
        self[key] = value
        self.move_to_end(key)
        if len(self) > _REMEMBERED:
            self.popitem(last=False)


def answers_agree(one: str, other: str) -> bool:
    """Return whether two answers say the same: an estimate by their words."""
    a, b = Counter(_words(one)), Counter(_words(other))
    total = a.total() + b.total()
    return total == 0 or 2 * (a & b).total() / total >= _AGREEMENT


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
