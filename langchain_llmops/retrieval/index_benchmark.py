"""Measure the kinds of index on your own vectors: recall, latency, memory, build."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.retrieval.index_spec import IndexSpec, load_faiss
from langchain_llmops.retrieval.vector_rows import one_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from langchain_llmops.retrieval.index_spec import Vectors

__all__ = ["DEFAULT_SPECS", "IndexMeasurement", "benchmark_index"]

DEFAULT_SPECS: Final = (
    IndexSpec(),
    IndexSpec(kind="hnsw"),
    IndexSpec(kind="ivf"),
    IndexSpec(kind="sq8"),
    IndexSpec(kind="bits"),
)
"""One of each kind, with its usual settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexMeasurement:
    """What one index did.

    Args:
        spec: The index.
        recall: Share of the true `k` nearest that it found, over all queries.
        cosine_error: Largest difference between a score and the true cosine.
        p50_ms: Median wall time of one search in one thread.
        p95_ms: The time that 19 of 20 searches stay below.
        memory_bytes: Size of the index, without documents.
        build_s: Wall time to build it.
    """

    spec: IndexSpec
    recall: float
    cosine_error: float
    p50_ms: float
    p95_ms: float
    memory_bytes: int
    build_s: float


def benchmark_index(
    vectors: npt.ArrayLike,
    queries: npt.ArrayLike,
    *,
    specs: Sequence[IndexSpec] = DEFAULT_SPECS,
    k: int = 10,
    clock: Callable[[], float] = time.perf_counter,
) -> list[IndexMeasurement]:
    """Build each index over the vectors, ask it every query, compare with the truth.

    Blocks for as long as that takes (a graph over 100,000 vectors: half a minute), and
    needs memory for the vectors, one index and its copy as bytes.

    Args:
        vectors: Rows of any length.
        queries: Rows of the same width; a hundred are enough. Not taken from `vectors`:
            a vector is too easily found by itself.
        specs: What to measure; `build_at` has no effect here.
        k: How many neighbours a search is for.
        clock: Seconds that only go up.

    Returns:
        One measurement for each spec, in order.

    Raises:
        ConfigurationError: The two are not tables of the same width, or are empty.
    """
    rows, asked = _units(vectors, "vectors"), _units(queries, "queries")
    if rows.shape[1] != asked.shape[1]:
        raise ConfigurationError(
            f"queries have {asked.shape[1]} dimensions, vectors {rows.shape[1]}: embed "
            "both with the same model"
        )
    k = min(k, len(rows))
    cosines = asked @ rows.T
    truth = np.argsort(-cosines, axis=1)[:, :k]
    return [_measure(spec, rows, asked, truth, cosines, clock) for spec in specs]


def _measure(
    spec: IndexSpec,
    rows: Vectors,
    asked: Vectors,
    truth: npt.NDArray[np.int64],
    cosines: Vectors,
    clock: Callable[[], float],
) -> IndexMeasurement:
    faiss = load_faiss()
    start = clock()
    index = spec.build(rows)
    build_s = clock() - start
    with one_thread():
        found, times = _ask(spec, index, asked, truth.shape[1], clock)
    hits = sum(
        len({row for row, _ in pairs} & set(near.tolist()))
        for pairs, near in zip(found, truth, strict=True)
    )
    errors = [
        abs(score - float(cosines[number, row]))
        for number, pairs in enumerate(found)
        for row, score in pairs
    ]
    return IndexMeasurement(
        spec=spec,
        recall=hits / truth.size,
        cosine_error=max(errors, default=0.0),
        p50_ms=statistics.median(times) * 1e3,
        p95_ms=sorted(times)[int(0.95 * len(times))] * 1e3,
        memory_bytes=faiss.serialize_index(index).nbytes,
        build_s=build_s,
    )


def _ask(
    spec: IndexSpec, index: Any, asked: Vectors, k: int, clock: Callable[[], float]
) -> tuple[list[list[tuple[int, float]]], list[float]]:
    """Return row and score of what each query found, and how long it took."""
    found, times = [], []
    params = spec.search_parameters(None)
    index.search(asked[:1], k, params=params)  # the first touch of memory is slower
    for query in asked:
        start = clock()
        scores, rows = index.search(query[np.newaxis], k, params=params)
        times.append(clock() - start)
        pairs = zip(rows[0].tolist(), scores[0].tolist(), strict=True)
        found.append([(row, score) for row, score in pairs if row >= 0])
    return found, times


def _units(values: npt.ArrayLike, name: str) -> Vectors:
    rows = np.asarray(values, np.float32)
    if rows.ndim != 2 or not rows.size:  # noqa: PLR2004 - rows and columns
        raise ConfigurationError(
            f"{name} have the shape {rows.shape!r}: pass one row for each vector"
        )
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    lengths[lengths == 0] = 1
    units: Vectors = rows / lengths
    return units
