"""A summary takes the place of those below it, and never covers a message twice."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.memory.stores.base import SessionSummary
from langchain_llmops.memory.stores.ladder import replaced_by

RANGES = st.tuples(st.integers(0, 20), st.integers(1, 8), st.integers(0, 2)).map(
    lambda drawn: summary(drawn[0], drawn[0] + drawn[1], drawn[2])
)


def summary(start: int, stop: int, level: int = 0) -> SessionSummary:
    return SessionSummary(
        start=start,
        stop=stop,
        text="",
        level=level,
        at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@given(st.lists(RANGES, max_size=20))
def test_no_message_is_ever_covered_twice_or_uncovered_again(offered):
    known: dict[int, SessionSummary] = {}
    covered: set[int] = set()
    for new in offered:
        gone = replaced_by(new, known.values())
        if gone is None:
            continue
        for start in gone:
            assert known.pop(start).level < new.level
        known[new.start] = new
        now = [seq for each in known.values() for seq in range(each.start, each.stop)]
        assert len(now) == len(set(now))
        assert covered <= set(now)
        covered = set(now)


def test_beside_others_nothing_is_replaced():
    assert replaced_by(summary(5, 8), [summary(0, 5), summary(8, 9)]) == []


def test_of_two_for_the_same_range_the_second_is_refused():
    assert replaced_by(summary(0, 5), [summary(0, 5)]) is None


def test_a_higher_one_replaces_what_lies_in_its_range():
    known = [summary(0, 5), summary(6, 8), summary(9, 12)]
    assert replaced_by(summary(0, 8, level=1), known) == [0, 6]
