"""Vectors of length 1 as numbered rows of a FAISS index that grows and shrinks."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from langchain_llmops.retrieval.index_spec import IndexSpec, load_faiss

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from langchain_llmops.retrieval.index_spec import Vectors

    Rows = npt.NDArray[np.int64]
    Mask = npt.NDArray[np.bool_]

__all__ = ["Near", "VectorRows", "one_thread"]

_FLAT: Final = IndexSpec()
_EXACT_ROWS: Final = 10_000
"""A filter that leaves no more than this is searched exactly, whatever the index."""
_FEW_DEAD: Final = 256
_RELEARN: Final = 4
"""Lists and codes are learnt anew when the vectors are so many times as many."""


class Near(NamedTuple):
    """One row that a search found, its cosine to the query, and its vector."""

    row: int
    cosine: float
    vector: Vectors


class VectorRows:
    """Rows that keep their numbers until `compact` gives them new ones.

    A removed row is only marked, since neither a graph nor learnt lists can forget one
    cheaply; a search skips the marked. Not safe across threads by itself.

    Args:
        spec: Which index.
        dimension: Length of every vector.
    """

    def __init__(self, spec: IndexSpec, dimension: int) -> None:
        self._spec = spec
        self.dimension = dimension
        self._index: Any = _FLAT.build(np.empty((0, dimension), np.float32))
        self._alive: Mask = np.empty(0, np.bool_)
        self._learnt_from = 0
        self._dead = 0

    @classmethod
    def restored(cls, spec: IndexSpec, data: bytes) -> VectorRows:
        """Return the rows that `dump` wrote as bytes."""
        faiss = load_faiss()
        index = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
        rows = cls(spec, index.d)
        rows._index = index
        rows._alive = np.ones(index.ntotal, np.bool_)
        if not isinstance(index, faiss.IndexFlat):
            rows._learnt_from = index.ntotal
        return rows

    def __len__(self) -> int:
        return len(self._alive) - self._dead

    @property
    def floats(self) -> int:
        """How many numbers one search has to read, about."""
        if self._learnt_from and self._spec.kind in {"hnsw", "ivf"}:
            return min(len(self._alive), _EXACT_ROWS) * self.dimension
        return len(self._alive) * self.dimension

    @property
    def wasteful(self) -> bool:
        """Whether a quarter of the rows are removed ones, and `compact` is due."""
        return self._dead > _FEW_DEAD and 4 * self._dead > len(self._alive)

    def append(self, vectors: Vectors) -> range:
        """Add rows and return their numbers."""
        first = len(self._alive)
        self._index.add(vectors)
        self._alive = np.append(self._alive, np.ones(len(vectors), np.bool_))
        if self._spec.kind != "flat" and self._should_learn():
            self._learn(self._index.reconstruct_n(0, len(self._alive)))
        return range(first, first + len(vectors))

    def remove(self, rows: list[int]) -> None:
        """Mark rows that are there as removed."""
        self._alive[rows] = False
        self._dead += len(rows)

    def compact(self) -> Rows:
        """Drop what was removed; return the old numbers of the rows, in new order."""
        kept = np.flatnonzero(self._alive)
        if not self._dead:
            return kept
        if not self._learnt_from or self._spec.kind == "sq8":
            # In place: codes that are decoded and coded again would drift.
            self._index.remove_ids(_selector(~self._alive))
        else:
            self._learn(self.vectors(kept))
        self._alive = np.ones(len(kept), np.bool_)
        self._dead = 0
        return kept

    def vectors(self, rows: Rows) -> Vectors:
        """Return the vectors of rows, as the index holds them."""
        stored: Vectors = self._index.reconstruct_batch(rows)
        return stored

    def search(self, query: Vectors, k: int, wanted: Mask | None = None) -> list[Near]:
        """Return the nearest rows, nearest first.

        Args:
            query: One row of length 1.
            k: How many; as many come back if there are, whatever the index.
            wanted: Which rows may be found; all by default.
        """
        mask = self._alive if wanted is None else wanted & self._alive
        count = len(self) if wanted is None else int(mask.sum())
        limit = min(k, count)
        if not limit:
            return []
        if self._learnt_from and wanted is not None and count <= _EXACT_ROWS:
            return self._exact(query, limit, np.flatnonzero(mask))
        whole = count == len(self._alive)
        spec = self._spec if self._learnt_from else _FLAT
        params = spec.search_parameters(selector := None if whole else _selector(mask))
        with one_thread():
            scores, rows = self._index.search(query, limit, params=params)
        del params, selector  # FAISS has only borrowed them
        found = rows[0] >= 0
        if int(found.sum()) < limit:
            # A graph or a few lists may hold fewer than are wanted.
            return self._exact(query, limit, np.flatnonzero(mask))
        vectors = self.vectors(rows[0])
        cosines = scores[0]
        if spec.lossy:
            cosines = _cosines(vectors, query[0])
        return _nearest(rows[0], cosines, vectors, limit)

    def dump(self) -> bytes:
        """Return the index as bytes; `compact` comes first."""
        data: bytes = load_faiss().serialize_index(self._index).tobytes()
        return data

    def _exact(self, query: Vectors, limit: int, rows: Rows) -> list[Near]:
        vectors = self.vectors(rows)
        return _nearest(rows, _cosines(vectors, query[0]), vectors, limit)

    def _should_learn(self) -> bool:
        count = len(self._alive)
        if not self._learnt_from:
            return count > self._spec.build_at
        return self._spec.kind == "ivf" and count >= _RELEARN * self._learnt_from

    def _learn(self, vectors: Vectors) -> None:
        self._index = self._spec.build(vectors)
        self._learnt_from = len(vectors)


@contextmanager
def one_thread() -> Iterator[None]:
    """Keep FAISS from waiting for a team of threads: one query is no work for one.

    Where a core was busy that wait took 10 ms and more. The setting is this thread's.
    """
    faiss = load_faiss()
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def _selector(mask: Mask) -> Any:
    return load_faiss().IDSelectorBitmap(np.packbits(mask, bitorder="little"))


def _cosines(vectors: Vectors, query: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1)
    lengths[lengths < 0.5] = 1  # noqa: PLR2004 - rows are of length 1, or all zeros
    cosines: Vectors = vectors @ query / lengths
    return cosines


def _nearest(rows: Rows, cosines: Vectors, vectors: Vectors, limit: int) -> list[Near]:
    best = np.argsort(-cosines, kind="stable")[:limit]
    # Rounding may leave a hair more than 1 between equal vectors.
    clipped = np.clip(cosines[best], -1.0, 1.0).tolist()
    places = rows[best].tolist()
    return [
        Near(row, cosine, vector)
        for row, cosine, vector in zip(places, clipped, vectors[best], strict=True)
    ]
