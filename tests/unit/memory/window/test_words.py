"""Words as ranking compares them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.memory.window.words import speaker_of, stem, words


@pytest.mark.parametrize(
    "forms",
    [
        "paint paints painted painting",
        "hike hikes hiked hiking",
        "run runs ran running",
        "study studies studied studying",
        "adopt adopted adoption",
        "buy buys bought buying",
        "child children kids",
        "city cities",
        "stop stopped stopping",
    ],
)
def test_forms_of_a_word_have_one_stem(forms):
    assert len(set(map(stem, forms.split()))) == 1


@pytest.mark.parametrize("pair", ["bus bush", "sing sign", "1999 199"])
def test_different_words_keep_different_stems(pair):
    one, other = pair.split()
    assert stem(one) != stem(other)


@given(st.text())
def test_any_text_has_words_and_any_word_a_stem(text):
    assert all(stem(word) for word in words(text))


def test_scripts_without_spaces_give_pairs_of_characters():
    assert words("Hi, 你好世界 5pm!") == ["hi", "你好", "好世", "世界", "5pm"]
    assert words("Привет, it's ok") == ["привет", "it", "s", "ok"]


@pytest.mark.parametrize(
    ("text", "who"),
    [
        ("Ann: Hello!", "ann"),
        ("Dr. O'Neil: Next.", "dr. o'neil"),
        ("No speaker here", None),
        ("12:30 is fine", None),
        ("https://example.com", None),
    ],
)
def test_a_line_of_a_transcript_names_its_speaker(text, who):
    assert speaker_of(text) == who
