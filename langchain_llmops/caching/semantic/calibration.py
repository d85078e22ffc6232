"""From labelled pairs of questions to a decision that is wrong as rarely as asked.

A verifier is fitted to the pairs and cross-validated by connected component, so that
each pair is scored by trees that saw neither of its questions. Going down that ranking
in an order fixed beforehand, exact binomial tests say how far the false hit rate is
proven. What the pairs do not prove is not served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import numpy as np

from langchain_llmops.caching.semantic.boosting import fit_trees
from langchain_llmops.caching.semantic.bounds import (
    clopper_pearson,
    fewest_trials,
    loosest_safe_cut,
)
from langchain_llmops.caching.semantic.features import question_features

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

__all__ = ["LIKELY", "Calibration", "JudgedPair", "Score", "calibrate"]

Score: TypeAlias = "Callable[[str, str, float], float]"
"""How surely two questions of some similarity ask the same: larger is surer."""

Kind: TypeAlias = Literal["cosine", "trees", "verifier"]

LIKELY: Final = 0.5
"""A verifier's probability that counts as a yes while there is no calibration."""

_FOLDS: Final = 5
_FEWEST_TO_FIT: Final = 400
"""Pairs (a quarter of them of either kind) below which a cosine is all we trust."""
_START_RECALL: Final = 0.1
_START_EVIDENCE: Final = 1.5
"""Where the tests begin: at a tenth of the duplicates, and at half as many pairs again
as a rate needs at least to be proven."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPair:
    """Two questions, and whether they ask the same.

    Attributes:
        question_a: One question.
        question_b: The other.
        similarity: Cosine of their embeddings.
        same: The label: whether an answer to one answers the other.
        blocked: Whether a guard or a bypass keeps them apart anyhow.
    """

    question_a: str
    question_b: str
    similarity: float
    same: bool
    blocked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What labelled pairs prove about a semantic cache.

    Attributes:
        score: What ranks pairs: `"cosine"`, fitted `"trees"`, or the user's
            `"verifier"`.
        threshold: Smallest score that is served; `None` where no threshold is proven
            to be wrong rarely enough: then nothing is served but exact hits.
        floor: Smallest cosine among the pairs served: below it nothing is known.
        max_false_hit_rate: What was asked for: wrong hits ÷ hits. `None` if nothing
            was, and the cache's own threshold was only measured.
        confidence: Probability with which the operating point keeps to that rate on
            pairs like the labelled ones, and of the interval below.
        pairs: Labelled pairs given.
        served: How many of these it serves, each scored as if unseen.
        wrong: How many of those do not ask the same.
        low: Lower bound of the false hit rate (exact, two-sided).
        high: Upper bound of the false hit rate.
        recall: Share of the pairs that ask the same which are served.
        needed: Pairs that would have to be served without one error to prove the rate.
    """

    score: Kind
    threshold: float | None
    floor: float
    max_false_hit_rate: float | None
    confidence: float
    pairs: int
    served: int
    wrong: int
    low: float
    high: float
    recall: float
    needed: int

    @property
    def abstains(self) -> bool:
        """Whether nothing is served for want of evidence."""
        return self.threshold is None

    @property
    def false_hit_rate(self) -> float | None:
        """Wrong ÷ served among the pairs; `None` if none was served."""
        return self.wrong / self.served if self.served else None


def calibrate(
    pairs: Sequence[JudgedPair],
    *,
    threshold: float,
    max_false_hit_rate: float | None,
    confidence: float = 0.95,
    verifier: Score | None = None,
) -> tuple[Calibration, Score]:
    """Choose an operating point, or measure the one there is.

    Deterministic. 10,000 pairs take about two seconds.

    Args:
        pairs: Labelled pairs, as near to the traffic as can be had.
        threshold: The cosine that is served without a `max_false_hit_rate`.
        max_false_hit_rate: Wrong hits ÷ hits that are acceptable; `None` measures
            `threshold`.
        confidence: How sure the choice must be.
        verifier: Ranks pairs instead of the cosine; fitted trees compete with a cosine
            only.

    Returns:
        The operating point, and the score that it is a threshold of.
    """
    same = np.array([pair.same for pair in pairs])
    score: Score = verifier or cosine
    kind: Kind = "verifier" if verifier else "cosine"
    scores = _scores(score, pairs)
    served = np.zeros(len(pairs), np.bool_)
    proven: float | None = threshold
    if max_false_hit_rate is None:
        near = np.array([pair.similarity for pair in pairs]) >= threshold
        served = near & (scores >= (LIKELY if verifier else threshold))
    else:
        if verifier is None and (trees := _fit_trees(pairs, scores)) is not None:
            (scores, score), kind = trees, "trees"
        proven = _proven_threshold(scores, same, max_false_hit_rate, confidence)
        if proven is not None:
            served = scores >= proven
    floor = threshold
    if served.any() and max_false_hit_rate is not None:
        floor = min(pair.similarity for pair, s in zip(pairs, served, strict=True) if s)
    count, wrong = int(served.sum()), int((served & ~same).sum())
    low, high = clopper_pearson(wrong, count, confidence=confidence)
    calibration = Calibration(
        score=kind,
        threshold=proven,
        floor=floor,
        max_false_hit_rate=max_false_hit_rate,
        confidence=confidence,
        pairs=len(pairs),
        served=count,
        wrong=wrong,
        low=low,
        high=high,
        recall=(count - wrong) / max(1, int(same.sum())),
        needed=_needed(max_false_hit_rate, confidence),
    )
    return calibration, score


