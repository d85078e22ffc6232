"""Labels are bounded whatever the traffic, and the frequent ones are told apart."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.observability.label_sets import OTHER, FrequentKeys, LabelSets

KEYS = st.lists(
    st.tuples(st.sampled_from("mn"), st.integers(0, 6), st.integers(0, 300)).map(
        lambda key: tuple(map(str, key))
    ),
    max_size=400,
)


@given(keys=KEYS, most=st.integers(10, 60))
def test_there_are_never_more_combinations_than_asked_for(keys, most):
    labels = LabelSets(most, width=3, fixed=1)
    counted = Counter(labels.bounded(key) for key in keys)
    assert len(counted) <= len(labels) <= most
    assert sum(counted.values()) == len(keys)


@given(keys=KEYS, most=st.integers(10, 60))
def test_only_the_last_labels_are_given_up(keys, most):
    labels = LabelSets(most, width=3, fixed=1)
    for key in keys:
        bounded = labels.bounded(key)
        kept = sum(1 for label in bounded if label != OTHER)
        assert bounded == key[:kept] + (OTHER,) * (3 - kept)


@given(keys=KEYS)
def test_few_combinations_are_all_told_apart(keys):
    labels = LabelSets(10_000, width=3, fixed=1)
    assert all(labels.bounded(key) == key for key in keys)


@given(keys=KEYS, most=st.integers(10, 60))
def test_a_combination_that_is_told_apart_stays(keys, most):
    labels = LabelSets(most, width=3, fixed=1)
    told_apart = {key for key in keys if labels.bounded(key) == key}
    assert all(labels.bounded(key) == key for key in told_apart)


@pytest.mark.parametrize("crowd", [1_000, 20_000])
def test_a_frequent_key_that_comes_late_is_admitted(crowd):
    keys = FrequentKeys(room=50)
    for number in range(crowd):
        keys.admits((f"once-{number}",))
    admitted = [keys.admits((f"once-{crowd + n}",)) for n in range(100)]
    assert not any(admitted)
    # A quarter of the traffic from now on.
    answers = []
    for number in range(crowd):
        answers.append(keys.admits(("regular",)))
        for rare in range(3):
            keys.admits((f"later-{number}-{rare}",))
    assert answers[-1]
    assert len(keys) <= 50


def test_users_who_come_once_leave_room_for_regulars():
    keys = FrequentKeys(room=20)
    for number in range(10_000):
        keys.admits((f"user-{number}",))
    assert len(keys) == 10


def test_a_feature_survives_its_many_tenants():
    labels = LabelSets(40, width=2, fixed=0)
    for number in range(1_000):
        labels.bounded(("chat", f"tenant-{number}"))
    assert labels.bounded(("chat", "tenant-x")) == ("chat", OTHER)
