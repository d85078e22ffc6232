"""The rules that every store keeps; a model of them is followed step by step.

The same rules are tested over Redis and PostgreSQL in tests/integration.
"""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langchain_llmops import MemoryBudgetStore, RedisBudgetStore, SQLBudgetStore
from langchain_llmops.cost.budgets.base import Balance, Hold
from langchain_llmops.cost.budgets.limit import MOST
from langchain_llmops.errors import ConfigurationError, StorageError

LIMIT = 100
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["reserve", "settle", "release", "expire", "again"]),
        st.integers(0, 8),
        st.integers(0, 150),
    ),
    max_size=60,
)


def hold(name: str, amount: int, key: str = "k", **times: float) -> Hold:
    times = {"expires_at": 100.0, "forget_at": 1e10, **times}
    return Hold(id=name, key=key, amount=amount, **times)


@pytest.fixture(params=["memory", "sqlite"])
def store(request, tmp_path):
    if request.param == "memory":
        yield MemoryBudgetStore()
        return
    made = SQLBudgetStore(tmp_path / "budgets.db")
    yield made
    made.close()


def follow(store, steps, key):
    """Do the steps, beside a model that is too simple to be wrong."""
    held: dict[str, int] = {}
    settled = 0
    now = 0.0
    for number, (action, slot, amount) in enumerate(steps):
        name = f"{key}-{slot}"
        if action == "reserve" and name not in held:
            fits = settled + sum(held.values()) + amount <= LIMIT
            admitted, balance = store.reserve(hold(name, amount, key), LIMIT)
            assert admitted == fits
            assert balance.used <= max(LIMIT, settled + sum(held.values()))
            if fits:
                held[name] = amount
        elif action in ("settle", "release"):
            used = amount if action == "settle" else 0
            found = store.settle(hold(name, 0, key), used, unsettled=False)
            assert (found is not None) == (name in held)
            if held.pop(name, None) is not None:
                settled += used
        elif action == "again" and name in held:
            # A client that repeats a request changes nothing.
            assert store.reserve(hold(name, held[name], key), LIMIT)[0]
        elif action == "expire":
            now = float(number * 10)
        balance = store.balance(key, now)
        assert balance.spent == settled
        assert balance.held == sum(held.values())
        assert balance.overdue == (balance.held if now >= 100 else 0)


@given(steps=STEPS)
def test_memory_never_admits_too_much_nor_loses_or_doubles_an_amount(steps):
    follow(MemoryBudgetStore(), steps, "k")


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_sqlite_never_admits_too_much_nor_loses_or_doubles_an_amount(tmp_path, steps):
    store = SQLBudgetStore(tmp_path / "budgets.db")
    try:
        follow(store, steps, str(uuid4()))
    finally:
        store.close()


def test_a_settlement_may_exceed_what_was_reserved(store):
    one = hold("one", 10)
    assert store.reserve(one, LIMIT) == (True, Balance(used=10, held=10))
    assert store.settle(one, 130, unsettled=False) == Balance(used=130)
    assert store.reserve(hold("two", 1), LIMIT) == (False, Balance(used=130))
    assert store.reserve(hold("three", 0), 130)[0]


def test_an_amount_whose_truth_nobody_knows_is_marked(store):
    one = hold("one", 10)
    store.reserve(one, LIMIT)
    assert store.settle(one, 10, unsettled=True) == Balance(used=10, unsettled=10)
    assert store.balance("k", 0) == Balance(used=10, unsettled=10)


def test_a_hold_of_a_dead_process_counts_and_is_shown_as_overdue(store):
    one = hold("one", 60, expires_at=50.0)
    store.reserve(one, LIMIT)
    assert store.balance("k", 49).overdue == 0
    assert store.balance("k", 50) == Balance(used=60, held=60, overdue=60)
    assert not store.reserve(hold("two", 50), LIMIT)[0]
    # It was only slow, after all: the truth takes the place of the guess.
    assert store.settle(one, 20, unsettled=False) == Balance(used=20)


