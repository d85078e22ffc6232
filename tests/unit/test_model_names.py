"""Names are taken apart alike however they are spelt, and nothing raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.model_names import ModelName, parse, provider_id

BEDROCK = "anthropic.claude-sonnet-4-5-20250929-v1:0"
CLAUDE = "claude-sonnet-4-5-20250929"
TUNED = "ft:gpt-4o-mini-2024-07-18:acme::id"


def named(model, provider=None, **parts):
    return ModelName(**{"provider": provider, "model": model, "base": model, **parts})


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("gpt-4o", named("gpt-4o")),
        ("  GPT-4o ", named("gpt-4o")),
        ("openai/gpt-4o", named("gpt-4o", "openai")),
        ("openai:gpt-4o", named("gpt-4o", "openai")),
        ("azure/my-deployment", named("my-deployment", "azure")),
        ("azure_openai:gpt-4o", named("gpt-4o", "azure")),
        (
            "azure/eu/gpt-4o-2024-08-06",
            named("gpt-4o-2024-08-06", "azure", region="eu"),
        ),
        ("gpt-4o-2024-08-06", named("gpt-4o-2024-08-06")),
        ("models/gemini-2.5-pro", named("gemini-2.5-pro", "google")),
        ("google_genai:models/gemini-2.5-pro", named("gemini-2.5-pro", "google")),
        ("gemini/gemini-2.5-pro", named("gemini-2.5-pro", "google")),
        (
            "vertex_ai/claude-sonnet-4@20250514",
            named("claude-sonnet-4@20250514", "google"),
        ),
        (
            "projects/p/locations/us-central1/publishers/google/models/gemini-2.5-pro",
            named("gemini-2.5-pro", "google", region="us-central1"),
        ),
        (
            "publishers/anthropic/models/claude-sonnet-4",
            named("claude-sonnet-4", "google"),
        ),
        (
            "accounts/fireworks/models/qwen3",
            named("accounts/fireworks/models/qwen3", "fireworks"),
        ),
        ("groq/openai/gpt-oss-120b", named("openai/gpt-oss-120b", "groq")),
        (
            "openrouter/anthropic/claude-3.5",
            named("anthropic/claude-3.5", "openrouter"),
        ),
        ("ollama/llama3.1:8b", named("llama3.1:8b", "ollama")),
        ("ollama:llama3.1:8b", named("llama3.1:8b", "ollama")),
        ("gpt-oss:20b", named("gpt-oss:20b")),
        ("meta-llama/Llama-3.3-70B", named("meta-llama/llama-3.3-70b")),
        ("mistralai:mistral-large", named("mistral-large", "mistral")),
        ("mistralai/Mixtral-8x7B", named("mistralai/mixtral-8x7b")),
    ],
)
def test_spellings(spelling, expected):
    assert parse(spelling) == expected


@pytest.mark.parametrize(
    ("spelling", "region"),
    [
        (BEDROCK, None),
        (f"us.{BEDROCK}", "us"),
        (f"us-gov.{BEDROCK}", "us-gov"),
        (f"global.{BEDROCK}", "global"),
        (f"bedrock/eu.{BEDROCK}", "eu"),
        (f"bedrock/us-east-1/{BEDROCK}", "us-east-1"),
        (f"anthropic:apac.{BEDROCK}", "apac"),
        (f"arn:aws:bedrock:us-east-1:12345:inference-profile/us.{BEDROCK}", "us"),
        (f"arn:aws:bedrock:eu-west-3::foundation-model/{BEDROCK}", "eu-west-3"),
    ],
)
def test_bedrock_ids_name_region_and_published_model(spelling, region):
    expected = named(BEDROCK, "aws", base=CLAUDE, region=region)
    assert parse(spelling) == expected


@pytest.mark.parametrize(
    ("spelling", "base"),
    [
        ("us.amazon.nova-pro-v1:0", "nova-pro"),
        ("amazon.nova-pro-v1:0:300k", "nova-pro"),
        ("openai.gpt-oss-120b-1:0", "gpt-oss-120b"),
        ("us.anthropic.claude-opus-5-5", "claude-opus-5-5"),
    ],
)
def test_bedrock_version_suffixes_are_not_part_of_the_published_name(spelling, base):
    assert parse(spelling).base == base


@pytest.mark.parametrize("spelling", [TUNED, f"openai/{TUNED}", f"openai:{TUNED}"])
def test_openai_fine_tunes_name_their_base(spelling):
    assert parse(spelling) == named(
        TUNED, "openai", base="gpt-4o-mini-2024-07-18", fine_tuned=True
    )


def test_azure_fine_tunes_name_their_base():
    tuned = "gpt-4o-mini-2024-07-18.ft-0123-acme"
    for spelling in (tuned, f"azure/{tuned}"):
        assert parse(spelling) == named(
            tuned, "azure", base="gpt-4o-mini-2024-07-18", fine_tuned=True
        )


@pytest.mark.parametrize(
    ("spelling", "expected"),
    [
        ("openai", "openai"),
        ("azure_openai", "azure"),
        ("google_genai", "google"),
        ("google_vertexai", "google"),
        ("amazon_bedrock", "aws"),
        ("bedrock_converse", "aws"),
        ("anthropic-bedrock", "aws"),
        ("mistralai", "mistral"),
        ("xai", "x-ai"),
        ("My_Gateway", "my_gateway"),
    ],
)
def test_providers_have_one_spelling(spelling, expected):
    assert provider_id(spelling) == expected


@given(st.text())
def test_any_text_is_a_name(text):
    name = parse(text)
    assert name.model in text.strip().lower()
    assert bool(name.model) == bool(text.strip())
    assert name.base in name.model


@given(st.text(), st.sampled_from(["openai", "azure", "groq", "openrouter"]))
def test_a_prefix_says_who_serves_the_model(text, provider):
    for separator in "/:":
        name = parse(f"{provider}{separator}x{text}")
        assert name.provider == provider


@given(st.text())
def test_provider_spelling_is_settled_after_one_pass(text):
    assert provider_id(provider_id(text)) == provider_id(text)
