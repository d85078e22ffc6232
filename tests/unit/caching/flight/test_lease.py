"""Leases: one process at a time, renewed while its call runs, lost without harm."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from langchain_llmops.caching.flight.lease import LeaseKeeper
from langchain_llmops.caching.flight.single_flight import SingleFlight
from langchain_llmops.caching.flight.sqlite_lease import SQLiteLease
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Time:
    """Seconds that pass only when somebody sleeps, or when told to."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def asleep(self, seconds: float) -> None:
        self.sleep(seconds)


class BrokenLease:
    """A lease store that is gone."""

    ttl_s = 10.0

    def __init__(self) -> None:
        self.asked = 0

    def acquire(self, key: str) -> str | None:
        self.asked += 1
        raise ConnectionError("the store is gone")

    async def aacquire(self, key: str) -> str | None:
        return self.acquire(key)

    renew: Any = None
    release: Any = None
    arelease: Any = None


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def lease(tmp_path: Path, time: Time) -> Iterator[SQLiteLease]:
    made = SQLiteLease(tmp_path / "leases.db", ttl_s=9, clock=time)
    yield made
    made.close()


@pytest.fixture
def keeper(lease: SQLiteLease, time: Time, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = LeaseKeeper(
        lease, max_wait_s=30, clock=time, sleep=time.sleep, asleep=time.asleep
    )
    # The tests say when it is time to renew.
    monkeypatch.setattr(made, "_start", lambda: None)
    return made


def test_one_holds_a_lease_until_it_gives_it_back(lease: SQLiteLease):
    token = lease.acquire("key")
    assert token
    assert lease.acquire("key") is None
    assert lease.acquire("other")
    lease.release("key", token)
    assert lease.acquire("key")


def test_a_lease_runs_out_and_is_the_next_ones(lease: SQLiteLease, time: Time):
    lost = lease.acquire("key") or ""
    time.now += 9
    token = lease.acquire("key") or ""
    assert token not in {"", lost}
    assert not lease.renew("key", lost)
    lease.release("key", lost)
    assert lease.acquire("key") is None, "who lost it cannot give it back"
    assert lease.renew("key", token)


async def test_tasks_take_leases_as_threads_do(lease: SQLiteLease):
    token = await lease.aacquire("key")
    assert token
    assert await lease.aacquire("key") is None
    await lease.arelease("key", token)
    assert await lease.aacquire("key")


def test_leases_of_killed_processes_do_not_pile_up(lease: SQLiteLease, time: Time):
    for number in range(5):
        lease.acquire(f"dead {number}")
    time.now += 9
    lease.release("key", lease.acquire("key") or "")
    with lease._engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT count(*) FROM llmops_flight_lease")
        assert rows.scalar_one() == 0


def test_what_is_held_is_renewed_while_the_call_runs(
    keeper: LeaseKeeper, lease: SQLiteLease, time: Time
):
    held = keeper.take("key", may_wait=True)
    assert held is not None
    token = held.token
    for _ in range(9):
        time.now += 3
        assert keeper.renew_all()
    assert lease.acquire("key") is None, "27 s on, with leases of 9 s"
    keeper.give_back("key", token)
    assert not keeper.renew_all()
    assert lease.acquire("key")


def test_no_lease_is_renewed_for_ever(
    keeper: LeaseKeeper, lease: SQLiteLease, time: Time
):
    keeper.take("key", may_wait=True)
    while keeper.renew_all():
        time.now += 3
    assert time.now < 1_000 + 30 + 9
    time.now += 9
    assert lease.acquire("key")


@pytest.mark.parametrize("mode", ["take", "atake"])
def test_a_waiter_has_the_lease_soon_after_its_holder_died(
    mode: str, keeper: LeaseKeeper, lease: SQLiteLease, time: Time
):
    assert lease.acquire("key")
    if mode == "take":
        assert keeper.take("key", may_wait=True)
    else:
        assert asyncio.run(keeper.atake("key"))
    assert 1_009 <= time.now < 1_009.3
    assert time.slept[0] == 0.02
    assert max(time.slept) == 0.25


def test_who_must_not_wait_goes_on_without(
    keeper: LeaseKeeper, lease: SQLiteLease, time: Time
):
    assert lease.acquire("key")
    assert keeper.take("key", may_wait=False) is None
    assert time.slept == []


@pytest.mark.parametrize("mode", ["take", "atake"])
def test_nobody_waits_for_ever(
    mode: str, keeper: LeaseKeeper, lease: SQLiteLease, time: Time
):
    token = lease.acquire("key") or ""
    sleep = time.sleep

    def renewing(seconds: float) -> None:
        sleep(seconds)
        lease.renew("key", token)

    async def arenewing(seconds: float) -> None:
        await asyncio.to_thread(renewing, seconds)

    keeper._sleep, keeper._asleep = renewing, arenewing
    if mode == "take":
        assert keeper.take("key", may_wait=True) is None
    else:
        assert asyncio.run(keeper.atake("key")) is None
    assert 1_030 <= time.now < 1_030.3


def test_a_lost_store_fails_no_call_and_is_left_alone_for_a_while(
    time: Time, caplog: pytest.LogCaptureFixture
):
    store = BrokenLease()
    keeper = LeaseKeeper(store, max_wait_s=30, clock=time, sleep=time.sleep)
    with caplog.at_level(logging.WARNING):
        assert keeper.take("key", may_wait=True) is None
        assert asyncio.run(keeper.atake("key")) is None
        assert store.asked == 1
        time.now += 6
        assert asyncio.run(keeper.atake("key")) is None
    assert (store.asked, keeper.errors, time.slept) == (2, 2, [])
    assert len(caplog.records) == 1


def test_two_processes_make_one_call(keeper: LeaseKeeper, lease: SQLiteLease):
    flights = SingleFlight(max_wait_s=4, leases=keeper)
    with flights.seat("key") as seat:
        assert seat.look_again, "another process may have answered meanwhile"
        assert lease.acquire("key") is None
        seat.end(committed=True)
    assert lease.acquire("key")


async def test_a_cancelled_task_gives_its_lease_back(
    keeper: LeaseKeeper, lease: SQLiteLease
):
    flights, leading = SingleFlight(max_wait_s=4, leases=keeper), asyncio.Event()

    async def lead() -> None:
        async with flights.seat("key"):
            leading.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(lead())
    await leading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await lease.aacquire("key")
    assert len(flights.table) == 0


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_lease_without_bound_is_refused(seconds: float, tmp_path: Path):
    with pytest.raises(ConfigurationError, match="ttl_s="):
        SQLiteLease(tmp_path / "leases.db", ttl_s=seconds)
