"""From labelled pairs of questions to a decision that is wrong as rarely as asked.

A verifier is fitted to the pairs and cross-validated by connected component, so that
each pair is scored by trees that saw neither of its questions. Going down that ranking
in an order fixed beforehand, exact binomial tests say how far the false hit rate is
proven. What the pairs do not prove is not served.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from langchain_llmops.caching.semantic.boosting import fit_trees
from langchain_llmops.caching.semantic.bounds import (
    clopper_pearson,
    fewest_trials,
    loosest_safe_cut,
)
from langchain_llmops.caching.semantic.features import question_features
from langchain_llmops.caching.semantic.judge import LIKELY
from langchain_llmops.caching.semantic.operating_point import (
    Calibration,
    cosine,
    tree_score,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from langchain_llmops.caching.semantic.boosting import BoostedTrees
    from langchain_llmops.caching.semantic.operating_point import Kind, Score

    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

__all__ = ["JudgedPair", "calibrate"]

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


def calibrate(
    pairs: Sequence[JudgedPair],
    *,
    threshold: float,
    max_false_hit_rate: float | None,
    confidence: float = 0.95,
    verifier: Score | None = None,
    basis: str = "",
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
        basis: What the pairs were judged by besides; see `Calibration.basis`.

    Returns:
        The operating point, and the score that it is a threshold of.
    """
    same = np.array([pair.same for pair in pairs])
    score: Score = verifier or cosine
    kind: Kind = "verifier" if verifier else "cosine"
    scores = _scores(score, pairs)
    served = np.zeros(len(pairs), np.bool_)
    trees: BoostedTrees | None = None
    proven: float | None = threshold
    if max_false_hit_rate is None:
        near = np.array([pair.similarity for pair in pairs]) >= threshold
        served = near & (scores >= (LIKELY if verifier else threshold))
    else:
        if verifier is None and (fitted := _fit_trees(pairs, scores)) is not None:
            scores, trees = fitted
            score, kind = tree_score(trees), "trees"
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
        basis=basis,
        trees=trees,
    )
    return calibration, score


def _needed(rate: float | None, confidence: float) -> int:
    """Return how many pairs the search for a threshold starts at."""
    if rate is None:
        return 0
    return math.ceil(_START_EVIDENCE * fewest_trials(rate, confidence=confidence))


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
    first = max(_START_RECALL * same.sum(), _needed(rate, confidence))
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
) -> tuple[Floats, BoostedTrees] | None:
    """Return scores of pairs as unseen ones, and the fitted trees; `None` if no use."""
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
    return scores, fit_trees(rows[open_], same[open_])


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
