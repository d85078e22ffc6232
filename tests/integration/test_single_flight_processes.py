"""Two processes and one call: over a shared tier, with the leader killed or not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from langchain_llmops.caching.flight.redis_lease import RedisLease
from langchain_llmops.testing import LocalProvider, SlowTokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ASKER = """
    import asyncio, sys
    from langchain_openai import ChatOpenAI
    from langchain_llmops.caching import CacheLayer, RedisTier, SQLiteTier, TieredCache
    from langchain_llmops.caching.flight.redis_lease import RedisLease
    from langchain_llmops.caching.flight.sqlite_lease import SQLiteLease
    from langchain_llmops.models import with_layers

    provider, store, mode = sys.argv[1:]
    if store.startswith("redis:"):
        tier, lease = RedisTier(store), RedisLease(store, ttl_s=1)
    else:
        tier, lease = SQLiteTier(store), SQLiteLease(store, ttl_s=1)
    model = with_layers(
        ChatOpenAI(
            model="gpt-4o-mini", temperature=0, api_key="test", base_url=provider,
            max_retries=0,
        ),
        CacheLayer(TieredCache([tier]), lease=lease),
    )

    async def ask(text):
        if mode == "ainvoke":
            return (await model.ainvoke(text)).text
        return "".join([chunk.text async for chunk in model.astream(text)])

    async def ask_both():
        answers = await asyncio.gather(ask("What is Rome?"), ask("What is Rome?"))
        assert answers[0].strip() == answers[1].strip()
        return answers[0]

    print("ready", flush=True)
    sys.stdin.readline()
    if mode == "invoke":
        print(model.invoke("What is Rome?").text, flush=True)
    elif mode == "stream":
        print("".join(c.text for c in model.stream("What is Rome?")), flush=True)
    else:
        print(asyncio.run(ask_both()), flush=True)
"""


@pytest.fixture(params=["sqlite", "valkey"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "shared.db")
    url: str = request.getfixturevalue("valkey")
    return url


@pytest.fixture
def asker(provider: LocalProvider, store: str) -> Iterator[Callable[[str], Any]]:
    """Start a process that asks once it is given a line; killed at the end."""
    started: list[subprocess.Popen[str]] = []
    command = [sys.executable, "-c", textwrap.dedent(ASKER)]

    def start(mode: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*command, provider.base_url, store, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def go(process: Any) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


MODES = [("invoke", "ainvoke"), ("astream", "stream")]


@pytest.mark.parametrize(("first", "second"), MODES)
def test_two_processes_make_one_call(
    first: str, second: str, asker: Any, provider: LocalProvider
):
    provider.inject(
        SlowTokens(first_token_s=2.5, tokens_per_s=None)
    )  # longer than a lease
    leader, follower = asker(first), asker(second)
    go(leader)
    until(lambda: len(provider.requests) == 1)
    go(follower)
    answers = [process.communicate(timeout=40) for process in (leader, follower)]
    assert answers[0][0].strip()
    assert answers[0][0].strip() == answers[1][0].strip()
    assert [errors for _, errors in answers] == ["", ""]
    assert len(provider.invoice) == 1


@pytest.mark.parametrize(("first", "second"), MODES)
def test_a_killed_leader_is_replaced_once_its_lease_ran_out(
    first: str, second: str, asker: Any, provider: LocalProvider
):
    provider.inject(SlowTokens(tokens_per_s=20))
    leader, follower = asker(first), asker(second)
    go(leader)
    until(lambda: provider.active == 1)
    go(follower)
    leader.kill()
    output, errors = follower.communicate(timeout=40)
    assert (bool(output.strip()), errors) == (True, "")
    provider.wait_idle()
    assert sorted(row.status for row in provider.invoice) == ["aborted", "completed"]
    killed, taken_over = provider.requests
    assert taken_over.at - killed.at > timedelta(seconds=0.5), "the lease ran out first"


def test_a_redis_lease_is_one_holders(valkey: str):
    lease = RedisLease(valkey, ttl_s=5)
    token = lease.acquire("key") or ""
    assert token
    assert lease.acquire("key") is None
    assert lease.renew("key", token)
    assert not lease.renew("key", "another")
    lease.release("key", "another")
    assert lease.acquire("key") is None
    lease.release("key", token)
    lost = lease.acquire("key") or ""
    lease._clients.threads.pexpire("llmops:flight:key", 0)
    assert not lease.renew("key", lost)
    assert lease.acquire("key")
    lease.close()


def test_a_redis_lease_serves_event_loops(valkey: str):
    lease = RedisLease(valkey, ttl_s=5)

    async def take_and_give() -> None:
        token = await lease.aacquire("key")
        assert token
        assert await lease.aacquire("key") is None
        await lease.arelease("key", token)

    for _ in range(2):
        asyncio.run(take_and_give())
    lease.close()
