from __future__ import annotations

import numpy as np
import pytest

from langchain_llmops.caching.semantic.boosting import fit_trees


def sample(seed, count=2_000):
    rows = np.random.default_rng(seed).random((count, 4))
    return rows, (rows[:, 0] > 0.5) & (rows[:, 1] < 0.7)


def test_trees_learn_what_no_single_feature_shows():
    trees = fit_trees(*sample(0))
    rows, labels = sample(1)
    assert ((trees.probabilities(rows) > 0.5) == labels).mean() > 0.97


def test_one_row_scores_as_it_does_among_many():
    rows, labels = sample(0, 300)
    trees = fit_trees(rows, labels, trees=20)
    together = trees.probabilities(rows[:10])
    assert [trees(row) for row in rows[:10]] == pytest.approx(together.tolist())
    assert ((together > 0) & (together < 1)).all()


def test_the_same_rows_make_the_same_trees():
    rows, labels = sample(2, 300)
    one, other = (fit_trees(rows, labels, trees=10) for _ in range(2))
    assert np.array_equal(one.leaves, other.leaves)
    assert np.array_equal(one.cuts, other.cuts)


def test_features_that_say_nothing_leave_the_base_rate():
    labels = np.arange(400) % 4 == 0
    trees = fit_trees(np.ones((400, 3)), labels)
    assert trees(np.ones(3)) == pytest.approx(0.25, abs=1e-6)
    assert trees(np.array([-9.0, 5.0, np.inf])) == pytest.approx(0.25, abs=1e-6)
