"""The advice: it fits whenever something fits, and says what it misses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.retrieval import (
    IndexAdvisor,
    IndexCosts,
    IndexSpec,
    Workload,
)

workloads = st.builds(
    Workload,
    count=st.integers(1, 10**8),
    dimension=st.integers(1, 4096),
    qps=st.floats(0, 1e4),
    churn=st.floats(0, 10),
    min_recall=st.floats(0, 1),
    max_latency_ms=st.floats(0.01, 1e4),
    max_memory_bytes=st.none() | st.floats(1, 1e13),
    cores=st.floats(0.1, 128),
)


def kind(**demands):
    demands.setdefault("dimension", 384)
    return IndexAdvisor().recommend(Workload(**demands)).best.spec.kind


def test_a_small_store_stays_exact():
    assert kind(count=5_000) == "flat"


def test_many_vectors_that_have_to_be_quick_get_an_index():
    assert kind(count=1_000_000, max_latency_ms=15) == "bits"
    assert kind(count=2_000_000, max_latency_ms=5, min_recall=0.98) == "hnsw"
    assert kind(count=1_000_000, max_latency_ms=8, min_recall=0.7) == "ivf"


def test_little_memory_asks_for_codes():
    assert kind(count=100_000, max_memory_bytes=100_000 * 400) == "sq8"


def test_much_churn_makes_a_graph_too_dear():
    demands = {"count": 2_000_000, "max_latency_ms": 5, "min_recall": 0.98}
    assert kind(**demands) == "hnsw"
    often = IndexAdvisor().recommend(Workload(dimension=384, churn=50, **demands))
    assert often.best.spec.kind != "hnsw" or not often.fits


def test_what_cannot_be_had_is_named():
    advice = IndexAdvisor().recommend(
        Workload(count=10_000_000, dimension=1536, max_memory_bytes=1e6)
    )
    assert not advice.fits
    assert advice.reason.startswith("nothing meets all demands")
    assert "memory" in advice.reason


@given(workloads)
def test_the_advice_fits_whenever_anything_fits(workload):
    advice = IndexAdvisor().recommend(workload)
    best = advice.best
    assert best in advice.others
    assert 0 <= best.recall <= 1
    if advice.fits:
        assert best.recall >= workload.min_recall
        assert best.latency_ms <= workload.max_latency_ms
        assert workload.qps * best.latency_ms / 1e3 <= workload.cores / 2
        limit = workload.max_memory_bytes
        assert limit is None or best.memory_bytes <= limit
    easier = Workload(
        count=workload.count,
        dimension=workload.dimension,
        qps=0,
        max_latency_ms=1e12,
        min_recall=0,
    )
    assert IndexAdvisor().recommend(easier).fits


@given(st.sampled_from(["flat", "hnsw", "ivf", "sq8", "bits"]), st.integers(1, 10**6))
def test_more_vectors_never_cost_less(index, count):
    spec = IndexSpec(kind=index, build_at=1)
    less, more = (IndexAdvisor().estimate(spec, n, 64) for n in (count, 4 * count))
    assert less.memory_bytes <= more.memory_bytes
    assert less.build_s <= more.build_s


def test_below_build_at_an_estimate_is_that_of_a_flat_index():
    advisor = IndexAdvisor()
    small = advisor.estimate(IndexSpec(kind="hnsw"), 5_000, 64)
    flat = advisor.estimate(IndexSpec(), 5_000, 64)
    assert (small.latency_ms, small.memory_bytes) == (
        flat.latency_ms,
        flat.memory_bytes,
    )
    assert small.recall == 1.0


def test_the_costs_of_a_machine_are_taken():
    slow = IndexAdvisor(IndexCosts(scan=300.0))
    assert slow.recommend(Workload(count=5_000, dimension=384)).best.spec.kind != "flat"


@pytest.mark.parametrize(
    ("demand", "says"),
    [
        ({"count": 0}, "count=0: use 1 or more"),
        ({"churn": -1}, "churn=-1: use 0 or more"),
        ({"max_latency_ms": 0}, "max_latency_ms=0: use a positive"),
        ({"min_recall": 95}, "min_recall=95 is no share"),
    ],
)
def test_demands_that_make_no_sense_are_refused(demand, says):
    with pytest.raises(ConfigurationError, match=says):
        Workload(**{"count": 1, "dimension": 1, **demand})
