"""Hot rows: what is known of a session is right, and bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.memory.stores.hot import HotRows
from langchain_llmops.memory.stores.log import Row

SIZE = 201
"""What a row of one letter counts."""


def rows(start: int, stop: int, body: str = "x") -> list[Row]:
    return [Row(seq, 0.0, 1, body) for seq in range(start, stop)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.booleans(),
            st.integers(0, 30),
            st.integers(0, 12),
        )
    ),
    st.integers(0, 40),
)
def test_what_is_given_is_right_and_within_bounds(steps, fits):
    hot = HotRows(fits * SIZE)
    for born, writes, start, length in steps:
        if writes:
            hot.put(born, rows(start, start + length))
        found = hot.get(born, start, start + length)
        seqs = [row.seq for row in found]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else True
        assert all(start <= seq < start + length for seq in seqs)
        runs = hot._runs.values()
        assert hot._size == sum(run.size for run in runs) <= fits * SIZE
        assert all(run.size == len(run.rows) * SIZE for run in runs)


@pytest.mark.parametrize("second", [(3, 9), (5, 9), (0, 3), (0, 2), (2, 4), (0, 9)])
def test_ranges_that_meet_are_joined(second):
    hot = HotRows(10_000)
    hot.put("a", rows(2, 5))
    hot.put("a", rows(*second))
    start, stop = min(2, second[0]), max(5, second[1])
    assert hot.get("a", 0, 99) == rows(start, stop)


def test_a_range_apart_takes_the_place_of_the_known_one():
    hot = HotRows(10_000)
    hot.put("a", rows(2, 5))
    hot.put("a", rows(6, 8))
    assert hot.get("a", 0, 99) == rows(6, 8)
    assert hot.get("a", 2, 5) == []


def test_the_session_that_was_not_used_for_longest_goes_first():
    hot = HotRows(2 * SIZE)
    hot.put("a", rows(0, 1))
    hot.put("b", rows(0, 1))
    hot.get("a", 0, 1)
    hot.put("c", rows(0, 1))
    assert [bool(hot.get(born, 0, 1)) for born in "abc"] == [True, False, True]


def test_of_a_session_that_is_too_large_the_newest_rows_stay():
    hot = HotRows(3 * SIZE)
    hot.put("a", rows(0, 10))
    assert hot.get("a", 0, 99) == rows(7, 10)
    hot.put("a", rows(10, 11, "x" * 1_000_000))
    assert hot.get("a", 0, 99) == []
    hot.put("a", rows(11, 12))
    assert hot.get("a", 0, 99) == rows(11, 12)


def test_a_session_can_be_forgotten():
    hot = HotRows(10_000)
    hot.put("a", rows(0, 3))
    hot.drop("a")
    hot.drop("nobody")
    assert (hot.get("a", 0, 3), hot._size) == ([], 0)
