"""Encoders lose no character, exact or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.testing import encoder as module
from langchain_llmops.testing.encoder import Encoder, encoder

EXACT = encoder("o200k_base")


@pytest.fixture
def approximate(monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """An encoder on a machine without rank files."""
    monkeypatch.setattr(module, "encoding", lambda name: None)
    encoder.cache_clear()
    yield encoder("o200k_base")
    encoder.cache_clear()


@given(st.text())
def test_pieces_join_to_the_text_and_are_as_many_as_tokens(text):
    pieces = EXACT.pieces(text)
    assert "".join(pieces) == text
    assert len(pieces) == len(EXACT.encode(text))


@pytest.mark.parametrize(
    "text", ["", "hello world", "naïve 漢字 👩🏽‍🚀\n\n\tx", "<|endoftext|>"]
)
def test_the_approximation_loses_nothing_either(approximate, text):
    assert not approximate.exact
    assert "".join(approximate.pieces(text)) == text
    assert len(approximate.encode(text)) == len(approximate.pieces(text))


def test_the_approximation_repeats(approximate):
    assert approximate.encode("a walrus") == approximate.encode("a walrus")


@pytest.mark.skipif(not EXACT.exact, reason="rank files are missing: make setup")
def test_the_approximation_errs_on_the_long_side(approximate):
    text = "The lake is deep, and the walrus sings while compilers translate programs. "
    exact = len(EXACT.encode(text * 20))
    assert exact <= len(approximate.encode(text * 20)) <= 2 * exact


@pytest.mark.skipif(not EXACT.exact, reason="rank files are missing: make setup")
def test_ids_are_read_back():
    assert EXACT.decode(EXACT.encode("a walrus")) == "a walrus"
    assert EXACT.decode([10**9]) is None
    assert EXACT.decode([-1]) is None


def test_without_rank_files_ids_cannot_be_read(approximate):
    assert approximate.decode([1]) is None
