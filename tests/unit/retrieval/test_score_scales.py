"""Scales: there and back, told apart by a few pairs of vectors."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from langchain_llmops.retrieval.score_scales import (
    _SCALES,
    COSINE,
    SPREAD,
    Observation,
    recognise,
)

scales = st.sampled_from(_SCALES)
cosines = st.floats(-1, 1)
lengths = st.floats(0.1, 50)


def seen(scale, pairs):
    return [Observation(scale.score(c, a, b), c, a, b) for c, a, b in pairs]


@given(scales, cosines)
def test_a_score_leads_back_to_its_cosine(scale, cosine):
    assert scale.cosine(scale.score(cosine, 1.0, 1.0)) == pytest.approx(
        cosine, abs=1e-6
    )


@given(scales, st.lists(st.tuples(cosines, lengths, lengths), min_size=3, max_size=8))
def test_what_is_recognised_explains_every_score(scale, pairs):
    assume(max(c for c, _, _ in pairs) - min(c for c, _, _ in pairs) >= SPREAD)
    found = recognise(seen(scale, pairs))
    assert found is not None
    for one in seen(scale, pairs):
        expected = found.score(one.cosine, one.query_length, one.length)
        size = max(1.0, abs(one.score), one.query_length * one.length)
        assert expected == pytest.approx(one.score, abs=3e-3 * size)


@given(scales, st.lists(cosines, min_size=3, max_size=8))
def test_for_vectors_of_length_one_the_cosine_is_always_known(scale, values):
    assume(max(values) - min(values) >= SPREAD)
    pairs = [(cosine, 1.0, 1.0) for cosine in values]
    found = recognise(seen(scale, pairs))
    assert found is not None
    assert not found.needs_lengths


def test_own_vector_right_angle_and_some_tell_every_scale_apart():
    pairs = [(1.0, 1.0, 1.0), (0.0, 1.0, 1.0), (0.6, 1.0, 1.0)]
    names = set()
    for scale in _SCALES:
        found = recognise(seen(scale, pairs))
        names.add(found.name)
        for cosine in (-0.9, 0.3, 0.7, 0.95):
            score = scale.score(cosine, 1.0, 1.0)
            assert found.cosine(score) == pytest.approx(cosine, abs=1e-6)
    assert COSINE.name in names
    assert len(names) >= 10


def test_scores_that_nothing_explains_are_not_guessed():
    assert recognise([Observation(c**3, c, 1, 1) for c in (0.2, 0.5, 0.9)]) is None
