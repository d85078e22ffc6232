"""Usage is read from whatever integrations write, and stays a sound vector."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.pricing import Usage
from langchain_llmops.pricing.usage import tier_of

NAMES = (
    "input_tokens",
    "output_tokens",
    "input_token_details",
    "output_token_details",
    "audio",
    "cache_read",
    "cache_creation",
    "ephemeral_5m_input_tokens",
    "ephemeral_1h_input_tokens",
    "priority",
    "flex_cache_read",
    "reasoning",
    "total_cost",
)
NUMBERS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
DETAILS = st.dictionaries(st.sampled_from(NAMES), NUMBERS)
METADATA = st.dictionaries(
    st.sampled_from(NAMES), NUMBERS | DETAILS | st.lists(DETAILS)
)
USAGES = METADATA.map(Usage.from_metadata)


def is_sound(usage):
    return (
        all(type(count) is int and count >= 0 for count in usage)
        and usage.cache_read + usage.cache_write + usage.input_audio
        <= usage.input_tokens
        and usage.cache_write_1h <= usage.cache_write
        and usage.reasoning + usage.output_audio <= usage.output_tokens
    )


@given(METADATA)
def test_anything_becomes_a_sound_vector(metadata):
    assert is_sound(Usage.from_metadata(metadata))


@given(USAGES, USAGES, USAGES)
def test_addition_is_associative_and_keeps_vectors_sound(a, b, c):
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a + Usage() == a
    assert is_sound(a + b)


def test_usage_is_no_sequence_to_concatenate():
    with pytest.raises(TypeError):
        _ = Usage() + (1, 2)  # noqa: RUF005 - the sum is what is tested


def read(inputs=None, outputs=None, details_in=None, details_out=None):
    return Usage.from_metadata(
        {
            "input_tokens": inputs,
            "output_tokens": outputs,
            "input_token_details": details_in or {},
            "output_token_details": details_out or {},
        }
    )


def test_every_standard_detail_is_read():
    usage = read(
        100,
        50,
        {"cache_read": 10, "cache_creation": 20, "audio": 5},
        {"reasoning": 30, "audio": 7},
    )
    assert usage == Usage(100, 50, 10, 20, 0, 5, 7, 30)


def test_anthropics_split_of_cache_writes_replaces_the_generic_count():
    split = {"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 12}
    for generic in (0, 42):
        usage = read(100, 1, {"cache_creation": generic, **split})
        assert (usage.cache_write, usage.cache_write_1h) == (42, 12)


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_tier_prefixes_of_langchain_openai_are_understood(tier):
    details = {tier: 90, f"{tier}_cache_read": 10}
    usage = read(100, 50, details, {tier: 20, f"{tier}_reasoning": 30})
    assert (usage.cache_read, usage.reasoning) == (10, 30)
    assert tier_of({"input_token_details": details}) == tier


@pytest.mark.parametrize("metadata", [{}, {"input_token_details": None}, {"flex": 1}])
def test_no_tier_is_made_up(metadata):
    assert tier_of(metadata) is None


def test_parts_left_out_of_their_whole_are_added_to_it():
    # Integrations that hand Anthropic's numbers on, or Gemini's thoughts.
    assert read(3, 1, {"cache_read": 10_000}).input_tokens == 10_003
    assert read(1, 5, None, {"reasoning": 80}).output_tokens == 85


def test_audio_is_cut_to_what_is_left():
    assert read(10, 10, {"cache_read": 8, "audio": 9}).input_audio == 2


@pytest.mark.parametrize(
    ("count", "read_as"),
    [(-5, 0), (True, 0), ("7", 0), (7.6, 8), (float("inf"), 0), (float("nan"), 0)],
)
def test_odd_counts(count, read_as):
    assert read(count, 0) == Usage(read_as)
