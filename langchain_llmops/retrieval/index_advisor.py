"""Which index for how many vectors: a pure policy over estimates that were measured."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.retrieval.index_spec import IndexSpec

__all__ = ["IndexAdvice", "IndexAdvisor", "IndexCosts", "IndexEstimate", "Workload"]

_K: Final = 10
"""Neighbours that the estimates are for."""
_BUSY: Final = 0.5
"""Share of the cores that searches may take: past it they wait for each other."""
_REBUILT: Final = 0.25
"""Share of the vectors that may be removed before an index is built anew."""
_DAY_S: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What an index has to hold and to answer.

    Args:
        count: How many vectors.
        dimension: Numbers in each.
        qps: Searches per second.
        churn: Share of the vectors that is replaced or removed in a day.
        min_recall: Share of the true ten nearest that has to be found.
        max_latency_ms: Longest median time of one search.
        max_memory_bytes: Memory for the vectors and their index; `None` for no limit.
        cores: Cores that searches may use.

    Raises:
        ConfigurationError: A number makes no sense.
    """

    count: int
    dimension: int
    qps: float = 1.0
    churn: float = 0.0
    min_recall: float = 0.95
    max_latency_ms: float = 50.0
    max_memory_bytes: float | None = None
    cores: float = 1.0

    def __post_init__(self) -> None:
        for name, low in (("count", 1), ("dimension", 1), ("qps", 0), ("churn", 0)):
            if not low <= getattr(self, name) < math.inf:
                raise ConfigurationError(
                    f"{name}={getattr(self, name)!r}: use {low} or more"
                )
        for name in ("max_latency_ms", "cores"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigurationError(
                    f"{name}={getattr(self, name)!r}: use a positive number"
                )
        if not 0 <= self.min_recall <= 1:
            raise ConfigurationError(
                f"min_recall={self.min_recall!r} is no share: use 0 to 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexCosts:
    """Time of the elementary operations, in nanoseconds for each number of a vector.

    The defaults were measured on one busy core (`benchmarks/bench_retrieval.py`). For
    another machine take them from `benchmark_index`.

    Args:
        scan: Comparing float32 vectors one after the other.
        codes: Comparing vectors of one byte for each number.
        bits: Comparing vectors of one bit for each number.
        hop: Comparing vectors that lie anywhere in memory, as a graph visits them.
        train: Comparing in blocks, as k-means and the assignment to lists do.
    """

    scan: float = 0.3
    codes: float = 0.14
    bits: float = 0.035
    hop: float = 0.25
    train: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEstimate:
    """What an index is expected to do; times are within a factor of three or so.

    Args:
        spec: The index.
        recall: Share of the true ten nearest that it finds, on vectors in loose
            clusters, as embeddings of texts are. Others differ: measure. For IVF it
            is that of the sparsest clusters that were measured; denser ones do better.
        latency_ms: Median time of one search in one thread.
        memory_bytes: For the vectors and their index, without documents.
        build_s: To build it in one thread.
    """

    spec: IndexSpec
    recall: float
    latency_ms: float
    memory_bytes: float
    build_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexAdvice:
    """The index to use, and why.

    Args:
        best: The recommended one.
        fits: Whether it meets every demand; if not, `reason` says which it misses.
        reason: One sentence.
        others: The estimates of all that were looked at, the best one included.
    """

    best: IndexEstimate
    fits: bool
    reason: str
    others: tuple[IndexEstimate, ...]


class IndexAdvisor:
    """Recommend an index for a workload. Pure: it measures nothing and keeps nothing.

    It takes the first of flat, bits, IVF, HNSW and SQ8 that meets all demands: exact
    before approximate, and what is quick to build before what is not. IVF and HNSW
    look as widely as the recall asks. If none meets all, it takes the one that misses
    the fewest, and of those the one that is nearest to meeting them.

    Args:
        costs: What the elementary operations take on your machine.

    Example:
        ```python
        from langchain_llmops.retrieval import IndexAdvisor, Workload

        advice = IndexAdvisor().recommend(Workload(count=5_000, dimension=384))
        assert advice.best.spec.kind == "flat"
        ```
    """

    def __init__(self, costs: IndexCosts | None = None) -> None:
        self._costs = IndexCosts() if costs is None else costs

    def recommend(self, workload: Workload) -> IndexAdvice:
        """Return the index for a workload, with the estimates of all others."""
        estimates = tuple(
            self.estimate(spec, workload.count, workload.dimension)
            for spec in _candidates(workload)
        )
        missed = [_missed(one, workload) for one in estimates]
        place = min(
            range(len(estimates)),
            key=lambda n: (len(missed[n]), sum(missed[n].values())),
        )
        best, lacks = estimates[place], missed[place]
        return IndexAdvice(
            best=best, fits=not lacks, reason=_reason(best, lacks), others=estimates
        )

    def estimate(self, spec: IndexSpec, count: int, dimension: int) -> IndexEstimate:
        """Return what an index of so many vectors is expected to do.

        Args:
            spec: The index.
            count: How many vectors.
            dimension: Numbers in each.
        """
        exact = spec.kind == "flat" or count <= spec.build_at
        if exact:
            spec = IndexSpec() if spec.kind == "flat" else spec
        visited, built = (count * self._costs.scan, 0.0)
        if not exact:
            visited, built = self._work(spec, count)
        return IndexEstimate(
            spec=spec,
            recall=1.0 if exact else _recall(spec, count),
            latency_ms=visited * dimension / 1e6,
            memory_bytes=count * _bytes(spec, dimension, exact=exact),
            build_s=built * dimension / 1e9,
        )

    def _work(self, spec: IndexSpec, count: int) -> tuple[float, float]:
        """Return the time of a search and of the build, per number of a vector."""
        costs = self._costs
        depth = math.log2(max(count, 2)) / math.log2(100_000)
        if spec.kind == "hnsw":
            step = spec.m * depth * costs.hop
            return spec.ef_search * step, count * spec.ef_construction * step
        if spec.kind == "ivf":
            lists = spec.lists_for(count)
            read = count * min(1.0, spec.probes / lists)
            # Ten rounds of k-means over at most 256 vectors of each list.
            learnt = 10 * min(count, 256 * lists) * lists + count * lists
            return (lists + read) * costs.scan, learnt * costs.train
        if spec.kind == "bits":
            again = spec.refine * _K * costs.codes
            return count * costs.bits + again, count * 1000 * costs.bits
        return count * costs.codes, count * costs.codes


def _candidates(workload: Workload) -> list[IndexSpec]:
    """Return what is looked at, in the order of preference."""
    lists = IndexSpec(kind="ivf").lists_for(workload.count)
    probes = [probes for probes in (4, 16, 64, 256) if probes < lists] or [1]
    return [
        IndexSpec(),
        IndexSpec(kind="bits", build_at=1),
        *(IndexSpec(kind="ivf", probes=count, build_at=1) for count in probes),
        *(IndexSpec(kind="hnsw", ef_search=ef, build_at=1) for ef in (64, 256)),
        IndexSpec(kind="sq8", build_at=1),
    ]


def _recall(spec: IndexSpec, count: int) -> float:
    if spec.kind == "ivf":
        # Of the true ten nearest, most lie in the first few lists.
        lists = spec.lists_for(count)
        return 1 - math.exp(-6 * math.sqrt(min(1.0, spec.probes / lists)))
    if spec.kind == "hnsw":
        crowd = math.log10(max(count, 10)) / 5
        return 1 - 0.02 * crowd * (64 / spec.ef_search) * (32 / spec.m)
    return 0.99


def _bytes(spec: IndexSpec, dimension: int, *, exact: bool) -> float:
    """Return the memory for one vector."""
    whole = 4.0 * dimension
    if exact:
        return whole
    return {
        "flat": whole,
        "hnsw": whole + 8.5 * spec.m,
        "ivf": whole + 36,
        "sq8": float(dimension),
        "bits": 2.125 * dimension + 8,
    }[spec.kind]


def _missed(one: IndexEstimate, workload: Workload) -> dict[str, float]:
    """Return the demands that are not met, and by which factor (its logarithm)."""
    rebuilds = workload.churn / _REBUILT if one.spec.kind != "flat" else 0.0
    busy = workload.qps * one.latency_ms / 1e3 + rebuilds * one.build_s / _DAY_S
    ratios = {
        "recall": workload.min_recall / one.recall,
        "latency": one.latency_ms / workload.max_latency_ms,
        "load": busy / (_BUSY * workload.cores),
    }
    if workload.max_memory_bytes is not None:
        ratios["memory"] = one.memory_bytes / workload.max_memory_bytes
    return {name: math.log(ratio) for name, ratio in ratios.items() if ratio > 1}


def _reason(best: IndexEstimate, lacks: dict[str, float]) -> str:
    kind = best.spec.kind
    if not lacks and kind == "flat":
        return "exact search over every vector is quick enough"
    if not lacks:
        return f"the simplest that meets all demands is {kind}"
    return f"nothing meets all demands; {kind} comes nearest, it misses: " + ", ".join(
        sorted(lacks)
    )
