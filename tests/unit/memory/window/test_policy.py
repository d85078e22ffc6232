"""What a window holds, whatever the conversation."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
)
from langchain_core.prompts import ChatPromptTemplate

from langchain_llmops import TokenCounter, WindowPolicy
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.memory import WindowIndex

COUNTER = TokenCounter("gpt-4o")


def chat(*texts):
    return [
        (AIMessage if place % 2 else HumanMessage)(text)
        for place, text in enumerate(texts)
    ]


def texts(window):
    return [message.text for message in window]


@pytest.mark.parametrize("ranker", ["bm25", None])
def test_random_conversations_give_valid_windows_within_budget(
    ranker, conversation, faults, counter
):
    # The long form, 100,000 conversations, is in benchmarks/bench_memory.py.
    for seed in range(400):
        rng = random.Random(seed)
        messages, budget = conversation(rng), rng.randint(40, 600)
        policy = WindowPolicy(budget, ranker=ranker, counter=counter)
        window = policy.select(messages)
        assert faults(window) == [], seed
        assert counter.measure_messages(window).upper_bound <= budget, seed
        order = [m for m in messages if any(m is kept for kept in window)]
        whole = [m for m in window if any(m is given for given in messages)]
        assert [id(m) for m in whole] == [id(m) for m in order], seed
        last = next(m for m in reversed(messages) if isinstance(m, HumanMessage))
        kept = [m for m in window if isinstance(m, HumanMessage)][-1]
        assert kept is last or "[…]" in kept.text, seed


@settings(max_examples=60)
@given(seed=st.integers(0, 10**9), cut=st.integers(1, 40), ahead=st.booleans())
def test_an_index_changes_nothing_but_the_speed(seed, cut, ahead):
    rng = random.Random(seed)
    words = ["tea", "sea", "cat", "dog", "red", "blue", "walk", "paint", "river", "one"]
    messages = chat(*(" ".join(rng.choices(words, k=8)) for _ in range(40)))
    policy = WindowPolicy(200, counter=COUNTER)
    index = WindowIndex(messages[:cut], counter=COUNTER if ahead else None)
    assert policy.select(messages, index=index) == policy.select(messages)
    assert len(index) == len(messages)


def test_an_edited_conversation_is_indexed_afresh():
    policy, index = WindowPolicy(60), WindowIndex(chat("old story", "fine", "bye"))
    assert texts(policy.select(chat("new story"), index=index)) == ["new story"]
    assert len(index) == 1


def test_an_index_that_is_ahead_chooses_from_the_messages_that_were_given():
    messages = chat("one", "two", "three", "four", "five")
    index = WindowIndex(messages)
    assert WindowPolicy(100).select(messages[:3], index=index) == messages[:3]
    assert len(index) == 5


def test_what_matters_is_kept_and_small_talk_is_not():
    small = [f"We had a calm day number {n} by the sea." for n in range(60)]
    messages = chat("My cat is called Ada.", "Noted.", *small, "What is my cat called?")
    window = WindowPolicy(120, keep_last=0).select(messages)
    assert window[0].text == "My cat is called Ada."
    assert window[-1].text == "What is my cat called?"


def test_without_a_ranker_the_newest_are_kept_in_a_row():
    messages = chat(*(f"message {n}" for n in range(41)))
    window = WindowPolicy(60, ranker=None).select(messages)
    assert window == messages[-len(window) :]
    assert 5 < len(window) < 41


def test_a_question_brings_the_answer_beside_it():
    small = [f"A calm day by the sea, number {n}." for n in range(60)]
    messages = chat("Which paint did you take?", "The green one.", *small, "And now?")
    window = WindowPolicy(70, keep_last=0).select(messages, "paint?")
    assert "The green one." in texts(window)


def test_the_speaker_whom_a_question_names_comes_first():
    said = [("Ann", "I have bought a car."), ("Bob", "I have bought a car.")] * 3
    messages = [HumanMessage(text, name=who) for who, text in said]
    messages += chat(*["Fine weather today, is it not?"] * 41)
    window = WindowPolicy(55, keep_last=0).select(messages, "What car has Bob bought?")
    assert {m.name for m in window if m.name} == {"Bob"}


def test_system_and_pinned_messages_stay_whatever_is_asked():
    pinned = HumanMessage("I am allergic to nuts.", additional_kwargs={"pinned": True})
    small = chat(*(f"A calm day by the sea, number {n}." for n in range(60)))
    messages = [SystemMessage("Be brief."), pinned, *small, HumanMessage("The sea?")]
    window = WindowPolicy(60, keep_last=0).select(messages)
    assert window[:2] == [messages[0], pinned]


def test_the_last_messages_come_before_what_is_ranked():
    messages = chat("the red boat", "ok", *["calm"] * 20, "a", "b", "the red boat?")
    window = WindowPolicy(30, keep_last=3).select(messages)
    assert texts(window)[-3:] == ["a", "b", "the red boat?"]


@pytest.mark.parametrize("text", ["x" * 50_000, "👩‍👩‍👧‍👦" * 5_000, "word " * 9_000])
def test_a_last_turn_that_is_too_long_is_cut_in_its_middle(text, counter):
    message = HumanMessage(text, id="same")
    [window] = WindowPolicy(100).select([*chat("Hi", "Hello"), message])[-1:]
    assert "[…]" in window.text
    assert window.id == "same"
    assert counter.count_messages([window]) <= 100
    assert text.startswith(window.text.split("\n[…]\n")[0])
    assert message.text == text


def test_a_long_tool_result_of_the_last_turn_is_cut_and_keeps_its_call(faults, counter):
    call = {"name": "read", "args": {}, "id": "1"}
    messages = [
        HumanMessage("Read it."),
        AIMessage("", tool_calls=[call]),
        ToolMessage("page " * 5_000, tool_call_id="1"),
    ]
    window = WindowPolicy(300).select(messages)
    assert [m.type for m in window] == ["human", "ai", "tool"]
    assert faults(window) == []
    assert counter.measure_messages(window).upper_bound <= 300


def test_a_message_of_ten_megabytes_among_the_old_ones_is_passed_over(counter):
    messages = [*chat("word " * 2_000_000, "Noted."), *chat("And now?")]
    window = WindowPolicy(100).select(messages)
    assert window[-1].text == "And now?"
    assert counter.count_messages(window) <= 100


def test_a_budget_below_the_system_prompt_is_an_error_with_both_numbers():
    messages = [SystemMessage("rule " * 200), HumanMessage("Hi")]
    with pytest.raises(ConfigurationError, match=r"max_tokens=50 .* take 20\d tokens"):
        WindowPolicy(50).select(messages)


def test_messages_of_which_none_can_be_sent_are_an_error():
    call = {"name": "read", "args": {}, "id": "1"}
    with pytest.raises(ConfigurationError, match="tool calls need"):
        WindowPolicy(500).select([AIMessage("", tool_calls=[call])])


def test_what_is_no_message_is_an_error_that_shows_it():
    with pytest.raises(ConfigurationError, match="not a conversation"):
        WindowPolicy(500).select([object()])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"max_tokens": 9, "keep_last": -1}, "keep_last=-1"),
        ({"max_tokens": 9, "ranker": "best"}, "ranker='best'"),
        ({"max_tokens": 9, "ranker": "hybrid"}, "needs embeddings"),
    ],
)
def test_a_wrong_option_is_named(options, named):
    with pytest.raises(ConfigurationError, match=named):
        WindowPolicy(**options)


def test_nothing_gives_nothing_and_an_empty_text_is_a_message():
    assert WindowPolicy(50).select([]) == []
    assert WindowPolicy(50).select([HumanMessage("")]) == [HumanMessage("")]


@pytest.mark.parametrize("query", ["猫の名前は何ですか", "Как зовут кошку?", "", "the"])
def test_a_query_in_any_script_or_of_no_word_gives_a_window(query):
    messages = chat(*(f"day {n}" for n in range(30)), "猫はエイダです")
    window = WindowPolicy(60, keep_last=0).select(messages, query)
    assert window


def test_chinese_is_found_without_spaces():
    small = [f"今天天气很好 {n}" for n in range(60)]
    messages = chat("我的猫叫艾达", "好", *small, "再见")
    window = WindowPolicy(60, keep_last=0).select(messages, "猫叫什么名字")
    assert "我的猫叫艾达" in texts(window)


def test_summaries_stand_behind_the_system_messages_and_newest_come_first():
    messages = [SystemMessage("Be brief."), *chat("one", "two", "three")]
    window = WindowPolicy(80).select(messages, summaries=["word " * 90, "newer"])
    assert texts(window) == ["Be brief.", "newer", "one", "two", "three"]


def test_another_budget_and_counter_can_be_given_to_one_call():
    messages = chat(*(f"message {n} of many" for n in range(31)))
    policy = WindowPolicy(1_000)
    claude = TokenCounter("claude-sonnet-4-5")
    window = policy.select(messages, max_tokens=200, counter=claude)
    assert claude.measure_messages(window).upper_bound <= 200
    assert len(policy.select(messages)) == 31


async def test_it_is_a_runnable_like_trim_messages():
    messages = chat(*(f"message {n}" for n in range(31)))
    policy = WindowPolicy(60)
    prompt = ChatPromptTemplate([("placeholder", "{history}")])
    window = policy.invoke(messages)
    assert window == await policy.ainvoke(messages) == policy.select(messages)
    assert (prompt | policy).invoke({"history": messages}) == window
    pairs = [(m.type, m.text) for m in messages]
    assert policy.select(pairs) == policy.select(convert_to_messages(pairs))


def test_a_last_turn_with_many_results_keeps_the_question_and_the_newest(faults):
    messages = [HumanMessage("Read them all.")]
    for n in range(30):
        call = {"name": "read", "args": {"page": n}, "id": str(n)}
        messages.append(AIMessage("", tool_calls=[call]))
        messages.append(ToolMessage(f"page {n} " * 10, tool_call_id=str(n)))
    window = WindowPolicy(600).select(messages)
    assert window[0] is messages[0]
    assert window[-2:] == messages[-2:]
    assert 5 <= len(window) < len(messages)
    assert faults(window) == []


def test_system_messages_of_a_chat_role_are_kept_too():
    rule = ChatMessage("Be brief.", role="developer")
    messages = [rule, *chat(*(f"message {n} of many" for n in range(31)))]
    assert WindowPolicy(60).select(messages)[0] is rule
