"""Summaries: what they cover, what they keep, and what a bad summarizer changes."""

from __future__ import annotations

import itertools
import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage

from langchain_llmops import ConversationMemory, WindowPolicy, with_memory
from langchain_llmops.errors import StorageError
from langchain_llmops.memory.facts import key_facts
from langchain_llmops.memory.summarizing import next_range

if TYPE_CHECKING:
    from langchain_llmops.memory import LogEntry

ANN = {"configurable": {"thread_id": "ann"}}
TURN = "Turn {}: I paid {} euros for the boat, and Bob agreed."


def talk(store, echo, summarizer, turns=40, budget=300):
    memory = ConversationMemory(store, WindowPolicy(budget), summarizer)
    chat = with_memory(echo, memory)
    for n in range(turns):
        chat.invoke(TURN.format(n, n * 7), ANN)
    return memory


def test_each_message_that_leaves_the_window_is_covered_by_one_summary(store, echo):
    summarized = []

    def summarizer(messages):
        summarized.append(messages)
        return f"{len(messages)} messages about a boat"

    talk(store, echo, summarizer)
    summaries = store.summaries("ann")
    assert summaries[0].start == 0
    for one, other in itertools.pairwise(summaries):
        assert one.stop == other.start
    for place, window in enumerate(echo.windows):
        shown = {message.text for message in window if message.type == "ai"}
        covers = [m.additional_kwargs.get("summary_of") for m in window]
        stop = max((cover[1] for cover in covers if cover), default=0)
        uncovered = range(stop // 2, place)
        assert {f"re {TURN.format(n, n * 7)}" for n in uncovered} <= shown


def test_summaries_climb_and_originals_can_be_read_back(store, echo):
    memory = talk(store, echo, lambda messages: f"{len(messages)} messages", turns=80)
    summaries = store.summaries("ann")
    assert max(summary.level for summary in summaries) >= 2
    assert len(summaries) < 12
    assert memory.failed_summaries == 0
    fact = summaries[0].facts[0]
    [original] = [
        entry.message
        for entry in store.read("ann", summaries[0].start, summaries[0].stop)
        if entry.message.id == fact.message_ids[0]
    ]
    assert fact.text in original.text
    assert len(store.read("ann")) == 160


def test_a_window_has_the_summaries_and_stays_within_its_budget(store, echo):
    memory = talk(store, echo, lambda _: "They spoke of a boat.")
    window = echo.windows[-1]
    assert "They spoke of a boat." in window[0].text
    assert all(memory.policy.counter.count_messages(w) <= 300 for w in echo.windows)


@pytest.mark.parametrize("said", [None, "", "  ", 7, RuntimeError("overloaded")])
def test_a_summarizer_that_fails_or_says_nothing_changes_nothing(
    store, echo, said, caplog
):
    def summarizer(_):
        if isinstance(said, Exception):
            raise said
        return said

    with caplog.at_level(logging.WARNING):
        memory = talk(store, echo, summarizer)
    assert store.summaries("ann") == []
    assert len(store.read("ann")) == 80
    assert memory.failed_summaries > 1
    assert len(caplog.records) == 1
    assert echo.windows[-1][-1].text == TURN.format(39, 39 * 7)


def test_a_store_that_refuses_summaries_does_not_break_the_chain(
    store, echo, monkeypatch
):
    def refuse(*_):
        raise StorageError("read only")

    monkeypatch.setattr(store, "put_summary", refuse)
    memory = talk(store, echo, lambda _: "They spoke of a boat.", turns=20)
    assert memory.lost > 0
    assert len(store.read("ann")) == 40


def test_a_summary_that_another_process_has_made_first_stands(store, echo, monkeypatch):
    put = store.put_summary
    monkeypatch.setattr(
        store,
        "put_summary",
        lambda session, new: put(session, replace(new, text="first")) and False,
    )
    talk(store, echo, lambda _: "second")
    assert {summary.text for summary in store.summaries("ann")} <= {"first", "second"}
    assert len(echo.windows) == 40


async def test_a_model_is_told_what_to_do(store, echo):
    model = FakeListChatModel(responses=["They spoke of a boat."])
    memory = ConversationMemory(store, WindowPolicy(300), model)
    chat = with_memory(echo, memory)
    for n in range(20):
        await chat.ainvoke(TURN.format(n, n), ANN)
    assert store.summaries("ann")[0].text == "They spoke of a boat."


@given(
    costs=st.lists(st.integers(1, 90), max_size=40),
    begin=st.integers(0, 9),
    data=st.data(),
)
def test_a_range_is_whole_turns_from_the_oldest_on(costs, begin, data):
    humans = [data.draw(st.booleans()) for _ in costs]
    due = next_range(begin, costs, humans, keep_tokens=100, at_most=200)
    if due is None:
        return
    assert due.start == begin
    assert 0 < len(due) < len(costs)
    assert humans[len(due)]
    assert sum(costs[len(due) :]) >= 100


def test_key_facts_are_sentences_with_names_numbers_and_decisions(store):
    entries: list[LogEntry] = list(
        store.append(
            "ann",
            [
                HumanMessage("Nice weather. My cat is called Ada, she is 3.5 kg."),
                HumanMessage("Is it 5 o'clock? We decided to fly in May."),
            ],
        )
    )
    facts = key_facts(entries)
    assert [fact.text for fact in facts] == [
        "My cat is called Ada, she is 3.5 kg.",
        "We decided to fly in May.",
    ]
    assert facts[1].message_ids == (entries[1].message.id,)
    assert facts[1].seqs == (1,)
