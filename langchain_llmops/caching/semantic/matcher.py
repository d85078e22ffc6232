"""Compare two questions outside a lookup: one decision, or a calibration by many."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeAlias

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_llmops.caching.semantic.calibration import JudgedPair
    from langchain_llmops.caching.semantic.embedder import QuestionEmbedder
    from langchain_llmops.caching.semantic.judge import Judge
    from langchain_llmops.caching.semantic.operating_point import Calibration
    from langchain_llmops.caching.semantic.vector_rows import Vector

__all__ = ["LabelledPair", "Matcher"]

LabelledPair: TypeAlias = tuple[str, str, bool]
"""Two questions, and whether an answer to one answers the other."""


class Matcher:
    """Decide whether two questions share an answer; safe across threads and loops.

    Args:
        embedder: Where directions come from.
        judge: Who decides, and learns from labelled pairs.
    """

    def __init__(self, embedder: QuestionEmbedder, judge: Judge) -> None:
        self._embedder = embedder
        self._judge = judge

    def same(self, question_a: str, question_b: str) -> bool:
        """Return whether an answer to one question would be given to the other."""
        a, b, decided = self._by_text(question_a, question_b)
        if a is None or b is None:
            return decided
        return self._near(a, b, self._embedder.embed(a), self._embedder.embed(b))

    async def asame(self, question_a: str, question_b: str) -> bool:
        """Return what `same` returns; never blocks the event loop."""
        a, b, decided = self._by_text(question_a, question_b)
        if a is None or b is None:
            return decided
        vector_a = await self._embedder.aembed(a)
        return self._near(a, b, vector_a, await self._embedder.aembed(b))

    def calibrate(
        self, pairs: Iterable[LabelledPair], *, confidence: float
    ) -> Calibration:
        """Let the judge learn from labelled pairs; raises what the model raises."""
        checked = _checked(pairs)
        texts = self._texts(checked)
        vectors = self._embedder.embed_all(texts)
        return self._learn(checked, texts, vectors, confidence)

    async def acalibrate(
        self, pairs: Iterable[LabelledPair], *, confidence: float
    ) -> Calibration:
        """Learn as `calibrate` does; never blocks the event loop."""
        checked = _checked(pairs)
        texts = self._texts(checked)
        vectors = await self._embedder.aembed_all(texts)
        return await asyncio.to_thread(self._learn, checked, texts, vectors, confidence)

    def _by_text(
        self, question_a: str, question_b: str
    ) -> tuple[str | None, str | None, bool]:
        """Return the texts to compare, or two `None` and what the texts decide."""
        if question_a.split() == question_b.split():
            return None, None, True
        a, b = self._judge.text(question_a), self._judge.text(question_b)
        if a is None or b is None or self._judge.objection(a, b) is not None:
            return None, None, False
        return a, b, False

    def _near(
        self, a: str, b: str, vector_a: Vector | None, vector_b: Vector | None
    ) -> bool:
        return self._judge.accepts(a, b, _cosine(vector_a, vector_b))

    def _learn(
        self,
        pairs: Iterable[LabelledPair],
        texts: Sequence[str],
        vectors: Sequence[Vector | None],
        confidence: float,
    ) -> Calibration:
        by_text = dict(zip(texts, vectors, strict=True))
        judged = [self._judged(pair, by_text) for pair in pairs]
        return self._judge.calibrate(judged, confidence=confidence)

    def _texts(self, pairs: Iterable[LabelledPair]) -> list[str]:
        """Return each text that must be embedded once, as it is in a lookup."""
        texts = (self._judge.text(text) for pair in pairs for text in pair[:2])
        return [text for text in dict.fromkeys(texts) if text is not None]

    def _judged(
        self, pair: LabelledPair, vectors: dict[str, Vector | None]
    ) -> JudgedPair:
        """Return a pair as a lookup would see it."""
        # Here: what fits is loaded only to fit.
        from langchain_llmops.caching.semantic.calibration import (  # noqa: PLC0415
            JudgedPair,
        )

        question_a, question_b, same = pair
        a, b = self._judge.text(question_a), self._judge.text(question_b)
        one = None if a is None else vectors[a]
        other = None if b is None else vectors[b]
        return JudgedPair(
            question_a=a or question_a,
            question_b=b or question_b,
            similarity=_cosine(one, other),
            same=same,
            blocked=one is None
            or other is None
            or self._judge.objection(question_a, question_b) is not None,
        )


def _checked(pairs: Iterable[Sequence[object]]) -> list[LabelledPair]:
    """Return the pairs, or say which is malformed.

    Raises:
        ConfigurationError: One is not `(question_a, question_b, same)`.
    """
    checked: list[LabelledPair] = []
    for number, pair in enumerate(pairs):
        match tuple(pair):
            case (str() as a, str() as b, (bool() | 0 | 1) as same):
                checked.append((a, b, bool(same)))
            case wrong:
                raise ConfigurationError(
                    f"pair {number} is {wrong!r}: give (question_a, question_b, same), "
                    "two texts and True or False"
                )
    return checked


def _cosine(one: Vector | None, other: Vector | None) -> float:
    """Return the cosine of two directions; 0 where one is missing."""
    if one is None or other is None or len(one) != len(other):
        return 0.0
    return round(float(one @ other), 6)
