"""Figures from known turns, and properties that hold for any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.cli.demo.metrics import (
    by_kind,
    judge_hits,
    percentile,
    repeats,
    retrieval_accuracy,
)

SYSTEM = ("system", "Answer from the context.")


def asked(turn, question, *, context="c", **fields):
    prompt = (SYSTEM, ("system", context), ("human", question.text))
    return turn(question, prompt=prompt, **fields)


@given(st.lists(st.integers(0, 10**6), min_size=1), st.integers(1, 99))
def test_a_percentile_lies_among_the_values(values, percent):
    found = percentile(values, percent)
    assert min(values) <= found <= max(values)
    assert found == percentile(values[::-1], percent)


def test_percentiles_of_known_values():
    assert percentile(range(1, 102), 50) == 51
    assert percentile(range(1, 102), 95) == 96
    assert percentile([7.0], 95) == 7.0
    assert percentile([], 50) is None


def test_repeats_count_meanings_and_words(question):
    rows = [
        question("a"),
        question("b", meaning="a"),
        question("c", meaning="a", said_before=True),
        question("d"),
    ]
    share = repeats(rows)
    assert (share.share, share.same_words) == (0.5, 0.25)


def test_retrieval_accuracy_counts_only_what_can_be_judged(question, turn):
    known = question(topics=frozenset({"a", "b"}))
    turns = [
        turn(known, retrieved=("x", "b")),
        turn(known, retrieved=("x",)),
        turn(known, retrieved=(), error="broken"),
        turn(question(), retrieved=("x",)),
    ]
    assert retrieval_accuracy(turns) == 0.5
    assert retrieval_accuracy(turns[3:]) is None


def test_answers_are_counted_by_kind_and_source(question, turn):
    turns = [
        turn(question(kind="ask")),
        turn(question(kind="repeat"), hit="exact"),
        turn(question(kind="repeat"), hit="semantic"),
        turn(question(kind="ask"), error="broken"),
    ]
    assert by_kind(turns) == {
        "ask": {"provider": 1, "failed": 1},
        "repeat": {"exact": 1, "semantic": 1},
    }


def test_a_hit_that_means_the_same_is_right(question, turn):
    first = question("a")
    again = question("b", kind="paraphrase", of="a", meaning="a")
    hits = judge_hits([asked(turn, first), asked(turn, again, hit="semantic")])
    assert (hits.exact, hits.semantic, hits.false) == (0, 1, ())


def test_a_hit_on_a_look_alike_is_false_even_within_one_topic(question, turn):
    both = {"topics": frozenset({"comparisons"})}
    first = question("a", **both)
    other = question("b", kind="look_alike", of="a", **both)
    wrong = asked(turn, other, hit="semantic")
    assert judge_hits([asked(turn, first), wrong]).false == ((wrong, first),)


def test_without_labels_topics_tell(question, turn):
    first = question("a", topics=frozenset({"lists"}))
    same = question("b", topics=frozenset({"lists", "tuples"}))
    other = question("c", topics=frozenset({"sets"}))
    unknown = question("d")
    hits = judge_hits(
        [asked(turn, first)]
        + [asked(turn, one, hit="semantic") for one in (same, other, unknown)]
    )
    assert [(turn.question.id, origin.id) for turn, origin in hits.false] == [
        ("c", "a")
    ]


def test_without_labels_and_topics_nothing_is_judged(question, turn):
    turns = [asked(turn, question("a")), asked(turn, question("b"), hit="semantic")]
    assert judge_hits(turns).false is None


def test_an_origin_shares_all_but_the_last_turn(question, turn):
    first = question("a")
    second = question("b", kind="look_alike", of="a")
    again = question("c", kind="repeat", of="b", meaning="b")
    turns = [
        asked(turn, first, context="other evidence"),
        asked(turn, second),
        asked(turn, again, hit="exact"),
    ]
    assert judge_hits(turns).false == ()


def test_a_hit_on_an_answer_of_an_earlier_run_is_counted_but_not_judged(question, turn):
    hits = judge_hits([asked(turn, question("a", of="z"), hit="exact", answer="old")])
    assert (hits.exact, hits.false) == (1, ())


@pytest.mark.parametrize("error", [None, "broken"])
def test_a_failed_turn_is_never_a_hit(question, turn, error):
    hits = judge_hits([turn(question(), hit="exact", error=error)])
    assert hits.exact == (error is None)
