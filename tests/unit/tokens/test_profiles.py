"""What is known about a model, from any spelling of its name."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_llmops._encodings import ENCODINGS
from langchain_llmops.tokens.profiles import profile
from langchain_llmops.tokens.scripts import FAMILIES


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-4o", "o200k_base"),
        ("openai/gpt-4o-mini-2024-07-18", "o200k_base"),
        ("ft:gpt-4o-mini:acme::x", "o200k_base"),
        ("chatgpt-4o-latest", "o200k_base"),
        ("o3-mini", "o200k_base"),
        ("gpt-5.4", "o200k_base"),
        ("gpt-4-turbo", "cl100k_base"),
        ("azure/gpt-35-turbo", "cl100k_base"),
        ("text-embedding-3-small", "cl100k_base"),
        ("gpt-oss:20b", "o200k_harmony"),
        ("text-davinci-003", "p50k_base"),
        ("gpt-6-sol", None),
        ("gpt2", None),
        ("claude-opus-4-8", None),
        ("my-deployment", None),
    ],
)
def test_the_encoding_of_a_model(model, encoding):
    assert profile(model).encoding == encoding


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-6-sol", "openai"),
        ("o5-mini", "openai"),
        ("gpt2", "other"),
        ("claude-3-5-sonnet-20241022", "claude"),
        ("claude-sonnet-4-20250514", "claude"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude"),
        ("claude-opus-4-6", "claude"),
        ("claude-opus-4-7", "claude-4.7"),
        ("anthropic/claude-opus-4.8", "claude-4.7"),
        ("claude-sonnet-5", "claude-4.7"),
        ("claude-haiku-latest", "claude-4.7"),
        ("models/gemini-3-pro", "gemini"),
        ("google/gemma-3-27b-it", "gemini"),
        ("meta-llama/Llama-3.3-70B-Instruct", "llama"),
        ("llama2", "other"),
        ("deepseek-r1", "deepseek"),
        ("deepseek-r1-distill-llama-70b", "llama"),
        ("deepseek-r1-distill-qwen-32b", "qwen"),
        ("qwen3:8b", "qwen"),
        ("mistral-small-latest", "mistral"),
        ("codestral-2508", "mistral"),
        ("mistral-7b-instruct", "other"),
        ("grok-4", "other"),
        ("", "other"),
    ],
)
def test_the_estimator_of_a_model(model, family):
    assert profile(model).encoding is None
    assert profile(model).family == family


@pytest.mark.parametrize(
    ("model", "published"),
    [
        ("gpt-3.5-turbo", True),
        ("gpt-4", True),
        ("gpt-4o", True),
        ("gpt-4.1-mini", True),
        ("gpt-5", False),
        ("o1", False),
        ("gpt-oss-120b", False),
        ("gemini-2.5-pro", False),
    ],
)
def test_chat_overhead_is_published_for_the_gpt_models_of_the_cookbook(
    model, published
):
    assert profile(model).chat.published is published


@settings(deadline=None)
@given(model=st.text())
def test_every_name_has_a_profile(model):
    known = profile(model)
    assert known.family in FAMILIES
    assert known.encoding is None or known.encoding in ENCODINGS
