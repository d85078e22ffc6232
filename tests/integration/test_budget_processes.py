"""A hundred calls on a budget for ten are ten: threads, tasks, processes, servers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest
from langchain_openai import ChatOpenAI

from langchain_llmops import (
    Budget,
    BudgetExceededError,
    BudgetLayer,
    MemoryBudgetStore,
    RedisBudgetStore,
    SQLBudgetStore,
    with_layers,
)
from langchain_llmops.cost.budgets.base import Balance, Hold
from langchain_llmops.cost.budgets.limit import MOST

CALLS, LIMIT = 100, 10

CHILD = """
import sys
from concurrent.futures import ThreadPoolExecutor
from langchain_llmops import Budget, BudgetExceededError
from langchain_llmops import RedisBudgetStore, SQLBudgetStore

url = sys.argv[1]
store = RedisBudgetStore(url, timeout_s=5) if url.startswith("redis") else (
    SQLBudgetStore(url, busy_timeout_s=20)
)
budget = Budget(limit_calls=10, scope="all", window="forever", store=store)
print("ready", flush=True)
sys.stdin.readline()

def ask(_):
    try:
        budget.settle(budget.reserve(1), 1)
    except BudgetExceededError:
        return 0
    return 1

with ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(ask, range(25))), budget.store_errors, flush=True)
"""


@pytest.fixture(params=["memory", "sqlite", "redis", "postgres"])
def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryBudgetStore()
        return
    if request.param == "redis":
        made = RedisBudgetStore(request.getfixturevalue("valkey"), timeout_s=5)
    elif request.param == "postgres":
        made = SQLBudgetStore(request.getfixturevalue("postgres"))
    else:
        made = SQLBudgetStore(tmp_path / "budgets.db", busy_timeout_s=20)
    yield made
    made.close()


def asks(provider, store):
    budget = Budget(limit_calls=LIMIT, scope="all", window="forever", store=store)
    model = ChatOpenAI(model="gpt-4o-mini", base_url=provider.base_url, api_key="local")
    return with_layers(model, BudgetLayer(budget)), budget


def test_a_hundred_threads_send_ten_requests(provider, store):
    model, budget = asks(provider, store)
    start, refused = threading.Barrier(20), []

    def ask():
        start.wait()
        for _ in range(CALLS // 20):
            try:
                model.invoke("Hi")
            except BudgetExceededError:
                refused.append(1)

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(provider.requests) == LIMIT
    assert len(refused) == budget.refusals == CALLS - LIMIT
    assert (budget.status().settled, budget.store_errors) == (LIMIT, 0)


async def test_a_hundred_tasks_send_ten_requests(provider, store):
    model, budget = asks(provider, store)
    answers = await asyncio.gather(
        *(model.ainvoke("Hi") for _ in range(CALLS)), return_exceptions=True
    )
    refused = [each for each in answers if isinstance(each, BudgetExceededError)]
    assert len(refused) == CALLS - LIMIT
    assert len(provider.requests) == LIMIT
    assert ((await budget.astatus()).settled, budget.store_errors) == (LIMIT, 0)


@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgres"])
def test_four_processes_admit_ten_calls_between_them(kind, request, tmp_path):
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/budgets.db"
    else:
        url = request.getfixturevalue({"redis": "valkey"}.get(kind, kind))
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        for child in children:
            assert child.stdout.readline().strip() == "ready"
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        answers = [child.communicate(timeout=60)[0].split() for child in children]
    finally:
        for child in children:
            child.kill()
            child.wait()
    assert sum(int(admitted) for admitted, _ in answers) == LIMIT
    assert [errors for _, errors in answers] == ["0"] * 4


def test_what_a_killed_process_held_stays_charged_and_is_shown_as_unsettled(tmp_path):
    path = tmp_path / "budgets.db"
    code = (
        "import os, signal, sys\n"
        "from langchain_llmops import Budget, SQLBudgetStore\n"
        "store = SQLBudgetStore(sys.argv[1])\n"
        "budget = Budget(\n"
        "    limit_tokens=100, scope='all', window='forever', store=store\n"
        ")\n"
        "budget.settle(budget.reserve(30), 25)\n"
        "budget.reserve(60)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -9
    store = SQLBudgetStore(path)
    shared = {"limit_tokens": 100, "scope": "all", "window": "forever", "store": store}
    assert Budget(**shared).status().reserved == 60
    later = Budget(**shared, clock=lambda: time.time() + 901)
    status = later.status()
    assert (status.settled, status.reserved, status.unsettled) == (25, 0, 60)
    with pytest.raises(BudgetExceededError):
        later.reserve(16)
    store.close()


def hold(name, amount, **times):
    times = {"expires_at": 100.0, "forget_at": time.time() + 1_000, **times}
    return Hold(id=name, key="k", amount=amount, **times)


def test_every_store_keeps_the_same_rules(store):
    one = hold("one", 60)
    assert store.reserve(one, 100) == (True, Balance(used=60, held=60))
    assert store.reserve(one, 100) == (True, Balance(used=60, held=60))
    assert store.reserve(hold("two", 41), 100) == (False, Balance(used=60, held=60))
    assert store.reserve(hold("big", 101), 100)[0] is False
    assert store.balance("k", 99).overdue == 0
    assert store.balance("k", 100).overdue == 60
    assert store.settle(one, 130, unsettled=True) == Balance(used=130, unsettled=130)
    assert store.settle(one, 5, unsettled=False) is None
    assert store.balance("k", 100) == Balance(used=130, unsettled=130)
    assert store.reserve(hold("free", 0), 100)[0] is False
    for name in ("a", "b", "c"):
        assert store.reserve(hold(name, 0), MOST)[0]
    for name in ("a", "b", "c"):
        full = store.settle(hold(name, 0), MOST, unsettled=True)
    assert full == Balance(used=MOST, unsettled=MOST)
    assert store.balance("unknown", 0) == Balance()


async def test_every_store_keeps_them_on_an_event_loop(store):
    one = hold("one", 60)
    assert (await store.areserve(one, 100))[0]
    assert not (await store.areserve(replace(one, id="two"), 100))[0]
    assert (await store.abalance("k", 100)).overdue == 60
    assert await store.asettle(one, 7, unsettled=False) == Balance(used=7)
    assert await store.asettle(one, 7, unsettled=False) is None


def test_amounts_are_exact_where_floats_are_not(store):
    edge = 2**53
    store.settle(_reserved(store, "one", edge), edge, unsettled=False)
    assert store.reserve(hold("two", 1), edge + 1)[0]
    assert not store.reserve(hold("three", 1), edge + 1)[0]
    assert store.balance("k", 0).used == edge + 1


def _reserved(store, name, amount):
    made = hold(name, amount)
    assert store.reserve(made, amount)[0]
    return made


def test_an_account_in_redis_expires_with_its_window(valkey):
    redis = pytest.importorskip("redis")
    store = RedisBudgetStore(valkey)
    store.reserve(hold("one", 1, forget_at=time.time() + 100), 10)
    with redis.Redis.from_url(valkey) as client:
        assert 0 < client.ttl("llmops:budget:k") <= 100
        store.reserve(replace(hold("two", 1), key="f", forget_at=float("inf")), 10)
        assert client.ttl("llmops:budget:f") == -1
    store.close()


def test_a_step_is_one_round_trip(valkey):
    redis = pytest.importorskip("redis")
    store = RedisBudgetStore(valkey)
    budget = Budget(limit_calls=10, scope="all", store=store)
    budget.settle(budget.reserve(1), 1)
    with redis.Redis.from_url(valkey) as client:

        def commands():
            stats = client.info("commandstats")
            return stats["cmdstat_eval"]["calls"]

        before = commands()
        budget.settle(budget.reserve(1), 1)
        assert commands() - before == 2
    store.close()


def test_a_server_that_is_gone_is_survived(valkey):
    store = RedisBudgetStore("redis://127.0.0.1:1/0")
    budget = Budget(limit_calls=1, scope="all", store=store)
    budget.settle(budget.reserve(1), 1)
    with pytest.raises(BudgetExceededError):
        budget.reserve(1)
    assert budget.store_errors == 1
    store.close()
