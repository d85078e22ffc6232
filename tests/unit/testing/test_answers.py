"""Answers are quotations of the sentences that fit, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.testing.answers import (
    MAX_WORDS,
    Passage,
    answer,
    not_said,
    sentences,
)

GLOBAL = Passage(
    text="""The "global" statement
**********************

   global_stmt ::= "global" identifier ("," identifier)*

The "global" statement is a declaration which holds for the entire
current code block.  It means that the listed identifiers are to be
interpreted as globals.

   x = 1
   def f():
       global x
"""
)
NONLOCAL = Passage(
    text='The "nonlocal" statement causes the listed identifiers to refer to '
    "previously bound variables in the nearest enclosing scope."
)


@pytest.mark.parametrize(
    ("question", "start"),
    [
        ("What does the global statement do?", 'The "global" statement is a declar'),
        ("what is nonlocal for", 'The "nonlocal" statement causes the listed'),
    ],
)
def test_the_sentence_that_fits_is_quoted(question, start):
    assert answer(question, [GLOBAL, NONLOCAL]).startswith(start)


@pytest.mark.parametrize(
    "question", ["Who won the cup in 2018?", "What is the capital of France?", "?", ""]
)
def test_what_is_not_there_is_not_answered(question):
    assert answer(question, [GLOBAL, NONLOCAL]) is None


def test_without_a_context_there_is_no_answer():
    assert answer("What is nonlocal?", []) is None


def test_look_alikes_get_different_answers():
    texts = ["`is` compares identity.", "`==` compares values."]
    passages = [Passage(text=text) for text in texts]
    assert answer("What does `is` compare?", passages) == "`is` compares identity."
    assert answer("What does == compare?", passages) == "`==` compares values."


def test_markup_rules_grammar_and_code_are_left_out():
    assert sentences(GLOBAL.text) == [
        'The "global" statement',
        (
            'The "global" statement is a declaration which holds for the entire '
            "current code block."
        ),
        "It means that the listed identifiers are to be interpreted as globals.",
    ]


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("**CPython detail:** It *really* works.", "CPython detail: It really works."),
        ("* Use ``x`` and `y`.", "Use `x` and `y`."),
        ("Pass *args or **kwargs.", "Pass *args or **kwargs."),
        ('Use 2 ** 3 or "**".', 'Use 2 ** 3 or "**".'),
    ],
)
def test_emphasis_goes_and_names_stay(text, plain):
    assert " ".join(sentences(text)) == plain


def test_words_cut_at_the_end_of_a_line_are_joined():
    assert sentences("It is pre-\n   existing.") == ["It is pre-existing."]


def test_questions_in_the_context_answer_nothing():
    texts = ["How deep is the lake?", "The lake is 40 m deep."]
    passages = [Passage(text=text) for text in texts]
    assert answer("How deep is the lake?", passages) == "The lake is 40 m deep."


def test_a_repeated_sentence_is_quoted_once():
    assert answer("What causes nonlocal?", [NONLOCAL, NONLOCAL]).count("causes") == 1


def test_the_question_before_helps_a_follow_up():
    texts = ["The lake Zoo is deep.", "The lake Moo is flat."]
    passages = [Passage(text=text) for text in texts]
    assert "Moo" in answer("And the lake?", passages, before="Tell me of Moo")
    assert "Zoo" in answer("And the lake?", passages, before="Tell me of Zoo")


def test_a_long_question_is_answered_by_what_it_is_about():
    question = (
        "Why does my nonlocal statement complain, after lunch yesterday, when all the "
        "colleagues renamed variables in their module?"
    )
    assert answer(question, [GLOBAL, NONLOCAL]) == NONLOCAL.text


def test_words_far_apart_answer_nothing_together():
    may, june = (
        " ".join(f"It rained in {month} on day {day}." for day in range(9))
        for month in ("May", "June")
    )
    text = f"The walrus sings. {may} A piano is black. {june} We sold ten."
    question = "Who sold walrus pianos in Lisbon today?"
    assert answer(question, [Passage(text=text)]) is None


def test_weights_prefer_passages():
    light = Passage(text="The sky was blue yesterday.", weight=0.1)
    heavy = Passage(text="The sky was grey yesterday.")
    assert answer("Which colour had the sky?", [light, heavy]) == heavy.text


def test_what_was_not_said_is_named():
    said = not_said("What is the capital of France?")
    assert said == "The context does not say anything about: capital France."


@given(st.text(max_size=300), st.lists(st.text(max_size=500), max_size=4))
def test_any_answer_is_short_and_taken_from_the_context(question, texts):
    said = answer(question, [Passage(text=text) for text in texts])
    if said is not None:
        assert said
        assert len(said.split()) <= MAX_WORDS + 1


def test_a_long_sentence_is_cut():
    text = "The walrus " + "really " * 200 + "sings."
    said = answer("What does the walrus do?", [Passage(text=text)])
    assert said.endswith(" …")
    assert len(said.split()) == MAX_WORDS + 1