def test_accounts_are_apart(store):
    store.reserve(hold("one", LIMIT, "a"), LIMIT)
    assert store.reserve(hold("two", LIMIT, "b"), LIMIT)[0]
    assert store.balance("c", 0) == Balance()


def test_sums_are_cut_off_where_stores_could_not_hold_them(store):
    for name in ("one", "two", "three"):
        # As every hold was made while there was room.
        store.reserve(hold(name, 0), MOST)
    for name in ("one", "two", "three"):
        balance = store.settle(hold(name, 0), MOST, unsettled=True)
    assert balance == Balance(used=MOST, unsettled=MOST)


def test_a_hundred_threads_on_a_limit_of_ten_are_ten(store):
    admitted = []
    start = threading.Barrier(20)

    def ask(number):
        start.wait()
        for turn in range(5):
            name = f"{number}-{turn}"
            if store.reserve(hold(name, 1), 10)[0]:
                admitted.append(name)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == 10
    assert store.balance("k", 0) == Balance(used=10, held=10)


async def test_the_asynchronous_side_does_the_same(store):
    answers = await asyncio.gather(
        *(store.areserve(hold(f"h{n}", 1), 10) for n in range(30))
    )
    assert sum(admitted for admitted, _ in answers) == 10
    first = next(n for n, (admitted, _) in enumerate(answers) if admitted)
    after = await store.asettle(hold(f"h{first}", 1), 0, unsettled=False)
    assert after == Balance(used=9, held=9)
    assert await store.abalance("k", 0) == after


def test_a_database_that_cannot_be_used_says_so(tmp_path):
    (tmp_path / "text.db").write_text("no database, but long enough to have a header")
    with pytest.raises(StorageError, match="is not a usable SQLite database"):
        SQLBudgetStore(tmp_path / "text.db")


def test_tables_that_cannot_be_made_are_no_store(tmp_path, monkeypatch):
    def refused(engine, metadata):
        raise StorageError("read-only")

    monkeypatch.setattr("langchain_llmops.cost.budgets.sql.create_tables", refused)
    with pytest.raises(StorageError, match="read-only"):
        SQLBudgetStore(tmp_path / "budgets.db")


@pytest.mark.parametrize("timeout_s", [0, -1, float("inf"), float("nan")])
def test_a_redis_deadline_is_a_length_of_time(timeout_s):
    pytest.importorskip("redis")
    with pytest.raises(ConfigurationError, match="must be positive seconds"):
        RedisBudgetStore("redis://localhost", timeout_s=timeout_s)


def test_memory_forgets_accounts_whose_window_is_long_over():
    now = 0.0
    store = MemoryBudgetStore(clock=lambda: now)
    for number in range(5_000):
        now = float(number)
        store.reserve(hold("h", 1, f"k{number}", forget_at=now + 100), 10)
    assert len(store._accounts) <= 2_048


def test_sqlite_forgets_accounts_and_holds_whose_window_is_long_over(tmp_path):
    now = 0.0
    store = SQLBudgetStore(tmp_path / "budgets.db", clock=lambda: now)
    old = hold("old", 1, "old", forget_at=100)
    store.reserve(old, 10)
    store.reserve(replace(old, id="new", key="new", forget_at=1e10), 10)
    now = 4_000.0
    store.reserve(hold("next", 1, "new"), 10)
    assert store.balance("old", 0) == Balance()
    assert store.settle(old, 1, unsettled=False) is None
    assert store.balance("new", 0).held == 2
    store.close()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
async def test_what_a_cancelled_thread_did_is_known_before_the_caller_goes_on(
    store, monkeypatch
):
    begun, go_on = threading.Event(), threading.Event()
    plain = store.reserve

    def slow(*args):
        begun.set()
        assert go_on.wait(5)
        return plain(*args)

    monkeypatch.setattr(store, "reserve", slow)
    asking = asyncio.create_task(store.areserve(hold("one", 1), 10))
    await asyncio.to_thread(begun.wait)
    asking.cancel()
    await asyncio.sleep(0)
    assert not asking.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await store.abalance("k", 0)).held == 1