def cosine(question_a: str, question_b: str, similarity: float) -> float:
    """Score a pair by its similarity alone."""
    del question_a, question_b
    return similarity


def _needed(rate: float | None, confidence: float) -> int:
    return 0 if rate is None else fewest_trials(rate, confidence=confidence)


def _proven_threshold(
    scores: Floats, same: Flags, rate: float, confidence: float
) -> float | None:
    """Return the smallest score down to which the false hit rate is proven."""
    open_ = np.isfinite(scores)
    order = np.argsort(-scores[open_], kind="stable")
    ranked, wrong = scores[open_][order], ~same[open_][order]
    # Equal scores are served together: cuts lie where the score changes.
    last = np.flatnonzero(np.diff(ranked, append=-np.inf))
    served = last + 1
    first = max(_START_RECALL * same.sum(), _START_EVIDENCE * _needed(rate, confidence))
    cut = loosest_safe_cut(
        served,
        np.cumsum(wrong, dtype=np.int64)[last],
        rate,
        start=int(np.searchsorted(served, first)),
        confidence=confidence,
    )
    return None if cut is None else float(ranked[last[cut]])


def _scores(score: Score, pairs: Sequence[JudgedPair]) -> Floats:
    return np.array(
        [
            -np.inf
            if pair.blocked
            else score(pair.question_a, pair.question_b, pair.similarity)
            for pair in pairs
        ]
    )


def _fit_trees(
    pairs: Sequence[JudgedPair], cosines: Floats
) -> tuple[Floats, Score] | None:
    """Return scores of pairs as unseen ones, and the fitted score; `None` if no use."""
    open_ = np.array([not pair.blocked for pair in pairs])
    same = np.array([pair.same for pair in pairs])
    fewest = min(same[open_].sum(), (~same[open_]).sum())
    if open_.sum() < _FEWEST_TO_FIT or fewest < _FEWEST_TO_FIT // 4:
        return None
    rows = np.array(
        [question_features(p.question_a, p.question_b, p.similarity) for p in pairs]
    )
    scores = np.full(len(pairs), -np.inf)
    folds = _folds(pairs)
    for fold in range(_FOLDS):
        inside, outside = open_ & (folds != fold), open_ & (folds == fold)
        trees = fit_trees(rows[inside], same[inside])
        scores[outside] = trees.probabilities(rows[outside])
    if _average_precision(scores, same) <= _average_precision(cosines, same):
        return None
    trees = fit_trees(rows[open_], same[open_])

    def score(question_a: str, question_b: str, similarity: float) -> float:
        return trees(question_features(question_a, question_b, similarity))

    return scores, score


def _average_precision(scores: Floats, same: Flags) -> float:
    right = same[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    return float(precision[right].mean())


def _components(pairs: Sequence[JudgedPair]) -> npt.NDArray[np.intp]:
    """Number the pairs so that those that share a question share the number."""
    parent: dict[str, str] = {}

    def root(text: str) -> str:
        parent.setdefault(text, text)
        while parent[text] != text:
            parent[text] = parent[parent[text]]
            text = parent[text]
        return text

    for pair in pairs:
        parent[root(pair.question_a)] = root(pair.question_b)
    numbers: dict[str, int] = {}
    return np.array(
        [numbers.setdefault(root(pair.question_a), len(numbers)) for pair in pairs]
    )


def _folds(pairs: Sequence[JudgedPair]) -> npt.NDArray[np.intp]:
    component = _components(pairs)
    lot = np.random.default_rng(0).permutation(component.max() + 1)
    return np.asarray(lot[component] % _FOLDS)
