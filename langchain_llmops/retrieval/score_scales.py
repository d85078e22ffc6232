"""What a store's score means: recognised from a few scores whose cosine is known.

Stores return cosines, distances, squared distances, inner products, some of them
turned round or squeezed between 0 and 1, and LangChain's relevance functions follow
the store's name, not its vectors. Pure: no store is asked here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["COSINE", "SPREAD", "TOLERANCE", "Observation", "ScoreScale", "recognise"]

Measure = Literal["cosine", "dot", "squared", "distance"]

TOLERANCE: Final = 2e-3
"""How far a score may be from what a scale expects: stores round their vectors."""

SPREAD: Final = 0.05
"""How far apart cosines must lie before they tell one scale from another."""


class Observation(NamedTuple):
    """A score beside what is known of the pair of vectors that it is about.

    Args:
        score: What the store said.
        cosine: The true cosine.
        query_length: Length of the query's vector.
        length: Length of the document's vector.
    """

    score: float
    cosine: float
    query_length: float
    length: float


class _Form(NamedTuple):
    """One way to write a measure as a score, and the way back."""

    name: str
    measure: Measure
    write: Callable[[float], float]
    read: Callable[[float], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreScale:
    """What a score means.

    Args:
        form: What the store computes, and how it writes it.
        raw: Whether the lengths of the vectors are part of it. If not, the store made
            them 1, or the measure does not see them.
    """

    form: _Form
    raw: bool = False

    @property
    def name(self) -> str:
        """The scale in words, such as `squared L2 distance`."""
        return self.form.name

    @property
    def needs_lengths(self) -> bool:
        """Whether a cosine cannot be told without the length of each document."""
        return self.raw

    def score(self, cosine: float, query_length: float, length: float) -> float:
        """Return the score that such a pair of vectors gets."""
        a, b = (query_length, length) if self.raw else (1.0, 1.0)
        dot = a * b * cosine
        squared = max(a * a + b * b - 2 * dot, 0.0)
        return self.form.write(
            {
                "cosine": cosine,
                "dot": dot,
                "squared": squared,
                "distance": math.sqrt(squared),
            }[self.form.measure]
        )

    def cosine(self, score: float) -> float:
        """Return the cosine behind a score, for vectors of length 1."""
        value = self.form.read(score)
        if self.form.measure == "squared":
            value = 1 - value / 2
        elif self.form.measure == "distance":
            value = 1 - value * value / 2
        return max(-1.0, min(1.0, value))


_ROOT: Final = math.sqrt(2.0)

_FORMS: Final = (
    _Form("cosine", "cosine", lambda v: v, lambda s: s),
    _Form("cosine distance", "cosine", lambda v: 1 - v, lambda s: 1 - s),
    _Form("(1 + cosine) / 2", "cosine", lambda v: (1 + v) / 2, lambda s: 2 * s - 1),
    _Form("squared L2 distance", "squared", lambda v: v, lambda s: s),
    _Form("L2 distance", "distance", lambda v: v, lambda s: s),
    _Form("inner product", "dot", lambda v: v, lambda s: s),
    _Form("negative inner product", "dot", lambda v: -v, lambda s: -s),
    _Form("1 - inner product", "dot", lambda v: 1 - v, lambda s: 1 - s),
    _Form(
        "1 - squared L2 / √2",
        "squared",
        lambda v: 1 - v / _ROOT,
        lambda s: (1 - s) * _ROOT,
    ),
    _Form(
        "1 - L2 / √2", "distance", lambda v: 1 - v / _ROOT, lambda s: (1 - s) * _ROOT
    ),
    _Form("1 - squared L2", "squared", lambda v: 1 - v, lambda s: 1 - s),
    _Form("1 - L2", "distance", lambda v: 1 - v, lambda s: 1 - s),
    _Form(
        "1 / (1 + squared L2)",
        "squared",
        lambda v: 1 / (1 + v),
        lambda s: 1 / max(s, 1e-9) - 1,
    ),
    _Form(
        "1 / (1 + L2)",
        "distance",
        lambda v: 1 / (1 + v),
        lambda s: 1 / max(s, 1e-9) - 1,
    ),
)

COSINE: Final = ScoreScale(form=_FORMS[0])
"""The score is the cosine."""

_SCALES: Final = (
    *(ScoreScale(form=form) for form in _FORMS),
    # Last: a scale that sees lengths is of less use, and they may all be 1.
    *(ScoreScale(form=form, raw=True) for form in _FORMS if form.measure != "cosine"),
)


def recognise(seen: Sequence[Observation]) -> ScoreScale | None:
    """Return the scale that explains all scores.

    Args:
        seen: Scores whose cosines are known, at least `SPREAD` apart.

    Returns:
        The first scale that fits; `None` if none does.
    """
    for scale in _SCALES:
        if all(_explains(scale, one) for one in seen):
            return scale
    return None


def _explains(scale: ScoreScale, one: Observation) -> bool:
    expected = scale.score(one.cosine, one.query_length, one.length)
    # Single precision errs with the size of what was multiplied.
    size = one.query_length * one.length if scale.raw else 1.0
    return abs(expected - one.score) <= TOLERANCE * max(1.0, size, abs(one.score))
