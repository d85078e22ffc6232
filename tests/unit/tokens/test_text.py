"""Text of OpenAI's models is counted exactly, whatever it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_llmops.tokens import TokenCount, TokenCounter
from langchain_llmops.tokens import text as text_module
from langchain_llmops.tokens.text import ExactText


@settings(deadline=None)
@given(text=st.text())
def test_count_is_the_length_of_tiktokens_encoding(counter, o200k, text):
    tokens = len(o200k.encode(text, disallowed_special=()))
    assert counter.count(text) == tokens
    assert counter.measure(text) == TokenCount(tokens=tokens, upper_bound=tokens)


def test_counts_of_ordinary_texts(counter, golden):
    cl100k = TokenCounter("gpt-4")
    for case in golden:
        assert counter.count(case["text"]) == case["tokens"]["o200k"]
        assert cl100k.count(case["text"]) == case["tokens"]["cl100k"]


@pytest.mark.parametrize("text", ["<|endoftext|>", "a<|endofprompt|>b", "<|im_start|>"])
def test_special_tokens_in_user_text_are_plain_text(counter, text):
    assert counter.count(text) > 3
    assert counter.measure(text).exact


def test_half_a_surrogate_pair_is_counted(counter):
    assert counter.count("a\ud800b") > 0
    assert TokenCounter("claude-sonnet-4-5").count("a\ud800b") > 0


class Recorder:
    """An encoding that fails, as tiktoken does, on too much white space."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.parts: list[str] = []

    def encode_ordinary(self, text: str) -> list[int]:
        assert max((len(run) for run in spaces(text)), default=0) <= self.limit
        self.parts.append(text)
        return [0] * (len(text) + 1)


def spaces(text: str) -> list[str]:
    runs, run = [], ""
    for character in text:
        run = run + character if character.isspace() else ""
        runs.append(run)
    return runs


@settings(deadline=None)
@given(
    pieces=st.lists(
        st.tuples(st.sampled_from([" ", "\n", "x", "1 "]), st.integers(1, 40))
    )
)
def test_overlong_white_space_is_cut_and_nothing_else_is(pieces):
    text = "".join(piece * times for piece, times in pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_module, "_WINDOW", 10)
        recorder = Recorder(limit=20)
        count = ExactText(recorder).measure(text)
    assert "".join(recorder.parts) == text
    assert count.tokens == len(text) + len(recorder.parts)
    assert count.exact == (len(recorder.parts) == 1)
    longest = max((len(run) for run in spaces(text)), default=0)
    if longest < 10:
        assert recorder.parts == [text]


def test_two_million_spaces_are_counted(counter):
    count = counter.measure("x" + " " * 2_000_000 + "y")
    assert not count.exact
    assert 10_000 < count.tokens < 20_000


def test_one_word_of_a_million_letters_is_counted(counter):
    assert counter.count("a" * 1_000_000) == 125_000
