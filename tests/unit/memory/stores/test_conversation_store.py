"""The store as its users meet it: bad input, sweeps, many databases, lost ones."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
from langchain_core.messages import BaseMessage, HumanMessage

from langchain_llmops.errors import ConfigurationError, MissingExtraError, StorageError
from langchain_llmops.memory import ConversationStore, SessionSummary
from langchain_llmops.tokens import TokenCounter


@pytest.fixture
def store():
    return ConversationStore()


def files(tmp_path, count):
    return [f"sqlite:///{tmp_path}/{number}.db" for number in range(count)]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mongodb://host", "'mongodb' keeps no conversations"),
        ("conversations.db", "use memory://, sqlite:///path"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "memory://"),
        ("postgresql://user:secret@host:nonsense/db", "not that of a database"),
        ("redis://:secret@host:nonsense/0", "wrong"),
        ([], "names no database"),
    ],
)
def test_an_address_that_is_none_is_refused_without_its_password(url, message):
    with pytest.raises(ConfigurationError, match=message) as raised:
        ConversationStore(url)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"ttl": timedelta(-1)},
        {"ttl": 30},
        {"cold_after": timedelta(-1)},
        {"timeout_s": 0},
        {"timeout_s": float("inf")},
        {"hot_bytes": -1},
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(settings):
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        ConversationStore(**settings)


@pytest.mark.parametrize("name", ["", "x" * 501, "a\0b", "a\nb", "\ud83d", None, 7])
async def test_a_session_whose_name_some_database_cannot_keep_is_refused(store, name):
    summary = SessionSummary(start=0, stop=1, text="", at=datetime.now(UTC))
    for call in (
        lambda: store.append(name, [HumanMessage("x")]),
        lambda: store.head(name),
        lambda: store.read(name),
        lambda: store.tail(name),
        lambda: store.delete(name),
        lambda: store.summaries(name),
        lambda: store.put_summary(name, summary),
    ):
        with pytest.raises(ConfigurationError, match="session_id="):
            call()
    with pytest.raises(ConfigurationError, match="session_id="):
        await store.aappend(name, [HumanMessage("x")])


def test_numbers_that_make_no_sense_are_refused(store):
    for call in (
        lambda: store.read("a", -1),
        lambda: store.read("a", 0, -1),
        lambda: store.tail("a", limit=-1),
        lambda: store.tail("a", max_tokens=-1),
        lambda: store.append("a", [HumanMessage("x")], expected_seq=-1),
        lambda: store.list_sessions(limit=-1),
        lambda: store.search("x", limit=-1),
        lambda: store.expire(30),
        lambda: store.compact(timedelta(-1)),
        lambda: store.search("  "),
    ):
        with pytest.raises(ConfigurationError):
            call()


def test_of_an_append_with_something_that_is_no_message_nothing_is_stored(store):
    with pytest.raises(ConfigurationError, match="'text' is not a message"):
        store.append("a", [HumanMessage("x"), "text"])
    assert store.head("a").length == 0


async def test_a_message_of_ten_megabytes_is_stored_and_read(store):
    text = "a long text, " * 800_000
    await store.aappend("a", [HumanMessage(text)])
    (entry,) = await store.aread("a")
    assert entry.message.text == text
    assert await store.acompact(timedelta(0)) == 1
    assert (await store.atail("a"))[0].message.text == text


def test_messages_without_content_or_of_an_unknown_kind_are_stored(store):
    odd = BaseMessage(content="", type="odd", colour="green", id="1")
    store.append("a", [HumanMessage(""), HumanMessage([]), odd])
    assert [entry.message.content for entry in store.read("a")] == ["", [], ""]
    assert store.read("a")[-1].message == odd


def test_tokens_are_those_of_the_counter_that_was_given():
    counter = TokenCounter("gpt-4")
    store = ConversationStore(counter=counter)
    (entry,) = store.append("a", [HumanMessage("Ein Straßenbahnhaltestellenschild")])
    assert store.counter is counter
    assert entry.tokens == counter.measure_message(entry.message).tokens


def test_a_session_lives_in_the_same_one_of_several_databases(tmp_path):
    urls = files(tmp_path, 3)
    store, again = ConversationStore(urls), ConversationStore(urls)
    names = [f"session {number}" for number in range(30)]
    for name in names:
        store.append(name, [HumanMessage(f"hello from {name}")])
    assert all(again.head(name).length == 1 for name in names)
    for url in urls:
        alone = ConversationStore(url)
        assert 3 <= len(alone.list_sessions()) <= 20
        alone.close()
    listed, before = [], None
    while page := again.list_sessions(limit=7, before=before):
        listed += page
        before = page[-1]
    assert sorted(head.session_id for head in listed) == sorted(names)
    times = [head.updated_at for head in listed]
    assert times == sorted(times, reverse=True)
    assert len(again.search("hello", limit=100)) == 30
    assert again.compact(timedelta(0)) == 30
    assert again.expire(timedelta(0)) == 30
    store.close()
    again.close()


def test_nothing_is_opened_before_it_is_used(tmp_path):
    path = tmp_path / "folder" / "talk.db"
    store = ConversationStore(f"sqlite:///{path}")
    assert not path.parent.exists()
    store.append("a", [HumanMessage("x")])
    assert path.exists()
    store.close()


def test_a_file_that_is_no_database_is_a_storage_error(tmp_path):
    path = tmp_path / "talk.db"
    path.write_text("not a database, but a letter to a friend" * 100)
    store = ConversationStore(f"sqlite:///{path}")
    for _ in range(2):
        with pytest.raises(StorageError, match="not a usable SQLite database"):
            store.append("a", [HumanMessage("x")])
    path.unlink()
    store.append("a", [HumanMessage("the file is gone, a new one is made")])
    store.close()


def test_a_locked_file_is_a_storage_error(tmp_path):
    url = files(tmp_path, 1)[0]
    store = ConversationStore(url, timeout_s=0.05)
    store.append("a", [HumanMessage("x")])
    other = sqlite3.connect(tmp_path / "0.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="locked"):
        store.append("a", [HumanMessage("y")])
    with pytest.raises(StorageError, match="locked"):
        asyncio.run(store.aappend("a", [HumanMessage("y")]))
    assert len(store.read("a")) == 1, "readers are not in the way"
    other.rollback()
    other.close()
    assert store.append("a", [HumanMessage("z")])[0].seq == 1
    store.close()


async def test_a_cancelled_append_is_done_whole_or_not_at_all(tmp_path):
    store = ConversationStore(files(tmp_path, 1)[0])
    await store.aappend("a", [HumanMessage("first")])
    task = asyncio.create_task(store.aappend("a", [HumanMessage("x")] * 3))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await store.ahead("a")).length in {1, 4}
    await store.aclose()


def test_a_sweep_that_fails_is_told_once_and_harms_nobody(caplog):
    now = [0.0]
    store = ConversationStore(ttl=timedelta(1), clock=lambda: now[0])

    def lost(until, limit):
        raise StorageError("gone")

    object.__setattr__(store._logs[0], "delete_idle", lost)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            now[0] += 3_600
            store.append("a", [HumanMessage("x")])
    assert store.head("a").length == 3
    assert [record.message for record in caplog.records] == [
        "sessions cannot be expired or packed"
    ]


def test_a_sweep_takes_place_now_and_then_and_takes_a_few():
    now = [0.0]
    store = ConversationStore(ttl=timedelta(hours=1), clock=lambda: now[0])
    for number in range(20):
        store.append(f"old {number}", [HumanMessage("x")])
    now[0] = 7_200.0
    for _ in range(5):
        store.append("new", [HumanMessage("x")])
    assert len(store.list_sessions()) == 13
    now[0] += 61
    store.append("new", [HumanMessage("x")])
    assert len(store.list_sessions()) == 5


def test_a_driver_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(MissingExtraError, match=r"langchain-llmops\[postgres\]"):
        ConversationStore("postgresql://localhost/db")


def test_damage_is_told_not_hidden(tmp_path):
    store = ConversationStore(files(tmp_path, 1)[0], hot_bytes=0)
    store.append("a", [HumanMessage(f"{n}") for n in range(5)])
    with sqlite3.connect(tmp_path / "0.db") as file:
        file.execute("DELETE FROM llmops_message WHERE seq = 2")
    file.close()
    with pytest.raises(StorageError, match="lacks messages"):
        store.read("a")
    assert len(store.tail("a", limit=2)) == 2
    assert store.compact(timedelta(0)) == 0
    store.close()


def test_a_session_that_is_deleted_while_it_is_read_is_empty():
    store = ConversationStore(hot_bytes=0)
    store.append("a", [HumanMessage("x")])
    plan = store._plans.read("a", 0, None)
    head = next(plan).run()
    store.delete("a")
    fetch = plan.send(head)
    look = plan.send(fetch.run())
    with pytest.raises(StopIteration) as done:
        plan.send(plan.send(look.run()).run())
    assert list(done.value.value) == []


def test_the_cost_of_a_tail_does_not_grow_with_the_session(tmp_path):
    url = files(tmp_path, 1)[0]
    writer = ConversationStore(url)
    seen = []
    for length in (200, 5_000):
        writer.append("a", [HumanMessage("x")] * length)
        reader = ConversationStore(url)
        fetch = reader._logs[0].fetch
        asked = []

        def counted(born, start, stop, fetch=fetch, asked=asked):
            asked.append(stop - start)
            return fetch(born, start, stop)

        reader._logs[0].fetch = counted
        reader.tail("a", max_tokens=300)
        seen.append(sum(asked))
        reader.tail("a", max_tokens=300)
        assert sum(asked) == seen[-1], "the second time nothing travels"
        reader.close()
    assert seen[0] == seen[1] <= 200
    writer.close()
