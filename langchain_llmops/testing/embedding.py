"""Vectors from words: lexical, deterministic, the same in every process.

Each term and each character n-gram of its words is hashed to a few signed positions
of the vector, a repeated term counts logarithmically, and the sum is scaled to
length 1. Texts that share words are near, inflected ones too; texts that share only
how they ask ("what does … do?") are not.
"""

from __future__ import annotations

import math
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from langchain_llmops.testing.words import terms

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DIMENSIONS", "embed"]

DIMENSIONS = 384

_GRAM_WEIGHT = 0.45
_POSITIONS = 2
"""Positions per feature: two collide far less harmfully than one."""


def embed(texts: Sequence[str], dimensions: int = DIMENSIONS) -> np.ndarray:
    """Embed texts.

    Args:
        texts: Any texts; an empty one gets a fixed vector.
        dimensions: Length of the vectors.

    Returns:
        An array of float32, one row of length 1 per text.
    """
    rows = np.zeros((len(texts), dimensions))
    for row, text in zip(rows, texts, strict=True):
        weights: dict[str, float] = {}
        counts: Counter[str] = Counter()
        for term, weight in terms(text):
            counts[term] += 1
            weights[term] = max(weights.get(term, 0.0), weight)
        if not counts:
            row[crc32(text.encode()) % dimensions] = 1.0
        for term, count in counts.items():
            places, signs = _features(term)
            scale = weights[term] * (1 + math.log(count))
            np.add.at(row, places % dimensions, signs * scale)
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(norms == 0, 1, norms)).astype(np.float32)


@lru_cache(maxsize=1 << 16)
def _features(term: str) -> tuple[np.ndarray, np.ndarray]:
    """Return where a term lands in a vector of any length, and how strongly."""
    features = [(term, 1.0)]
    if len(term) > 3 and term.isalpha():  # noqa: PLR2004 - shorter words are one n-gram
        padded = f"^{term}$"
        grams = [padded[i : i + 4] for i in range(len(padded) - 3)]
        share = _GRAM_WEIGHT / math.sqrt(len(grams))
        features += [(f"#{gram}", share) for gram in grams]
    places, signs = [], []
    for name, weight in features:
        for turn in range(_POSITIONS):
            value = crc32(f"{turn}{name}".encode()) * 2_654_435_761 % (1 << 32)
            places.append(value >> 1)
            signs.append(weight if value & 1 else -weight)
    return np.array(places), np.array(signs)
