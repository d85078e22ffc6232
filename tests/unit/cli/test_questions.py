"""Reading a log of questions: what rows mean, and errors that name file and line."""

from __future__ import annotations

import json

import pytest

from langchain_llmops.cli.demo.questions import (
    load_questions,
    parse_questions,
    shipped_questions,
)
from langchain_llmops.errors import ConfigurationError


def parse(*rows):
    return parse_questions([json.dumps(row) for row in rows], source="log.jsonl")


def test_only_the_question_is_required():
    first, second = parse({"question": "Why?"}, {"question": "How?", "topic": None})
    assert (first.id, first.kind, first.session) == ("line 1", "ask", "line 1")
    assert first.topics == second.topics == frozenset()
    assert first.session != second.session


def test_topic_and_also_are_the_right_documents():
    (row,) = parse({"question": "Why?", "topic": "a", "also": ["b"]})
    assert row.topics == {"a", "b"}


def test_a_repeat_or_paraphrase_means_what_its_original_means():
    rows = parse(
        {"id": "a", "question": "Why is the sky blue?"},
        {"id": "b", "kind": "paraphrase", "question": "Blue sky, why?", "of": "a"},
        {"id": "c", "kind": "repeat", "question": "blue sky why", "of": "b"},
        {
            "id": "d",
            "kind": "look_alike",
            "question": "Why is the sea blue?",
            "of": "a",
        },
    )
    assert [row.meaning for row in rows] == ["a", "a", "a", "d"]
    assert [row.said_before for row in rows] == [False, False, True, False]


def test_equal_words_without_labels_mean_the_same():
    rows = parse({"question": "Why `x`?"}, {"question": "why  x"}, {"question": "Who?"})
    assert [row.meaning for row in rows] == ["line 1", "line 1", "line 3"]


def test_equal_follow_ups_mean_what_their_conversations_mean():
    rows = parse(
        {"session": "s", "question": "What is a list?"},
        {"session": "t", "question": "What is a tuple?"},
        {"session": "s", "question": "And how long is it?"},
        {"session": "t", "question": "And how long is it?"},
        {"session": "u", "question": "what is a list"},
        {"session": "u", "question": "and how long is it"},
    )
    meanings = [row.meaning for row in rows]
    assert meanings == ["line 1", "line 2", "line 3", "line 4", "line 1", "line 3"]


def test_blank_lines_and_a_byte_order_mark_are_skipped(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"question": "Why?"}\n\n   \n{"question": "How?"}\n')
    assert [row.id for row in load_questions(path)] == ["line 1", "line 4"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ('["question"]', "expected a JSON object"),
        ('{"topic": "a"}', "'question' is missing or empty"),
        ('{"question": "  "}', "'question' is missing or empty"),
        ('{"question": 3}', "'question' must be a text: 3"),
        ('{"question": "Why?", "also": ["a", 1]}', "'also' must be a list of texts"),
        ('{"question": "Why?", "topics": "a"}', "unknown column 'topics': use id, "),
        ('{"question": "Why?", "of": "later"}', "'of' names 'later'"),
        ('{"question": "Why?", "id": "first"}', "id 'first' is used twice"),
    ],
)
def test_a_malformed_row_is_named_with_file_and_line(tmp_path, line, says):
    path = tmp_path / "log.jsonl"
    path.write_text(f'{{"id": "first", "question": "Why?"}}\n\n{line}\n')
    with pytest.raises(ConfigurationError, match=r"log\.jsonl:3: ") as caught:
        load_questions(path)
    assert says in str(caught.value)


def test_a_log_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="No such file"):
        load_questions(tmp_path / "none.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"question": "na\xefve?"}')
    with pytest.raises(ConfigurationError, match="not UTF-8 at byte 16"):
        load_questions(tmp_path / "latin.jsonl")
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(ConfigurationError, match="holds no questions"):
        load_questions(tmp_path / "empty.jsonl")


def test_the_shipped_log_is_read_with_its_labels():
    rows = shipped_questions()
    assert all(row.said_before for row in rows if row.kind == "repeat")
    assert not any(row.said_before for row in rows if row.kind == "look_alike")
    by_id = {row.id: row for row in rows}
    for row in rows:
        if row.kind == "look_alike":
            assert row.meaning != by_id[row.of].meaning
