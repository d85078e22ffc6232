"""Measuring indexes: against the truth, in the clock's time, one for each spec."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.retrieval import IndexSpec, benchmark_index
from langchain_llmops.retrieval.index_benchmark import DEFAULT_SPECS


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((40, 16))[rng.integers(40, size=820)]
    rows = (rows + 0.3 * rng.standard_normal((820, 16))) * rng.uniform(1, 9, (820, 1))
    return rows[:800], rows[800:]


def test_each_kind_is_measured_against_the_exact_neighbours(data):
    ticks = itertools.count()
    measured = benchmark_index(*data, clock=lambda: float(next(ticks)))
    assert [one.spec for one in measured] == list(DEFAULT_SPECS)
    by_kind = {one.spec.kind: one for one in measured}
    assert by_kind["flat"].recall == 1.0
    assert by_kind["flat"].cosine_error < 1e-6
    assert all(one.recall > 0.8 for one in measured)
    assert by_kind["sq8"].cosine_error < 0.01
    assert by_kind["flat"].memory_bytes >= 800 * 16 * 4
    assert by_kind["sq8"].memory_bytes < by_kind["flat"].memory_bytes / 2
    assert {(one.p50_ms, one.p95_ms, one.build_s) for one in measured} == {
        (1000.0, 1000.0, 1.0)
    }


def test_a_wider_search_finds_more():
    rows = np.random.default_rng(5).standard_normal((820, 16))
    narrow, wide = benchmark_index(
        rows[:800],
        rows[800:],
        specs=[IndexSpec(kind="ivf", lists=20, probes=probes) for probes in (1, 20)],
    )
    assert narrow.recall < wide.recall == 1.0


def test_fewer_vectors_than_neighbours_are_all_found(data):
    (measured,) = benchmark_index(data[0][:3], data[1], specs=[IndexSpec()])
    assert measured.recall == 1.0


@pytest.mark.parametrize(
    ("vectors", "queries", "says"),
    [
        ([[1.0, 2.0]], [[1.0]], "queries have 1 dimensions, vectors 2"),
        ([], [[1.0]], r"vectors have the shape \(0,\)"),
        ([[1.0]], [1.0], r"queries have the shape \(1,\)"),
    ],
)
def test_tables_that_do_not_fit_are_refused(vectors, queries, says):
    with pytest.raises(ConfigurationError, match=says):
        benchmark_index(vectors, queries)
