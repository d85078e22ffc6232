"""Lexical vectors: what is alike is near, what only looks alike is not."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.testing.embedding import embed


def cosine(one: str, other: str) -> float:
    vectors = embed([one, other])
    return float(vectors[0] @ vectors[1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What does the global statement do?", "what is the global statement for"),
        ("How do I catch exceptions?", "how to handle an exception"),
        ("What are f-strings?", "what is an f-string?"),
        ("Can defaults be mutable?", "May a default be mutable?"),
        ("Explain the global statement", "What does global do?"),
    ],
)
def test_paraphrases_are_near(one, other):
    assert cosine(one, other) > 0.6


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("What does the global statement do?", "What does the nonlocal statement do?"),
        ("When should I use `is`?", "When should I use `==`?"),
        ("When should I use is?", "When should I use ==?"),
        ("What does == do?", "What does != do?"),
        ("What is __new__ for?", "What is __init__ for?"),
        ("What does __getattr__ do?", "What does __getattribute__ do?"),
        ("How does a for loop work?", "How does a while loop work?"),
        ("What does break do in a loop?", "What does continue do in a loop?"),
        ("How does + work?", "How does * work?"),
        ("How do I make a list?", "How do I make a tuple?"),
    ],
)
def test_look_alikes_are_apart(one, other):
    assert cosine(one, other) < 0.9


def test_unrelated_texts_are_far():
    assert abs(cosine("The lake is deep.", "Compilers translate programs.")) < 0.25


@given(st.lists(st.text(max_size=80), min_size=1, max_size=5), st.integers(1, 600))
def test_every_text_has_a_vector_of_length_one(texts, dimensions):
    vectors = embed(texts, dimensions)
    assert vectors.shape == (len(texts), dimensions)
    assert vectors.dtype == np.float32
    lengths = np.linalg.norm(vectors, axis=1)
    # In very few dimensions a text's features may cancel out.
    assert all(np.isclose(lengths, 1, atol=1e-5) | (lengths == 0))
    if dimensions >= 64:
        assert lengths == pytest.approx(np.ones(len(texts)), abs=1e-5)


def test_repetition_does_not_drown_the_rest():
    assert cosine("walrus " * 50 + "lake", "walrus lake") > 0.8


def test_another_process_computes_the_same_vector():
    text = "What does `__init__` do, and == too?"
    code = (
        "from langchain_llmops.testing.embedding import embed\n"
        f"print(embed([{text!r}]).tobytes().hex())"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == embed([text]).tobytes().hex()
