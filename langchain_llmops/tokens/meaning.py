"""Where the subject of a text changes, by the embeddings of its sentences."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_llmops.tokens.structure import sentence_ends

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.tokens.cuts import Borders

__all__ = ["Meaning", "Passages", "passages"]

_FURTHEST = 4
"""How many times the reach of a line a change of subject may be back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passages:
    """Sentences of a text that are worth embedding.

    Attributes:
        texts: Their words.
        ends: Where each ends, white space included.
    """

    texts: list[str]
    ends: list[int]


def passages(text: str) -> Passages:
    """Return the sentences and lines of a text that are more than white space."""
    texts, ends, start = [], [], 0
    for end in sentence_ends(text):
        words = text[start:end].strip()
        if words:
            texts.append(words)
            ends.append(end)
        start = end
    return Passages(texts=texts, ends=ends)


class Meaning:
    """Borders between sentences that are least alike, else those of the structure.

    Args:
        structure: Where nothing is known of the meaning.
        found: The sentences.
        vectors: Their embeddings.
    """

    def __init__(
        self, structure: Borders, found: Passages, vectors: Sequence[Sequence[float]]
    ) -> None:
        self._structure = structure
        self._places = found.ends[:-1]
        self._likeness = _likeness(vectors)

    def cut(self, start: int, end: int, reach: int) -> int:
        """Return the end of the sentence that is least like its next one."""
        first = bisect_right(self._places, max(start, end - reach * _FURTHEST))
        last = bisect_right(self._places, end)
        if first >= last:
            return self._structure.cut(start, end, reach)
        # Among equals the last: it makes the longest part.
        best = min(range(first, last), key=lambda at: (self._likeness[at], -at))
        return self._places[best]

    def begin(self, start: int, end: int) -> int:
        """Return where to begin repeating: the first sentence in between."""
        first = bisect_left(self._places, start)
        if first < len(self._places) and self._places[first] < end:
            return self._places[first]
        return self._structure.begin(start, end)


def _likeness(vectors: Sequence[Sequence[float]]) -> list[float]:
    """Return the cosine of each vector and the next one."""
    import numpy as np  # noqa: PLC0415 - 0.1 s, for embeddings only

    if len(vectors) <= 1:
        return []
    rows = np.asarray(vectors, dtype=np.float64)
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return [float(each) for each in (rows[:-1] * rows[1:]).sum(axis=1)]
