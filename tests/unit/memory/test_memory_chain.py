"""with_memory: what is saved, what the chain sees, and what happens on failure."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableGenerator, RunnableLambda

from langchain_llmops import ConversationMemory, WindowPolicy, with_memory
from langchain_llmops.errors import ConfigurationError

ANN = {"configurable": {"thread_id": "ann"}}


def log(store, session="ann"):
    return [entry.message.text for entry in store.read(session)]


@pytest.fixture
def memory(store):
    return ConversationMemory(store, WindowPolicy(500))


async def test_a_chain_sees_the_turns_before_and_the_new_one_last(memory, store, echo):
    chat = with_memory(echo, memory)
    chat.invoke("one", ANN)
    await chat.ainvoke([HumanMessage("two")], ANN)
    assert list(chat.stream("three", {"configurable": {"session_id": "ann"}}))
    assert [chunk async for chunk in chat.astream("four", ANN)]
    said = ["one", "re one", "two", "re two", "three", "re three", "four", "re four"]
    assert log(store) == said
    assert [m.text for m in echo.windows[-1]] == said[:-1]
    assert store.read("bob") == []


def test_chunks_come_as_they_are_made_and_are_saved_as_one_message(memory, store):
    model = GenericFakeChatModel(messages=iter([AIMessage("one two three")]))
    chunks = list(with_memory(model, memory).stream("count", ANN))
    assert len(chunks) > 2
    [_, answer] = store.read("ann")
    assert answer.message.text == "one two three"
    assert answer.message.type == "ai"


def test_system_messages_of_a_turn_head_the_window_and_are_not_saved(
    memory, store, echo
):
    chat = with_memory(echo, memory)
    for text in ("one", "two"):
        chat.invoke([SystemMessage("Be brief."), HumanMessage(text)], ANN)
    assert [m.type for m in echo.windows[-1]] == ["system", "human", "ai", "human"]
    assert log(store) == ["one", "re one", "two", "re two"]


@pytest.mark.parametrize(
    ("answer", "saved"),
    [
        ("text", "text"),
        ({"messages": [AIMessage("of an agent")]}, "of an agent"),
        ({"name": "Ann", "age": 7}, '{"name": "Ann", "age": 7}'),
    ],
)
def test_answers_of_any_shape_are_kept(memory, store, answer, saved):
    assert with_memory(lambda _: answer, memory).invoke("Hi", ANN) == answer
    assert log(store) == ["Hi", saved]


def test_of_an_agents_state_only_what_is_new_is_saved(memory, store):
    agent = RunnableLambda(lambda window: {"messages": [*window, AIMessage("new")]})
    chat = with_memory(agent, memory)
    chat.invoke("one", ANN)
    chat.invoke("two", ANN)
    assert log(store) == ["one", "new", "two", "new"]


def test_a_chain_that_fails_raises_its_own_error_and_the_turn_stays(memory, store):
    error = RuntimeError("no model")

    def fail(_):
        raise error

    with pytest.raises(RuntimeError) as raised:
        with_memory(fail, memory).invoke("Hi", ANN)
    assert raised.value is error
    assert log(store) == ["Hi"]


def test_a_stream_that_is_not_read_to_its_end_keeps_its_part_marked(memory, store):
    def count(_):
        yield from ("one ", "two ")

    chat = with_memory(RunnableGenerator(count), memory)
    stream = chat.stream("count", ANN)
    assert next(stream) == "one "
    stream.close()
    [_, part] = store.read("ann")
    assert part.message.text == "one "
    assert part.message.response_metadata["partial"] is True


async def test_a_cancelled_stream_keeps_its_part_marked(memory, store):
    async def endless(_):
        yield "one "
        await asyncio.Event().wait()

    async def read(got):
        async for chunk in with_memory(RunnableGenerator(endless), memory).astream(
            "count", ANN
        ):
            got.set_result(chunk)

    got = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(read(got))
    await got
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    [_, part] = store.read("ann")
    assert (part.message.text, part.message.response_metadata["partial"]) == (
        "one ",
        True,
    )


async def test_while_the_store_is_gone_chains_answer_and_nothing_is_lost(
    memory, store, echo, caplog
):
    chat = with_memory(echo, memory)
    chat.invoke("one", ANN)
    store.gone = True
    with caplog.at_level(logging.WARNING):
        assert chat.invoke("two", ANN).text == "re two"
        assert (await chat.ainvoke("three", ANN)).text == "re three"
    assert len(caplog.records) == 1
    assert memory.lost == 4
    assert [m.text for m in echo.windows[-1]][-3:] == ["two", "re two", "three"]
    store.gone = False
    chat.invoke("four", ANN)
    everything = [
        f"{re}{n}" for n in ("one", "two", "three", "four") for re in ("", "re ")
    ]
    assert log(store) == everything


def test_what_a_broken_append_has_stored_after_all_is_not_stored_twice(
    memory, store, echo
):
    chat = with_memory(echo, memory)
    store.stores_then_fails = True
    chat.invoke("one", ANN)
    store.stores_then_fails = False
    chat.invoke("two", ANN)
    assert log(store) == ["one", "re one", "two", "re two"]


def test_a_store_that_is_lost_while_catching_up_still_gives_a_window(
    memory, store, echo
):
    chat = with_memory(echo, memory)
    chat.invoke("one", ANN)
    store.append("ann", [HumanMessage("from elsewhere")])
    store.unreadable = True
    chat.invoke("two", ANN)
    assert echo.windows[-1][-1].text == "two"
    store.unreadable = False
    chat.invoke("three", ANN)
    assert log(store) == [
        *("one", "re one", "from elsewhere", "two", "re two", "three", "re three")
    ]


async def test_a_turn_that_is_cancelled_gives_back_what_was_waiting(
    memory, store, echo
):
    chat = with_memory(echo, memory)
    store.gone = True
    await chat.ainvoke("one", ANN)
    store.gone, store.hangs = False, True
    task = asyncio.create_task(chat.ainvoke("two", ANN))
    for _ in range(9):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    store.hangs = False
    await chat.ainvoke("three", ANN)
    assert log(store) == ["one", "re one", "three", "re three"]


def test_what_other_processes_add_is_seen_by_the_next_turn(memory, store, echo):
    chat = with_memory(echo, memory)
    chat.invoke("one", ANN)
    store.append("ann", [HumanMessage("from elsewhere")])
    chat.invoke("two", ANN)
    seen = [m.text for m in echo.windows[-1]]
    assert seen == ["one", "re one", "from elsewhere", "two"]


def test_a_session_that_was_deleted_and_begun_anew_has_no_old_messages(
    memory, store, echo
):
    chat = with_memory(echo, memory)
    for text in ("one", "two"):
        chat.invoke(text, ANN)
    store.delete("ann")
    store.append("ann", [HumanMessage(f"new {n}") for n in range(9)])
    chat.invoke("three", ANN)
    seen = [m.text for m in echo.windows[-1]]
    assert seen == [*(f"new {n}" for n in range(9)), "three"]


def test_turns_of_one_session_at_the_same_time_lose_and_mix_nothing(
    memory, store, echo
):
    chat = with_memory(echo, memory)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: chat.invoke(f"q{n}", ANN), range(60)))
    said = log(store)
    assert len(said) == len(set(said)) == 120
    assert all(said.index(f"q{n}") < said.index(f"re q{n}") for n in range(60))
    for window in echo.windows:
        assert window[-1].type == "human"
        texts = [message.text for message in window]
        assert [t for t in said if t in texts] == texts


async def test_asynchronous_turns_at_the_same_time_lose_nothing(memory, store, echo):
    chat = with_memory(echo, memory)
    await asyncio.gather(*(chat.ainvoke(f"q{n}", ANN) for n in range(40)))
    assert sorted(log(store)) == sorted(
        f"{re}q{n}" for n in range(40) for re in ("", "re ")
    )


def test_only_the_newest_messages_are_kept_in_memory(store, echo):
    memory = ConversationMemory(store, WindowPolicy(5_000), recall=10)
    store.append("ann", [HumanMessage(f"old {n}") for n in range(100)])
    chat = with_memory(echo, memory)
    for n in range(30):
        chat.invoke(f"q{n}", ANN)
    assert all(10 <= len(window) <= 32 for window in echo.windows)


def test_a_call_without_a_session_says_how_to_name_one(memory, echo):
    with pytest.raises(ConfigurationError, match="thread_id"):
        with_memory(echo, memory).invoke("Hi")


@pytest.mark.parametrize("turn", [7, [], {"no": "message"}])
def test_what_is_no_turn_is_refused(memory, echo, turn):
    with pytest.raises(ConfigurationError, match="turn"):
        with_memory(echo, memory).invoke(turn, ANN)


def test_system_messages_over_the_budget_are_an_error_with_both_numbers(store, echo):
    chat = with_memory(echo, ConversationMemory(store, WindowPolicy(50)))
    with pytest.raises(ConfigurationError, match=r"=50 .* take 20\d tokens"):
        chat.invoke([SystemMessage("rule " * 200), HumanMessage("Hi")], ANN)


def test_a_prompt_goes_between(memory, store):
    prompt = ChatPromptTemplate([("system", "Be brief."), ("placeholder", "{turns}")])
    chain = (
        (lambda window: {"turns": window}) | prompt | (lambda p: str(len(p.messages)))
    )
    chat = with_memory(chain, memory)
    assert [chat.invoke("Hi", ANN), chat.invoke("Hi", ANN)] == ["2", "4"]
