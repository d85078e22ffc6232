"""The counter itself: lazy, shared, copied, and at home in LangChain."""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from blockbuster import BlockingError
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    trim_messages,
)

import langchain_llmops
from langchain_llmops import _encodings, tokens
from langchain_llmops.tokens import TokenCount, TokenCounter

counts = st.builds(
    TokenCount,
    tokens=st.integers(0, 99),
    exact=st.booleans(),
    upper_bound=st.none() | st.integers(99, 999),
)


def test_it_is_a_public_name():
    assert langchain_llmops.TokenCounter is TokenCounter
    assert set(tokens.__all__) <= set(dir(tokens))


@pytest.mark.parametrize(
    ("model", "exact"),
    [("gpt-4o", True), ("gpt-4", True), ("gpt-6-sol", False), ("claude-opus-5", False)],
)
def test_exact_says_whether_text_is_counted_by_the_models_encoding(model, exact):
    assert TokenCounter(model).exact is exact
    assert TokenCounter(model).measure("Hello there").exact is exact


def test_the_default_model_is_gpt_4o():
    assert TokenCounter() == TokenCounter("gpt-4o")


def test_a_constructor_reads_nothing(monkeypatch):
    monkeypatch.setattr(_encodings, "_loaded", {})
    monkeypatch.setattr(_encodings, "_read", lambda *_: pytest.fail("a file was read"))
    counter = TokenCounter("gpt-4o")
    assert repr(counter) == "TokenCounter('gpt-4o')"
    assert pickle.loads(pickle.dumps(counter)) == counter


def test_it_is_equal_by_model_and_hashable():
    assert TokenCounter("gpt-4o") == TokenCounter("gpt-4o")
    assert len({TokenCounter("gpt-4o"), TokenCounter("gpt-4o")}) == 1
    assert TokenCounter("gpt-4o") != TokenCounter("gpt-4")
    assert TokenCounter("gpt-4o") != "gpt-4o"


@pytest.mark.parametrize(
    "twin",
    [copy.copy, copy.deepcopy, lambda counter: pickle.loads(pickle.dumps(counter))],
)
def test_copies_count_alike_and_carry_no_encoding(counter, twin):
    again = twin(counter)
    assert again == counter
    assert again.count("Hello, world!") == counter.count("Hello, world!")
    assert len(pickle.dumps(counter)) < 200


def test_threads_share_a_counter():
    counter = TokenCounter("gpt-4")
    texts = [f"message number {n} " * (n % 7 + 1) for n in range(200)]
    expected = [TokenCounter("gpt-4").count(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(counter.count, texts)) == expected


async def test_the_first_count_in_an_event_loop_blocks_it_unless_loaded(monkeypatch):
    monkeypatch.setattr(_encodings, "_loaded", {})
    with pytest.raises(BlockingError):
        TokenCounter("gpt-4o").count("Hello")
    counter = await TokenCounter("gpt-4o").aload()
    assert counter.count("Hello") == 1
    assert await asyncio.wait_for(counter.aload(), 1) is counter


def test_loading_ahead_of_time_returns_the_counter():
    counter = TokenCounter("gpt-4o")
    assert counter.load() is counter
    assert counter.exact


def test_it_drops_into_trim_messages(counter):
    history = [SystemMessage("Be brief.")]
    for turn in range(40):
        history += [HumanMessage(f"Question {turn}?"), AIMessage("An answer. " * 5)]
    kept = trim_messages(
        history,
        max_tokens=200,
        token_counter=counter.count_messages,
        include_system=True,
        start_on="human",
    )
    assert kept[0] == history[0]
    assert kept[-1] == history[-1]
    assert 150 < counter.count_messages(kept) <= 200


@settings(deadline=None)
@given(one=counts, two=counts)
def test_counts_add_up(one, two):
    both = one + two
    assert both.tokens == one.tokens + two.tokens
    assert both.exact == (one.exact and two.exact)
    if None in (one.upper_bound, two.upper_bound):
        assert both.upper_bound is None
    else:
        assert both.upper_bound == one.upper_bound + two.upper_bound


def test_the_folder_loads_no_langchain_until_something_is_counted():
    code = (
        "import sys; from langchain_llmops.tokens import TokenCounter\n"
        "TokenCounter('gpt-4o')\n"
        "assert not {'langchain_core', 'tiktoken'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
