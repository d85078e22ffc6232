"""Many write to one session at once, some are killed: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_llmops.memory.stores.base import ConversationConflictError
from langchain_llmops.memory.stores.conversation_store import ConversationStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TURNS = 1_000
KILLS = int(os.environ.get("LLMOPS_TEST_KILLS", "3"))
"""Writers that are killed; a few hundred make a long run."""

WRITER = """
    import asyncio, sys
    from langchain_core.messages import AIMessage, HumanMessage
    from langchain_llmops.memory.stores.conversation_store import ConversationStore

    url, name, turns, mode = sys.argv[1:]
    store = ConversationStore(url)
    store.counter.load()
    print("ready", flush=True)
    sys.stdin.readline()

    def messages(turn):
        ident = f"{name}-{turn}"
        return [HumanMessage("?", id=f"q {ident}")], [AIMessage("!", id=f"a {ident}")]

    def write(turn):
        for message in messages(turn):
            store.append("s", message)
            print(message[0].id, flush=True)

    async def awrite(turn):
        for message in messages(turn):
            await store.aappend("s", message)

    async def all_at_once():
        await asyncio.gather(*(awrite(turn) for turn in range(int(turns))))

    if mode == "async":
        asyncio.run(all_at_once())
    else:
        for turn in range(int(turns)):
            write(turn)
"""


@pytest.fixture(params=["memory", "sqlite", "postgres", "valkey"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/conversations.db"
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def store(url: str) -> Iterator[ConversationStore]:
    opened = ConversationStore(url, timeout_s=30)
    opened.counter.load()
    yield opened
    opened.close()


@pytest.fixture
def writers(url: str) -> Iterator[Any]:
    """Start processes that write turns once they are given a line."""
    started: list[subprocess.Popen[str]] = []

    def start(name: str, turns: int, mode: str) -> subprocess.Popen[str]:
        code = textwrap.dedent(WRITER)
        process = subprocess.Popen(
            [sys.executable, "-c", code, url, name, str(turns), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()


def check(store: ConversationStore, turns: int) -> None:
    """Each turn is there once, its answer after it, and no place is empty."""
    entries = store.read("s")
    assert [entry.seq for entry in entries] == list(range(2 * turns))
    ids = Counter(entry.message.id for entry in entries)
    assert set(ids.values()) == {1}
    place = {entry.message.id: entry.seq for entry in entries}
    asked = [name for name in place if name.startswith("q")]
    assert len(asked) == turns
    assert all(place[name] < place[f"a{name[1:]}"] for name in asked)
    head = store.head("s")
    assert head.length == 2 * turns
    assert head.tokens == sum(entry.tokens for entry in entries)


def test_threads_lose_nothing(store: ConversationStore):
    def turn(number: int) -> None:
        store.append("s", [HumanMessage("?", id=f"q{number}")])
        store.append("s", [AIMessage("!", id=f"a{number}")])

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(turn, range(TURNS)))
    check(store, TURNS)


async def test_tasks_lose_nothing(store: ConversationStore, blockbuster):
    async def turn(number: int) -> None:
        await store.aappend("s", [HumanMessage("?", id=f"q{number}")])
        await store.aappend("s", [AIMessage("!", id=f"a{number}")])

    await asyncio.gather(*(turn(number) for number in range(TURNS)))
    await asyncio.to_thread(check, store, TURNS)
    await store.aclose()


@pytest.mark.timeout(180)  # two busy cores share six processes
def test_four_processes_lose_nothing(url: str, store, writers):
    if url == "memory://":
        pytest.skip("a process's memory is its own")
    processes = [writers(name, TURNS // 4, "async") for name in "wxyz"]
    for process in processes:
        go(process)
    for process in processes:
        process.communicate(timeout=150)
        assert process.returncode == 0
    check(store, TURNS)


def test_of_those_who_expect_the_same_length_one_wins(store: ConversationStore):
    wins, barrier = [], threading.Barrier(16)

    def turn(number: int) -> None:
        barrier.wait()
        try:
            store.append("s", [HumanMessage(str(number))], expected_seq=0)
        except ConversationConflictError:
            return
        wins.append(number)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(turn, range(16)))
    assert len(wins) == store.head("s").length == 1
    assert store.read("s")[0].message.text == str(wins[0])


def test_what_a_killed_writer_was_told_is_stored_is_stored(
    url: str, store: ConversationStore, writers
):
    if url == "memory://":
        pytest.skip("a process's memory is its own")
    told: list[str] = []
    for number in range(KILLS):
        process = writers(f"w{number}", 10_000, "sync")
        go(process)
        assert process.stdout
        told += [process.stdout.readline().strip() for _ in range(20 + number)]
        process.kill()
        told += [line.strip() for line in process.stdout if line.endswith("\n")]
    entries = store.read("s")
    assert [entry.seq for entry in entries] == list(range(len(entries)))
    ids = [entry.message.id for entry in entries]
    assert len(ids) == len(set(ids))
    assert set(told) <= set(ids)
    # A killed writer may have stored one message that it could not tell of any more.
    assert len(ids) <= len(told) + KILLS
    store.append("s", [HumanMessage("on we go")])


def test_packing_and_reading_and_writing_at_once_show_every_message(
    store: ConversationStore,
):
    store.append("s", [HumanMessage(f"{n}") for n in range(400)])
    done = threading.Event()

    def keep_packing() -> None:
        while not done.is_set():
            store.compact(timedelta(0))

    def keep_reading() -> None:
        reader = ConversationStore("memory://", hot_bytes=0)
        object.__setattr__(reader._plans, "logs", store._logs)
        while not done.is_set():
            found = [entry.message.text for entry in reader.read("s")]
            assert found[:400] == [f"{n}" for n in range(400)]
            assert found == [f"{n}" for n in range(len(found))]

    with ThreadPoolExecutor(3) as pool:
        work = [pool.submit(keep_packing), pool.submit(keep_reading)]
        for number in range(400, 440):
            store.append("s", [HumanMessage(f"{number}")])
            time.sleep(0.005)
        done.set()
        for each in work:
            each.result()
    assert len(store.read("s")) == 440
