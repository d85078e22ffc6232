from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.caching.semantic.question import (
    MAX_CHARACTERS,
    is_self_contained,
    semantic_text,
)


@pytest.mark.parametrize(
    "question",
    [
        "How do I sort a list?",
        "Is it possible to undo a commit?",
        "How long does it take to learn Rust?",
        "What is Python and why is it popular?",
        "What is 2 + 2?",
        "2+2",
        "What does `==` do?",
        "What does `it` do?",
        "它的首都是什么?",
        "Summarize Hamlet",
        "Which city is the capital of France?",
    ],
)
def test_questions_that_name_their_topic_stand_for_themselves(question):
    assert is_self_contained(question)


@pytest.mark.parametrize(
    "question",
    [
        "",
        "?!",
        "why?",
        "And why?",
        "and in Python 3?",
        "What about Spain?",
        "how about it",
        "What is its capital?",
        "Is that legal?",
        "Does it work with Windows?",
        "What does this error mean?",
        "Tell me more",
        "continue",
        "Summarize",
        "Give me another example",
        "Show the same in Java",
        "thanks!",
        "But 3?",
    ],
)
def test_questions_that_lean_on_an_earlier_turn_do_not(question):
    assert not is_self_contained(question)
    assert semantic_text(question) is None


def test_the_text_that_is_embedded_has_plain_spaces():
    assert semantic_text("  sort \n\t a list ") == "sort a list"


def test_what_a_model_would_cut_off_is_not_embedded():
    longest = ("sort " * MAX_CHARACTERS)[:MAX_CHARACTERS].replace(" ", "x")
    assert semantic_text(longest) == longest
    assert semantic_text(f"{longest}x") is None
    assert semantic_text("sort a list", max_characters=5) is None


@given(st.text(max_size=80))
def test_any_text_is_judged_without_raising(text):
    assert is_self_contained(text) in {True, False}
