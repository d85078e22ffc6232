"""What the strong model adds for a prompt: a smooth function, fitted to examples.

Gaussian kernel regression with landmarks (subset of regressors): each of at most 2,000
known prompts votes for prompts that are like it, in meaning and in form, and the votes
are fitted by regularised least squares. Nearest neighbours do the same with hard
borders, and logistic regression without the neighbourhood; both did worse under
cross-validation (`benchmarks/bench_routing_quality.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MAX_LANDMARKS", "GainModel", "unit_rows"]

Matrix: TypeAlias = npt.NDArray[np.floating[Any]]

MAX_LANDMARKS: Final = 2_000
"""Known prompts that vote; more make fitting slower, not better."""

# Chosen by cross-validation inside the training half of the benchmark's data.
_FORM_WEIGHT: Final = 0.3
"""How much form counts beside meaning: of standardised features beside unit vectors."""
_FAR: Final = 3.0
"""Standard deviations beyond which one odd feature says no more."""
_REACH: Final = 1.0
"""Distance at which a vote has lost 40 % of its weight."""
_RIDGE: Final = 3.0
"""How strongly the fit is drawn towards the average gain."""

_PARTS: Final = ("center", "spread", "landmarks", "votes", "levels")
_JITTER: Final = 1e-6
_LEVELS: Final = 201
_CHUNK: Final = 2_048
_FEW: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GainModel:
    """A fitted model; immutable, safe across threads.

    Attributes:
        center: Mean of each text feature.
        spread: Standard deviation of each text feature.
        landmarks: A row for each known prompt that votes.
        votes: The weight of each vote.
        levels: Gains predicted for the training prompts, as evenly spaced quantiles.
    """

    center: Matrix
    spread: Matrix
    landmarks: Matrix
    votes: Matrix
    levels: Matrix
    _squares: Matrix = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_squares", _squares(self.landmarks))

    @classmethod
    def fit(cls, vectors: Matrix, features: Matrix, gains: Matrix) -> GainModel:
        """Fit to what the strong model added for known prompts.

        Takes some 3 s of CPU and 250 MB for 3,500 prompts. Beyond 2,000 prompts, time
        and space grow in proportion to their number.

        Args:
            vectors: A row for each prompt: its embedding, of length 1.
            features: A row for each prompt: its text features.
            gains: Quality of the strong model's answer minus that of the weak one's.
        """
        center, spread = features.mean(axis=0), features.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        points = _points(vectors, features, center, spread)
        # Evenly spread over the records, which logs often group by time or topic.
        count = min(len(points), MAX_LANDMARKS)
        chosen = np.linspace(0, len(points) - 1, count).astype(int)
        landmarks = points[chosen]
        average = float(gains.mean())
        squares = _squares(landmarks)
        gram = _RIDGE * _kernel(landmarks, landmarks, squares)
        gram[np.diag_indices(count)] += _JITTER
        moment = np.zeros(count)
        for start in range(0, len(points), _CHUNK):
            near = _kernel(points[start : start + _CHUNK], landmarks, squares)
            gram += near.T @ near
            moment += near.T @ (gains[start : start + _CHUNK] - average)
        votes = np.linalg.solve(gram, moment)
        unseen = _unseen(points, landmarks, gains - average, votes, gram)
        levels = np.quantile(unseen, np.linspace(0, 1, _LEVELS))
        return cls(
            center=center,
            spread=spread,
            landmarks=landmarks,
            votes=votes,
            levels=levels,
        )

    def scores(self, vectors: Matrix, features: Matrix) -> list[float]:
        """Return for each prompt the share of training prompts that gain less.

        Args:
            vectors: As for `fit`.
            features: As for `fit`.
        """
        points = _points(vectors, features, self.center, self.spread)
        gains = _kernel(points, self.landmarks, self._squares) @ self.votes
        ranks = np.linspace(0, 1, len(self.levels))
        return [float(score) for score in np.interp(gains, self.levels, ranks)]

    def arrays(self) -> dict[str, Matrix]:
        """Return what `from_arrays` takes."""
        return {name: getattr(self, name) for name in _PARTS}

    @classmethod
    def from_arrays(cls, arrays: dict[str, Any]) -> GainModel:
        """Return the model that gave these arrays.

        Raises:
            KeyError: One is missing.
            ValueError: Their shapes do not go together.
        """
        parts = {name: np.asarray(arrays[name], dtype=np.float64) for name in _PARTS}
        rows, width = parts["landmarks"].shape
        forms = parts["center"].shape
        sound = (
            parts["votes"].shape == (rows,)
            and parts["spread"].shape == forms
            and len(forms) == parts["levels"].ndim == 1
            and width > forms[0]
            and all(np.isfinite(part).all() for part in parts.values())
        )
        if not sound:
            raise ValueError("the arrays of the model do not go together")
        return cls(**parts)

    @property
    def dimensions(self) -> int:
        """How long the embeddings are."""
        return int(self.landmarks.shape[1] - self.center.shape[0])


def _points(
    vectors: Matrix, features: Matrix, center: Matrix, spread: Matrix
) -> Matrix:
    """Return meaning and form side by side."""
    form = np.clip((features - center) / spread, -_FAR, _FAR)
    return np.hstack([vectors, form * _FORM_WEIGHT])


def _kernel(some: Matrix, others: Matrix, squares: Matrix) -> Matrix:
    """Return how near each of some points is to each of others, with their squares."""
    own = _squares(some)[:, None]
    distances = np.maximum(own + squares[None, :] - 2 * _products(some, others), 0)
    near: Matrix = np.exp(distances / (-2 * _REACH**2))
    return near


def _products(some: Matrix, others: Matrix) -> Matrix:
    if len(some) > _FEW:
        products: Matrix = some @ others.T
        return products
    # One thread: for a row or two, waking those of BLAS costs more than it spares.
    return np.stack([np.einsum("ij,j->i", others, row) for row in some])


def _squares(points: Matrix) -> Matrix:
    squares: Matrix = np.einsum("ij,ij->i", points, points)
    return squares


def _unseen(
    points: Matrix, landmarks: Matrix, gains: Matrix, votes: Matrix, gram: Matrix
) -> Matrix:
    """Return the gains predicted for each training prompt as if it were left out.

    By the leverage of each row: what is left out moves its own prediction by that.
    """
    inverse, squares = np.linalg.inv(gram), _squares(landmarks)
    predicted, leverage = np.empty(len(points)), np.empty(len(points))
    for start in range(0, len(points), _CHUNK):
        part = slice(start, start + _CHUNK)
        near = _kernel(points[part], landmarks, squares)
        predicted[part] = near @ votes
        leverage[part] = np.einsum("ij,ij->i", near @ inverse, near)
    leverage = np.minimum(leverage, 1 - _JITTER)
    return gains - (gains - predicted) / (1 - leverage)


def unit_rows(
    rows: Sequence[Sequence[float]], count: int, dimensions: int | None = None
) -> Matrix:
    """Return embeddings as rows of length 1.

    Args:
        rows: What an embedding model returned.
        count: How many it was asked for.
        dimensions: How long each must be.

    Raises:
        ConfigurationError: They are not that many rows of finite numbers.
    """
    try:
        matrix = np.asarray(rows, dtype=np.float64)
    except ValueError as error:
        raise ConfigurationError(
            "the embeddings differ in length: use one embedding model"
        ) from error
    wanted = (count, matrix.shape[-1] if dimensions is None else dimensions)
    if matrix.shape != wanted or not np.isfinite(matrix).all():
        raise ConfigurationError(
            f"the embeddings are {matrix.shape!r} numbers, not {wanted!r} finite ones: "
            "use the embedding model that the policy was fitted with"
        )
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / np.where(lengths > 0, lengths, 1.0)
