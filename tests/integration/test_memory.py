"""Conversations on real stores and through the real client."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import pytest
from langchain_core.messages import AIMessage
from langchain_openai import ChatOpenAI

from langchain_llmops import (
    ConversationMemory,
    ConversationStore,
    TokenCounter,
    WindowPolicy,
    with_memory,
)
from langchain_llmops.testing import Cut

ANN = {"configurable": {"thread_id": "ann"}}
TURNS = 100


@pytest.fixture(params=["sqlite", "valkey", "postgres"])
def store(request, tmp_path):
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'memory.db'}"
    else:
        url = request.getfixturevalue(request.param)
    store = ConversationStore(url.replace("+psycopg", ""))
    yield store
    store.close()


def echo(window):
    return AIMessage(f"re {window[-1].text}")


def check(store):
    said = [entry.message.text for entry in store.read("ann")]
    assert len(said) == len(set(said)) == 2 * TURNS
    assert all(said.index(f"q{n}") < said.index(f"re q{n}") for n in range(TURNS))


def test_turns_from_threads_are_all_kept_and_answered_after_they_were_asked(store):
    chat = with_memory(echo, ConversationMemory(store, WindowPolicy(500)))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: chat.invoke(f"q{n}", ANN), range(TURNS)))
    check(store)


async def test_turns_on_an_event_loop_are_all_kept(store):
    chat = with_memory(echo, ConversationMemory(store, WindowPolicy(500)))
    await asyncio.gather(*(chat.ainvoke(f"q{n}", ANN) for n in range(TURNS)))
    await asyncio.to_thread(check, store)
    await store.aclose()


async def test_two_processes_that_summarize_make_one_ladder(store):
    ladders = [
        ConversationMemory(store, WindowPolicy(200), lambda _: "They talked.")
        for _ in range(2)
    ]
    for n in range(30):
        for memory in ladders:
            await memory.abegin_turn("ann", f"Turn {n} of a long day by the sea.")
        await asyncio.gather(*(memory.aend_turn("ann", "I see.") for memory in ladders))
    summaries = await store.asummaries("ann")
    covered = [seq for each in summaries for seq in range(each.start, each.stop)]
    assert covered == list(range(len(covered)))
    assert len(covered) > 60
    await store.aclose()


def model_of(provider):
    return ChatOpenAI(
        model="gpt-4o-mini",
        base_url=provider.base_url,
        api_key="local",
        max_retries=0,
    )


def test_follow_up_questions_are_answered_from_a_window_of_1000_tokens(provider):
    store = ConversationStore("memory://")
    memory = ConversationMemory(store, WindowPolicy(1_000))
    chat = with_memory(model_of(provider), memory)
    chat.invoke("My cat is called Ada and is allergic to fish.", ANN)
    for day in range(100):
        memory.begin_turn("ann", f"Day {day}: rain, and a walk of {day} miles.")
        memory.end_turn("ann", "That sounds like a calm day by the sea to me.")
    answer = chat.invoke("What is my cat allergic to?", ANN)
    assert "fish" in answer.text
    assert answer.usage_metadata["input_tokens"] <= 1_000
    log = memory.history("ann").messages
    assert TokenCounter("gpt-4o").count_messages(log) > 3_000


async def test_a_stream_that_the_provider_cuts_keeps_its_part_marked(provider):
    store = ConversationStore("memory://")
    chat = with_memory(
        model_of(provider), ConversationMemory(store, WindowPolicy(1_000))
    )
    provider.inject(Cut(at_token=3))
    with pytest.raises((httpx.HTTPError, openai.APIError)):
        async for _ in chat.astream("Tell me of the sea, please, at length.", ANN):
            pass
    [question, part] = store.read("ann")
    assert question.message.type == "human"
    assert part.message.response_metadata["partial"] is True
