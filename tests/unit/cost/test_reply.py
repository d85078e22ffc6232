"""What a reply says is read from every integration's way of saying it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    Generation,
    LLMResult,
)

from langchain_llmops.cost.usage import Reply, mark_in, read_reply, usage_so_far
from langchain_llmops.pricing import Usage
from langchain_llmops.types import CACHE_KEY

USAGE = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}


def result(message, envelope=None):
    return LLMResult(
        generations=[[ChatGeneration(message=message)]], llm_output=envelope
    )


def read(usage=None, envelope=None, /, **said):
    message = AIMessage("x", usage_metadata=usage, response_metadata=said)
    return read_reply(result(message, envelope))


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        (
            {  # OpenAI, Azure
                "prompt_tokens": 100,
                "completion_tokens": 20,
                "prompt_tokens_details": {"cached_tokens": 40, "audio_tokens": 1},
                "completion_tokens_details": {"reasoning_tokens": 5, "audio_tokens": 2},
            },
            Usage(100, 20, 40, 0, 0, 1, 2, 5),
        ),
        (
            {  # Anthropic: cached input beside the input
                "input_tokens": 100,
                "output_tokens": 20,
                "cache_read_input_tokens": 40,
                "cache_creation_input_tokens": 30,
            },
            Usage(170, 20, 40, 30),
        ),
        (
            {  # Bedrock
                "inputTokens": 100,
                "outputTokens": 20,
                "cacheReadInputTokens": 40,
                "cacheWriteInputTokens": 30,
            },
            Usage(170, 20, 40, 30),
        ),
        (
            {  # Gemini: thoughts beside the candidates
                "prompt_token_count": 100,
                "candidates_token_count": 20,
                "cached_content_token_count": 40,
                "thoughts_token_count": 5,
            },
            Usage(100, 25, 40, reasoning=5),
        ),
    ],
    ids=["openai", "anthropic", "bedrock", "gemini"],
)
@pytest.mark.parametrize("key", ["token_usage", "usage"])
def test_the_providers_own_numbers_are_read_where_langchains_are_missing(
    key, raw, usage
):
    assert read(**{key: raw}).usage == usage
    assert read(None, {key: raw}).usage == usage
    assert read(USAGE, **{key: raw}).usage == Usage(100, 10)


@pytest.mark.parametrize(
    "usage", [None, {**USAGE, "input_tokens": 0} | {"output_tokens": 0}]
)
def test_a_reply_without_a_token_reports_nothing(usage):
    assert read(usage).usage is None


def test_a_text_models_envelope_is_read():
    envelope = {"token_usage": {"prompt_tokens": 3, "completion_tokens": 4}}
    reply = read_reply(
        LLMResult(
            generations=[[Generation(text="x")]],
            llm_output={**envelope, "model_name": "gpt-3.5-turbo-instruct"},
        )
    )
    assert reply.usage == Usage(3, 4)
    assert reply.model == "gpt-3.5-turbo-instruct"


def test_a_sibling_of_a_shared_request_is_told_by_its_emptied_usage():
    envelope = {"token_usage": {"prompt_tokens": 3}, "model_name": "m"}
    both = LLMResult(
        generations=[[Generation(text="x")], [Generation(text="y")]],
        llm_output=envelope,
    )
    first, second = map(read_reply, both.flatten())
    assert (first.billed_to_sibling, second.billed_to_sibling) == (False, True)
    assert second.usage is None


@pytest.mark.parametrize("key", ["model_name", "model", "model_id"])
def test_the_model_is_named_under_several_keys(key):
    assert read(**{key: "m"}).model == "m"
    assert read(None, {key: "m"}).model == "m"


@pytest.mark.parametrize(
    ("said", "tier"),
    [
        ({"service_tier": "flex"}, "flex"),
        ({"service_tier": {"type": "priority"}}, "priority"),  # Bedrock
        ({"usage": {"service_tier": "batch"}}, "batch"),  # Anthropic
        ({"usage": {"service_tier": "standard", "speed": "fast"}}, "fast"),
        ({"service_tier": None}, None),
        ({"service_tier": 3}, None),
    ],
)
def test_the_service_tier_is_found(said, tier):
    assert read(USAGE, **said).service_tier == tier


def test_a_tier_among_the_details_is_found():
    usage = {**USAGE, "input_token_details": {"priority": 100}}
    assert read(usage).service_tier == "priority"


def test_names_of_a_stream_are_read_from_one_chunk():
    # Each of two choices ends with a chunk that says so; merged, the names are joined.
    said = {"model_name": "gpt-4o", "service_tier": "flex"}
    chunk = ChatGenerationChunk(message=AIMessageChunk("", response_metadata=said))
    merged = chunk + chunk
    assert merged.message.response_metadata["model_name"] == "gpt-4ogpt-4o"
    reply = read_reply(result(merged.message), [chunk, chunk])
    assert (reply.model, reply.service_tier) == ("gpt-4o", "flex")


def test_several_generations_carry_one_usage():
    generations = [ChatGeneration(message=AIMessage("x", usage_metadata=USAGE))] * 3
    reply = read_reply(LLMResult(generations=[generations]))
    assert reply.usage == Usage(100, 10)


def test_provider_id_envelope_and_zero_cost_are_noted():
    reply = read({**USAGE, "total_cost": 0}, {"id": "x"}, model_provider="openai")
    assert (reply.provider, reply.from_provider, reply.zero_cost) == (
        "openai",
        True,
        True,
    )
    assert not read({**USAGE, "total_cost": 0.1}).zero_cost
    assert not read(USAGE).zero_cost


def test_the_split_of_cache_writes_is_noted_even_where_it_is_zero():
    details = {"ephemeral_1h_input_tokens": 0, "cache_creation": 5}
    assert read({**USAGE, "input_token_details": details}).splits_writes
    assert not read({**USAGE, "input_token_details": {}}).splits_writes


def test_usage_of_a_broken_stream_adds_up():
    chunk = ChatGenerationChunk(message=AIMessageChunk("", usage_metadata=USAGE))
    assert usage_so_far([chunk, "text", {"event": "x"}, chunk]) == Usage(200, 20)
    assert usage_so_far([]) == Usage()


def test_a_mark_is_found_on_any_chunk():
    hit = {"hit": True}
    marked = AIMessageChunk("", response_metadata={CACHE_KEY: hit})
    plain = ChatGenerationChunk(message=AIMessageChunk(""))
    assert mark_in([plain, ChatGenerationChunk(message=marked)]) == hit
    assert mark_in([plain, "x"]) is None


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "usage",
                    "token_usage",
                    "service_tier",
                    "type",
                    "model",
                    "model_name",
                    "prompt_tokens",
                    "output_tokens",
                    "cache_read_input_tokens",
                    "prompt_tokens_details",
                    "cached_tokens",
                    CACHE_KEY,
                    "hit",
                ]
            ),
            inner,
        )
    ),
    max_leaves=12,
)


@given(JUNK, JUNK, JUNK)
def test_no_reply_raises(usage, said, envelope):
    message = AIMessage.model_construct(
        content="x", usage_metadata=usage, response_metadata=said, id=usage
    )
    generation = ChatGeneration.model_construct(message=message)
    reply = read_reply(
        LLMResult.model_construct(generations=[[generation]], llm_output=envelope)
    )
    assert isinstance(reply, Reply)
    assert reply.usage is None or min(reply.usage) >= 0


@given(JUNK)
def test_no_response_raises(response):
    assert read_reply(response, [response]) == Reply()
    assert usage_so_far([response]) == Usage()
