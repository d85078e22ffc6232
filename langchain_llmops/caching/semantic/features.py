"""What two questions have in common, as numbers that a verifier can weigh.

A cosine alone confuses questions that share a topic with questions that ask the same.
Which words are left over on either side, whether the last one is the same, how long the
shorter question is: each says a little, and together they serve half as much again at
equal precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from langchain_llmops.caching.semantic.guard_text import read_question

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    import numpy.typing as npt

__all__ = ["FEATURES", "question_features"]

FEATURES: Final = (
    "cosine",
    "words in common",
    "topic words in common",
    "topic words covered, shorter side",
    "topic words covered, longer side",
    "letter triples in common",
    "word pairs in common",
    "words of the shorter question",
    "difference in words",
    "same first word",
    "same last topic word",
    "letters left over, shorter side",
    "letters left over, longer side",
    "topic words left over on both sides",
)
"""What the columns of `question_features` are, in order."""

_ALIKE_LETTERS: Final = 4
"""Words that share so many first letters are forms of one word, or one misspelt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    first: str
    last: str
    length: int
    words: frozenset[str]
    topic: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    triples: frozenset[str]


def question_features(
    question_a: str, question_b: str, similarity: float
) -> npt.NDArray[np.float64]:
    """Return the features of a pair; the order of the two questions does not matter.

    Costs about 15 µs once both texts have been read (50 µs each).

    Args:
        question_a: One question.
        question_b: The other.
        similarity: Cosine of their embeddings.
    """
    a, b = _shape(question_a), _shape(question_b)
    both = a.topic & b.topic
    short, long = sorted((len(a.topic), len(b.topic)))
    left_a = _unlike(a.topic - both, b.topic - both)
    left_b = _unlike(b.topic - both, a.topic - both)
    letters = sorted((sum(map(len, left_a)), sum(map(len, left_b))))
    return np.array(
        [
            similarity,
            _shared(a.words, b.words),
            _shared(a.topic, b.topic),
            len(both) / max(short, 1),
            len(both) / max(long, 1),
            _shared(a.triples, b.triples),
            _shared(a.pairs, b.pairs),
            min(a.length, b.length),
            abs(a.length - b.length),
            a.first == b.first,
            a.last == b.last,
            *letters,
            min(len(left_a), len(left_b)),
        ],
        dtype=np.float64,
    )


@lru_cache(maxsize=8192)
def _shape(text: str) -> _Shape:
    question = read_question(text)
    stems, content = question.stems, question.content
    spelt = f" {' '.join(question.words)} "
    return _Shape(
        first=stems[0] if stems else "",
        last=content[-1] if content else "",
        length=len(stems),
        words=frozenset(stems),
        topic=frozenset(content),
        pairs=frozenset(pairwise(stems)),
        triples=frozenset(spelt[at : at + 3] for at in range(len(spelt) - 2)),
    )


def _unlike(words: AbstractSet[str], others: AbstractSet[str]) -> list[str]:
    """Return the words that no other word begins like."""
    beginnings = {other[:_ALIKE_LETTERS] for other in others}
    return [word for word in words if word[:_ALIKE_LETTERS] not in beginnings]


def _shared(a: AbstractSet[Any], b: AbstractSet[Any]) -> float:
    """Return the share of what either has that both have; 1 if neither has any."""
    both = len(a & b)
    either = len(a) + len(b) - both
    return both / either if either else 1.0
