"""`Calibration`: how near is near enough, with its evidence; as JSON to keep it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from langchain_llmops.caching.semantic.boosting import BoostedTrees
from langchain_llmops.caching.semantic.features import question_features
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Calibration", "Score", "cosine", "tree_score"]

Score: TypeAlias = "Callable[[str, str, float], float]"
"""How surely two questions of some similarity ask the same: larger is surer."""

Kind: TypeAlias = Literal["cosine", "trees", "verifier"]

_FORMAT: Final = "langchain-llmops calibration"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What labelled pairs prove about a semantic cache.

    Complete: with `to_json`, `from_json` and `SemanticCache.use_calibration` it can be
    made in one place, reviewed, and served in another.

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
        needed: Fewest pairs that prove the rate, served without one error.
        basis: The embedding model, guards and verifier that it holds for, and for no
            others.
        trees: The fitted verifier, where that is the score.
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
    basis: str = ""
    trees: BoostedTrees | None = field(default=None, repr=False, compare=False)

    @property
    def abstains(self) -> bool:
        """Whether nothing is served for want of evidence."""
        return self.threshold is None

    @property
    def false_hit_rate(self) -> float | None:
        """Wrong ÷ served among the pairs; `None` if none was served."""
        return self.wrong / self.served if self.served else None

    def score_with(self, verifier: Score | None) -> Score:
        """Return the score that `threshold` is one of; `verifier` is the user's."""
        if self.trees is not None:
            return tree_score(self.trees)
        return verifier or cosine

    def to_json(self) -> str:
        """Return it as JSON text: some 30 kB with trees, one kB without."""
        body = {item.name: getattr(self, item.name) for item in fields(self)}
        body["trees"] = None if self.trees is None else _plain(self.trees)
        return json.dumps(
            {
                "format": _FORMAT,
                "version": _VERSION,
                "digest": _digest(body),
                "calibration": body,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Return what `to_json` wrote down; takes a millisecond.

        Raises:
            ConfigurationError: It is no calibration, of another version of the format,
                or not as it was written.
        """
        try:
            body = _checked(json.loads(text))
            trees = body.pop("trees")
            return cls(**body, trees=None if trees is None else _fitted(trees))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"{text[:40]!r}… is not a calibration that can be used "
                f"({type(error).__name__}: {error}): calibrate again, and keep what "
                "to_json() returns"
            ) from error


def cosine(question_a: str, question_b: str, similarity: float) -> float:
    """Score a pair by its similarity alone."""
    del question_a, question_b
    return similarity


def tree_score(trees: BoostedTrees) -> Score:
    """Return the score that fitted trees give a pair."""

    def score(question_a: str, question_b: str, similarity: float) -> float:
        return trees(question_features(question_a, question_b, similarity))

    return score


def _checked(record: Mapping[str, Any]) -> dict[str, Any]:
    if (record["format"], record["version"]) != (_FORMAT, _VERSION):
        raise ValueError(f"version {record['version']!r}, not {_VERSION}")
    body: dict[str, Any] = record["calibration"]
    if record["digest"] != _digest(body):
        raise ValueError("changed since it was written")
    return body


def _digest(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True)
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(trees: BoostedTrees) -> dict[str, Any]:
    # JSON has no infinity: `null` is a cut that every row stays below.
    return {
        "base": trees.base,
        "features": trees.features.tolist(),
        "cuts": [
            [cut if np.isfinite(cut) else None for cut in level]
            for level in trees.cuts.tolist()
        ],
        "leaves": trees.leaves.tolist(),
    }


def _fitted(plain: Mapping[str, Any]) -> BoostedTrees:
    cuts = [[np.inf if cut is None else cut for cut in row] for row in plain["cuts"]]
    return BoostedTrees(
        base=float(plain["base"]),
        features=np.array(plain["features"], np.intp),
        cuts=np.array(cuts, np.float64),
        leaves=np.array(plain["leaves"], np.float64),
    )
