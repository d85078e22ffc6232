"""The shipped traffic log: what the demo's figures rest on."""

from __future__ import annotations

import json
from collections import Counter
from importlib.resources import files
from pydoc_data.topics import topics

import pytest

ROWS = [
    json.loads(line)
    for line in files("langchain_llmops.cli")
    .joinpath("data/questions.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]
BY_ID = {row["id"]: row for row in ROWS}
PLACE = {row["id"]: place for place, row in enumerate(ROWS)}

# kind: smallest and largest share of the log
SHARES = {
    "ask": (0.38, 0.50),
    "repeat": (0.15, 0.22),
    "paraphrase": (0.10, 0.18),
    "follow_up": (0.05, 0.10),
    "look_alike": (0.08, 0.13),
    "unanswerable": (0.03, 0.05),
    "pii": (0.001, 0.01),
    "injection": (0.001, 0.01),
    "long_paste": (0.001, 0.01),
}
RESEMBLING = ("repeat", "paraphrase", "look_alike")


def of_kind(*kinds):
    return [row for row in ROWS if row["kind"] in kinds]


def normal(question):
    """A question without case, surrounding punctuation and extra white space.

    Punctuation inside a word stays: `//` is not `/`, and `__new__` not `new`.
    """
    words = (word.strip("`'\"?!.,") for word in question.casefold().split())
    return " ".join(word for word in words if word)


def right_topics(row):
    return {row["topic"], *row.get("also", ())}


def meaning(row):
    """The row whose answer this one may share: itself, or what it says again."""
    while row["kind"] in ("repeat", "paraphrase"):
        row = BY_ID[row["of"]]
    return row["id"]


def turns_before(row):
    return [
        earlier
        for earlier in ROWS[: PLACE[row["id"]]]
        if earlier["session"] == row["session"]
    ]


def test_every_row_has_the_columns_of_its_kind():
    for row in ROWS:
        needed = {"id", "kind", "session", "question", "topic"}
        needed |= {"of"} if row["kind"] in RESEMBLING else set()
        assert needed <= row.keys() <= needed | {"also"}, row["id"]
        assert row["question"].strip(), row["id"]


def test_ids_are_unique_and_in_file_order():
    assert [row["id"] for row in ROWS] == [f"q{n:03d}" for n in range(1, len(ROWS) + 1)]


@pytest.mark.parametrize("kind", SHARES)
def test_each_kind_has_a_realistic_share(kind):
    low, high = SHARES[kind]
    assert low <= len(of_kind(kind)) / len(ROWS) <= high


def test_the_log_is_about_three_hundred_questions_of_known_kinds():
    assert 280 <= len(ROWS) <= 340
    assert {row["kind"] for row in ROWS} == set(SHARES)


def test_topics_exist_and_most_of_them_are_asked_for():
    named = [topic for row in ROWS for topic in right_topics(row) if topic]
    assert set(named) <= set(topics)
    assert len(set(named)) >= 75


def test_only_what_the_reference_cannot_answer_has_no_topic():
    without = {row["kind"] for row in ROWS if row["topic"] is None}
    assert without == {"unanswerable", "injection"}
    assert all(row["topic"] is None for row in of_kind("unanswerable", "injection"))


def test_also_lists_other_topics_than_the_best_one():
    for row in ROWS:
        also = row.get("also", ())
        assert len(set(also)) == len(also), row["id"]
        assert row["topic"] not in also, row["id"]


def test_of_names_an_earlier_row():
    for row in of_kind(*RESEMBLING):
        assert PLACE[row["of"]] < PLACE[row["id"]], row["id"]


def test_a_repeat_says_the_same_words_for_the_same_topic():
    for row in of_kind("repeat"):
        original = BY_ID[row["of"]]
        assert normal(row["question"]) == normal(original["question"]), row["id"]
        assert right_topics(row) == right_topics(original), row["id"]


def test_repeats_are_both_verbatim_and_spelled_differently():
    verbatim = Counter(
        row["question"] == BY_ID[row["of"]]["question"] for row in of_kind("repeat")
    )
    assert min(verbatim[True], verbatim[False]) >= 20


def test_a_paraphrase_asks_for_the_same_topic_in_other_words():
    for row in of_kind("paraphrase"):
        original = BY_ID[row["of"]]
        assert normal(row["question"]) != normal(original["question"]), row["id"]
        assert right_topics(row) == right_topics(original), row["id"]


def test_a_look_alike_shares_most_words_but_not_the_meaning():
    for row in of_kind("look_alike"):
        mine = set(normal(row["question"]).split())
        other = set(normal(BY_ID[row["of"]]["question"]).split())
        assert mine != other, row["id"]
        assert len(mine & other) / len(mine | other) >= 0.5, row["id"]


def test_the_classic_pairs_are_there_as_look_alikes():
    pairs = [
        (row["question"], BY_ID[row["of"]]["question"]) for row in of_kind("look_alike")
    ]
    for one, other in [
        ("nonlocal", "global"),
        ("the is operator", "the == operator"),
        ("__init__", "__new__"),
        ("__getattribute__", "__getattr__"),
        ("continue", "break"),
        ("finally", "else"),
        ("//", "/"),
        (">>", "<<"),
        ("async with", "with"),
        ("assert", "raise"),
        ("tuple", "list"),
        ("10 ** -2", "10 ** 2"),
    ]:
        assert any(one in mine and other in theirs for mine, theirs in pairs), one


def test_equal_words_mean_the_same_except_as_follow_ups():
    meanings = {}
    for row in ROWS:
        if not turns_before(row):
            first = meanings.setdefault(normal(row["question"]), meaning(row))
            assert meaning(row) == first, row["id"]


def test_the_same_follow_up_is_asked_about_different_topics():
    asked = {}
    for row in of_kind("follow_up"):
        asked.setdefault(normal(row["question"]), set()).add(row["topic"])
    assert max(len(found) for found in asked.values()) >= 3


def test_follow_ups_come_after_a_turn_of_their_session():
    for row in of_kind("follow_up"):
        assert turns_before(row), row["id"]


def test_a_session_goes_on_only_with_follow_ups():
    for row in ROWS:
        if turns_before(row):
            asked = BY_ID[meaning(row)]
            assert asked["kind"] == "follow_up", row["id"]


def test_sessions_are_numbered_as_they_open():
    opened = list(dict.fromkeys(row["session"] for row in ROWS))
    assert opened == [f"s{n:03d}" for n in range(1, len(opened) + 1)]


def test_repeats_come_back_soon_and_late():
    gaps = sorted(PLACE[row["id"]] - PLACE[row["of"]] for row in of_kind("repeat"))
    assert gaps[len(gaps) // 4] <= 40
    assert gaps[-len(gaps) // 4] >= 80


def test_special_rows_are_what_they_say():
    (pii,) = of_kind("pii")
    assert "@" in pii["question"]
    (injection,) = of_kind("injection")
    assert "previous instructions" in injection["question"]
    (pasted,) = of_kind("long_paste")
    assert 1_300 <= len(pasted["question"].split()) <= 1_700
    assert "Traceback (most recent call last)" in pasted["question"]
