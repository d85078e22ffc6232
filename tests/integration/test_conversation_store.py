"""What every conversation store does, over memory, SQLite, PostgreSQL and Valkey."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_llmops.memory.stores.base import (
    ConversationConflictError,
    KeyFact,
    SessionSummary,
)
from langchain_llmops.memory.stores.conversation_store import ConversationStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    now = 1_800_000_000.25

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "postgres", "valkey"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/conversations.db"
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def opened(url: str, clock: Clock) -> Iterator[Callable[..., ConversationStore]]:
    """Open the store once more, as another process would; memory cannot."""
    stores: list[ConversationStore] = []

    def again(**settings: object) -> ConversationStore:
        if url == "memory://" and stores:
            return stores[0]
        stores.append(ConversationStore(url, clock=clock, **settings))
        return stores[-1]

    yield again
    for store in stores:
        store.close()


@pytest.fixture
def store(opened: Callable[..., ConversationStore]) -> ConversationStore:
    return opened()


def texts(entries: object) -> list[str]:
    return [entry.message.text for entry in entries]


def turns(number: int) -> list[HumanMessage]:
    return [HumanMessage(f"turn {n}") for n in range(number)]


def test_messages_come_back_as_they_were(store, opened, clock):
    call = {"name": "weather", "args": {"city": "Köln", "days": [1, 2]}, "id": "c1"}
    usage = {
        "input_tokens": 9,
        "output_tokens": 4,
        "total_tokens": 13,
        "input_token_details": {"cache_read": 3},
    }
    messages = [
        HumanMessage([{"type": "text", "text": "How is it?\0 \ud83d"}], id="1"),
        AIMessage("", tool_calls=[call], usage_metadata=usage, id="2"),
        ToolMessage("雨", tool_call_id="c1", artifact={"mm": 2.5}, id="3"),
        AIMessage("It rains.", response_metadata={"logprobs": [-0.25]}, id="4"),
    ]
    stored = store.append("anna", messages)
    read = opened().read("anna")
    assert [entry.message for entry in read] == messages
    assert list(stored) == read
    assert [entry.seq for entry in read] == [0, 1, 2, 3]
    assert {entry.at.timestamp() for entry in read} == {clock.now}
    counter = store.counter
    assert [e.tokens for e in read] == [
        counter.measure_message(message).tokens for message in messages
    ]


def test_a_message_without_id_is_stored_with_one(store):
    message = HumanMessage("Hello")
    (stored,) = store.append("anna", [message])
    assert message.id is None
    assert stored.message.id
    assert store.read("anna")[0].message.id == stored.message.id


def test_a_read_message_can_be_changed_without_harm(store):
    store.append("anna", [HumanMessage("Hello")])
    store.read("anna")[0].message.content = "changed"
    assert texts(store.read("anna")) == ["Hello"]


def test_an_unknown_session_is_empty(store):
    head = store.head("nobody")
    assert (head.length, head.tokens, head.born) == (0, 0, "")
    assert (store.read("nobody"), store.tail("nobody")) == ([], [])
    assert (store.summaries("nobody"), store.delete("nobody")) == ([], False)
    assert store.append("nobody", []) == ()
    assert store.list_sessions() == []


def test_ranges_are_read_from_either_end(store, opened):
    store.append("anna", turns(10))
    for reader in (store, opened()):
        assert texts(reader.read("anna", 3, 5)) == ["turn 3", "turn 4"]
        assert texts(reader.read("anna", 8)) == ["turn 8", "turn 9"]
        assert texts(reader.read("anna", 8, 99)) == ["turn 8", "turn 9"]
        assert reader.read("anna", 10) == []
        assert texts(reader.tail("anna", limit=2)) == ["turn 8", "turn 9"]
        assert texts(reader.read("anna", 2, 9)) == [f"turn {n}" for n in range(2, 9)]
        assert len(reader.tail("anna")) == 10


def test_a_tail_has_what_fits_and_the_newest_in_any_case(store):
    entries = store.append("anna", turns(300))
    each = entries[0].tokens
    assert len(store.tail("anna", max_tokens=each * 100)) == 100
    assert len(store.tail("anna", max_tokens=each * 100 + 1)) == 100
    assert len(store.tail("anna", max_tokens=each * 100, limit=7)) == 7
    assert texts(store.tail("anna", max_tokens=1)) == ["turn 299"]
    store.append("anna", [HumanMessage("word " * 500)])
    assert [entry.seq for entry in store.tail("anna", max_tokens=50)] == [300]


def test_the_head_has_length_tokens_and_times(store, clock):
    first = store.append("anna", turns(2))
    clock.now += 60
    second = store.append("anna", turns(1))
    head = store.head("anna")
    assert head.length == 3
    assert head.tokens == sum(entry.tokens for entry in (*first, *second))
    assert head.updated_at - head.created_at == timedelta(seconds=60)


def test_an_append_can_ask_for_the_length_it_knows(store):
    store.append("anna", turns(2), expected_seq=0)
    store.append("anna", turns(1), expected_seq=2)
    for expected in (0, 2, 4):
        with pytest.raises(ConversationConflictError, match="3 messages") as raised:
            store.append("anna", turns(1), expected_seq=expected)
        assert (raised.value.expected, raised.value.actual) == (expected, 3)
    with pytest.raises(ConversationConflictError):
        store.append("nobody", turns(1), expected_seq=1)
    assert store.head("anna").length == 3
    assert store.head("nobody").length == 0


def test_a_deleted_session_begins_anew(store, opened):
    other = opened()
    store.append("anna", turns(3))
    store.put_summary("anna", SessionSummary(start=0, stop=2, text="Old.", at=AT))
    assert len(other.read("anna")) == 3
    born = store.head("anna").born
    assert store.delete("anna")
    assert (store.read("anna"), other.read("anna")) == ([], [])
    store.append("anna", [HumanMessage("new")])
    assert texts(other.read("anna")) == ["new"]
    assert store.head("anna").born != born
    assert store.summaries("anna") == []


def test_sessions_are_listed_by_their_last_write_page_by_page(store, clock):
    for name in ("a", "b", "c", "d"):
        store.append(name, turns(1))
        clock.now += 1
    store.append("a", turns(1))
    store.append("e", turns(1))  # at the same time as a
    first = store.list_sessions(limit=2)
    second = store.list_sessions(limit=2, before=first[-1])
    third = store.list_sessions(limit=2, before=second[-1])
    names = [head.session_id for head in (*first, *second, *third)]
    assert sorted(names[:2]) == ["a", "e"]
    assert names[2:] == ["d", "c", "b"]
    assert store.list_sessions(limit=2, before=third[-1]) == []


def test_expiry_takes_what_was_not_written_for_so_long(store, opened, clock):
    for number in range(20):
        store.append(f"old {number}", turns(2))
    clock.now += 100
    store.append("new", turns(1))
    store.append("old 3", turns(1))
    assert opened().expire(timedelta(seconds=50)) == 19
    assert {head.session_id for head in store.list_sessions()} == {"new", "old 3"}
    assert store.read("old 4") == []
    assert len(store.read("old 3")) == 3


def test_writers_expire_and_pack_what_is_due(opened, clock):
    store = opened(ttl=timedelta(days=30), cold_after=timedelta(days=1))
    store.append("expires", turns(1))
    clock.now += 31 * 86_400
    store.append("new", turns(1))
    assert store.head("expires").length == 0
    clock.now += 2 * 86_400
    store.append("newer", turns(1))
    assert store.compact(timedelta(days=1)) == 0, "packed by the writer"
    assert texts(store.read("new")) == ["turn 0"]


def test_an_idle_session_is_packed_and_comes_back_when_it_is_read(store, opened, clock):
    store.append("anna", turns(700))
    clock.now += 100
    assert store.compact(timedelta(seconds=101)) == 0
    assert store.compact(timedelta(seconds=100)) == 1
    assert store.compact(timedelta(0)) == 0
    other = opened()
    assert texts(other.read("anna", 250, 260)) == [f"turn {n}" for n in range(250, 260)]
    assert store.compact(timedelta(0)) == 1, "what was read came back"
    assert texts(other.tail("anna", limit=2)) == ["turn 698", "turn 699"]
    assert texts(opened().read("anna")) == [f"turn {n}" for n in range(700)]


def test_a_packed_session_grows_on_and_is_packed_again(store, opened, clock):
    store.append("anna", turns(300))
    for number in range(3):
        clock.now += 100
        assert store.compact(timedelta(0)) == 1
        (entry,) = store.append("anna", [HumanMessage(f"more {number}")])
        assert entry.seq == 300 + number
    store.compact(timedelta(0))
    found = texts(opened().read("anna"))
    assert found == [f"turn {n}" for n in range(300)] + ["more 0", "more 1", "more 2"]
    assert store.delete("anna")
    assert store.read("anna") == []


def test_summaries_are_kept_and_a_higher_one_takes_their_place(store, opened):
    fact = KeyFact(text="Anna is 30.", message_ids=("m1", "m2"), seqs=(1, 2))
    store.append("anna", turns(20))

    def summary(start: int, stop: int, level: int = 0) -> SessionSummary:
        return SessionSummary(
            start=start, stop=stop, text="雨", facts=(fact,), level=level, at=AT
        )

    assert store.put_summary("anna", summary(0, 5))
    assert store.put_summary("anna", summary(5, 8))
    assert store.put_summary("anna", summary(12, 14))
    for refused in (
        summary(0, 5),  # another one was faster
        summary(4, 9),  # cuts through two
        summary(4, 9, level=1),
        summary(8, 13, level=1),
        summary(18, 21),  # beyond the log
        summary(15, 15),
    ):
        assert not store.put_summary("anna", refused)
    assert opened().summaries("anna") == [
        summary(0, 5),
        summary(5, 8),
        summary(12, 14),
    ]
    assert store.put_summary("anna", summary(0, 8, level=1))
    assert opened().summaries("anna") == [summary(0, 8, 1), summary(12, 14)]
    assert not store.put_summary("nobody", summary(0, 1))


def test_a_search_finds_all_words_in_any_case_cold_or_warm(store, opened, clock):
    store.append("old", [HumanMessage("Die Straße nach KÖLN"), *turns(5)])
    clock.now += 100
    store.compact(timedelta(0))
    store.append("new", [HumanMessage('says "Köln"'), HumanMessage("50% of a_b\\c")])
    store.append("new", [AIMessage("köln again", response_metadata={"km": 1})])
    found = opened().search("köln")
    assert [(f.session_id, f.entry.seq) for f in found] == [
        ("new", 2),
        ("new", 0),
        ("old", 0),
    ]
    assert texts(f.entry for f in store.search("nach köln")) == ["Die Straße nach KÖLN"]
    assert texts(f.entry for f in store.search("KÖLN", session_id="old", limit=1)) == [
        "Die Straße nach KÖLN"
    ]
    assert len(store.search("köln", limit=1)) == 1
    assert len(store.search("50% a_b\\c")) == 1
    assert store.search("content") == store.search("km") == []
    assert store.search("köln", session_id="nobody") == []


async def test_the_asynchronous_side_does_the_same(store):
    stored = await store.aappend("anna", turns(3))
    assert list(stored) == await store.aread("anna")
    assert texts(await store.atail("anna", limit=1)) == ["turn 2"]
    assert (await store.ahead("anna")).length == 3
    with pytest.raises(ConversationConflictError):
        await store.aappend("anna", turns(1), expected_seq=1)
    summary = SessionSummary(start=0, stop=2, text="Three turns.", at=AT)
    assert await store.aput_summary("anna", summary)
    assert await store.asummaries("anna") == [summary]
    assert await store.acompact(timedelta(0)) == 1
    assert len(await store.aread("anna")) == 3
    assert len(await store.asearch("turn 2")) == 1
    assert [h.session_id for h in await store.alist_sessions()] == ["anna"]
    assert await store.adelete("anna")
    await store.aappend("anna", turns(1))
    assert await store.aexpire(timedelta(0)) == 1
    await store.aclose()


def test_event_loops_one_after_the_other_share_a_store(store):
    async def write() -> None:
        await store.aappend("anna", turns(1))

    for _ in range(3):
        asyncio.run(write())
    assert store.head("anna").length == 3


def test_a_fork_uses_the_store_on(store, url):
    if url == "memory://":
        pytest.skip("a process's memory is its own")
    store.append("anna", turns(1))
    child = os.fork()
    if child == 0:
        try:
            store.append("anna", turns(1))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    store.append("anna", turns(1))
    assert [entry.seq for entry in store.read("anna")] == [0, 1, 2]


def test_a_store_that_was_closed_opens_again(store):
    store.append("anna", turns(1))
    store.close()
    assert len(store.append("anna", turns(1))) == 1
