"""Terms: inflections meet, names stay whole, words of grammar count little."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.testing.words import STOP_WEIGHT, content_words, stem, terms


def content(text: str) -> list[str]:
    return [term for term, weight in terms(text) if weight > STOP_WEIGHT]


@pytest.mark.parametrize(
    "forms",
    [
        ("statement", "statements"),
        ("assign", "assigns", "assigned", "assigning"),
        ("define", "defines", "defined", "defining"),
        ("class", "classes"),
        ("query", "queries"),
        ("stop", "stopped", "stopping"),
        ("yield", "yields", "yielded"),
    ],
)
def test_the_forms_of_a_word_share_a_stem(forms):
    assert len({stem(form) for form in forms}) == 1


@pytest.mark.parametrize("word", ["is", "this", "sing", "red", "bus", "漢字", "été"])
def test_what_only_looks_inflected_stays(word):
    assert stem(word) == word


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What does the `is` operator do?", ["is", "operator"]),
        ('the "is" operator', ["is", "operator"]),
        ("is it == or !=?", ["==", "!="]),
        ("the for loop", ["for", "loop"]),
        ("for the loop", ["loop"]),
        ("Python -O", ["python", "-o"]),
        ("a + b", ["+"]),
        ("call print(x)", ["call", "print"]),
        ("version 3.11", ["version", "3.11"]),
        ("WHAT DOES THE NONLOCAL STATEMENT DO?", ["nonlocal", "statement"]),
        ("catch a ValueError", ["catch", "valueerror"]),
        ("", []),
    ],
)
def test_names_count_and_grammar_does_not(text, expected):
    assert content(text) == expected


@pytest.mark.parametrize("text", ["__init__", "`__init__`", "`__init__()`"])
def test_an_identifier_is_one_term_however_it_is_written(text):
    assert content(text)[0] == "__init__"


def test_the_parts_of_an_identifier_count_less_than_the_whole():
    weights = dict(terms("max_token_count"))
    assert weights["max_token_count"] == 1.0
    assert 0 < weights["token"] < 0.5


def test_what_follows_a_dot_is_the_name():
    weights = dict(terms("list.extend"))
    assert weights == {"list": 0.5, "extend": 1.0}


def test_content_words_are_shown_as_they_were_written():
    text = "Where does Ada keep the `walrus` and Ada's `walrus`?"
    assert content_words(text, limit=3) == ["Ada", "keep", "walrus"]


@given(st.text())
def test_any_text_has_terms_with_weights_from_zero_to_one(text):
    assert all(term and 0 < weight <= 1 for term, weight in terms(text))
