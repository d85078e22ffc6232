"""Counters, and figures counted with other tokenisers or billed by providers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from langchain_llmops._encodings import ENCODINGS, encoding, find
from langchain_llmops.tokens import TokenCounter, text

GOLDEN = Path(__file__).with_name("golden_counts.jsonl")


@pytest.fixture(scope="session")
def golden() -> list[dict]:
    """Texts of ours with the counts of o200k, cl100k and of seven models' tokenisers.

    Made with ctok 1.3.0 (Claude) and the published tokenisers of Gemma 3, Llama 3,
    DeepSeek V3, Qwen and Mistral Tekken. None of the texts was used to fit ratios.
    """
    with GOLDEN.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture(scope="session")
def counter() -> TokenCounter:
    """The default counter, exact on a machine that is set up."""
    counter = TokenCounter("gpt-4o")
    assert counter.exact, "run `make setup`"
    return counter


@pytest.fixture(scope="session")
def o200k():
    """The encoding that stands for the truth."""
    coder = encoding("o200k_base")
    assert coder is not None, "run `make setup`"
    return coder


@pytest.fixture
def no_ranks(monkeypatch):
    """A machine without rank files."""
    monkeypatch.setattr(text, "encoding", lambda name: None)


@pytest.fixture
def tiktoken_offline(monkeypatch):
    """Let tiktoken itself, which LangChain uses, find the same rank files."""
    path = find("o200k_base")
    assert path is not None, "run `make setup`"
    assert (path.parent / ENCODINGS["cl100k_base"].file_name).exists()
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(path.parent))
