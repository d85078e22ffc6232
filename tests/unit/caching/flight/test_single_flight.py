"""SingleFlight: threads, tasks and both at once wait for one call."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, active_count
from typing import TYPE_CHECKING

import pytest

from langchain_llmops.caching.flight.single_flight import SingleFlight
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator


class Shop:
    """One answer for sale: a cache in front of a model that counts its calls."""

    def __init__(self, flights: SingleFlight) -> None:
        self.flights = flights
        self.answer: str | None = None
        self.calls = 0
        self.missed = 0

    def ask(self, model: Callable[[], object] = lambda: None) -> str:
        since = self.flights.landings
        if self.answer is not None:
            return self.answer
        self.missed += 1
        with self.flights.seat("key", since=since) as seat:
            if seat.look_again and self.answer is not None:
                seat.end(committed=True)
                return self.answer
            self.calls += 1
            model()
            self.answer = "answer"
            seat.end(committed=True)
        return self.answer

    async def aask(self, gate: asyncio.Event | None = None) -> str:
        since = self.flights.landings
        if self.answer is not None:
            return self.answer
        self.missed += 1
        async with self.flights.seat("key", since=since) as seat:
            if seat.look_again and self.answer is not None:
                seat.end(committed=True)
                return self.answer
            self.calls += 1
            if gate is not None:
                await gate.wait()
            self.answer = "answer"
            seat.end(committed=True)
        return self.answer


@pytest.fixture
def shop() -> Iterator[Shop]:
    # Longer than a test may take: no test passes because a waiter lost patience.
    flights = SingleFlight(max_wait_s=600)
    yield Shop(flights)
    assert len(flights.table) == 0


async def turns(count: int = 10) -> None:
    """Let the tasks of the loop run on."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_thousand_tasks_make_one_call_and_take_no_thread(shop: Shop):
    gate, threads = asyncio.Event(), active_count()
    asked = [asyncio.create_task(shop.aask(gate)) for _ in range(1_000)]
    await turns()
    assert (shop.missed, active_count()) == (1_000, threads)
    gate.set()
    assert await asyncio.gather(*asked) == ["answer"] * 1_000
    assert shop.calls == 1


def test_threads_make_one_call(shop: Shop):
    together = Barrier(32)

    def ask() -> str:
        together.wait()
        return shop.ask()

    with ThreadPoolExecutor(32) as pool:
        answers = [pool.submit(ask) for _ in range(32)]
        assert {answer.result() for answer in answers} == {"answer"}
    assert shop.calls == 1


@pytest.mark.parametrize("leader", ["thread", "task"])
def test_threads_and_two_event_loops_make_one_call(shop: Shop, leader: str):
    leading, go_on = Event(), Event()

    def model() -> None:
        leading.set()
        assert go_on.wait(4)

    def lead() -> str:
        return shop.ask(model)

    async def alead() -> str:
        async with shop.flights.seat("key") as seat:
            shop.calls += 1
            await asyncio.to_thread(model)
            shop.answer = "answer"
            seat.end(committed=True)
        return shop.answer

    async def follow() -> list[str]:
        return await asyncio.gather(*(shop.aask() for _ in range(20)))

    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(
            lead if leader == "thread" else lambda: asyncio.run(alead())
        )
        assert leading.wait(4)
        threads = [pool.submit(shop.ask) for _ in range(8)]
        loops = [pool.submit(lambda: asyncio.run(follow())) for _ in range(2)]
        go_on.set()
        assert first.result() == "answer"
        assert {thread.result() for thread in threads} == {"answer"}
        assert [loop.result() for loop in loops] == [["answer"] * 20] * 2
    assert shop.calls == 1


async def test_a_cancelled_leader_hands_over_to_one(shop: Shop):
    gate = asyncio.Event()
    first, *others = [asyncio.create_task(shop.aask(gate)) for _ in range(50)]
    await turns()
    first.cancel()
    await turns()
    assert shop.calls == 2
    gate.set()
    assert await asyncio.gather(*others) == ["answer"] * 49
    assert shop.calls == 2


async def test_a_cancelled_waiter_leaves_the_others_alone(shop: Shop):
    gate = asyncio.Event()
    asked = [asyncio.create_task(shop.aask(gate)) for _ in range(5)]
    await turns()
    asked[2].cancel()
    await turns()
    gate.set()
    said = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(said.pop(2), asyncio.CancelledError)
    assert said == ["answer"] * 4
    assert shop.calls == 1


async def test_a_waiter_cancelled_while_it_is_given_the_lead_hands_it_on(shop: Shop):
    gate = asyncio.Event()
    first, second, third = [asyncio.create_task(shop.aask(gate)) for _ in range(3)]
    await turns()
    first.cancel()
    while not shop.flights.table._flights["key"].leader.inherited:  # noqa: ASYNC110 - turn by turn
        await asyncio.sleep(0)
    assert shop.calls == 1, "the second has the lead, and has not run since"
    second.cancel()
    gate.set()
    assert await third == "answer"
    assert shop.calls == 2


def test_each_error_reaches_its_own_caller(shop: Shop):
    together, errors = Barrier(6), iter(range(6))

    def model() -> None:
        raise ConnectionError(next(errors))

    def ask() -> str:
        together.wait()
        return shop.ask(model)

    with ThreadPoolExecutor(6) as pool:
        failed = [pool.submit(ask).exception for _ in range(6)]
        seen = {error.args[0] for call in failed if (error := call())}
    assert seen == set(range(6))


async def test_a_synchronous_call_never_waits_on_a_running_loop(shop: Shop):
    gate = asyncio.Event()
    leader = asyncio.create_task(shop.aask(gate))
    await turns()
    assert shop.ask() == "answer"
    assert shop.calls == 2
    gate.set()
    assert await leader == "answer"


def test_a_reader_of_a_stream_may_ask_the_same_again(shop: Shop):
    def stream() -> Iterator[str]:
        with shop.flights.seat("key"):
            yield "chunk"

    chunks = stream()
    assert next(chunks) == "chunk"
    assert shop.ask() == "answer"
    chunks.close()


async def test_a_task_may_ask_the_same_again_as_it_reads(shop: Shop):
    async def stream() -> AsyncIterator[str]:
        async with shop.flights.seat("key"):
            yield "chunk"

    chunks = stream()
    assert await anext(chunks) == "chunk"
    assert await shop.aask() == "answer"
    await chunks.aclose()


def test_an_abandoned_stream_hands_over(shop: Shop):
    def stream() -> Iterator[str]:
        with shop.flights.seat("key"):
            yield "chunk"

    with ThreadPoolExecutor(1) as pool:
        chunks = stream()
        next(chunks)
        waiting = pool.submit(shop.ask)
        while not shop.missed:
            pass
        del chunks
        gc.collect()
        assert waiting.result(4) == "answer"


def test_a_waiter_of_a_stuck_leader_goes_alone_in_the_end():
    shop = Shop(SingleFlight(max_wait_s=0.001))
    with shop.flights.seat("key"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(shop.ask).result() == "answer"
    assert len(shop.flights.table) == 0


async def test_a_waiting_task_of_a_stuck_leader_goes_alone_in_the_end():
    shop = Shop(SingleFlight(max_wait_s=0.001))
    async with shop.flights.seat("key"):
        assert await asyncio.create_task(shop.aask()) == "answer"
    assert len(shop.flights.table) == 0


def test_the_waiters_of_a_closed_loop_are_passed_over(shop: Shop):
    loop = asyncio.new_event_loop()
    with ThreadPoolExecutor(1) as pool:
        seat = shop.flights.seat("key")
        seat.__enter__()
        lost = loop.create_task(shop.aask())
        loop.run_until_complete(turns())
        thread = pool.submit(shop.ask)
        while shop.missed < 2:
            pass
        loop.close()
        seat.__exit__(None, None, None)
        assert thread.result() == "answer"
    lost._log_destroy_pending = False  # type: ignore[attr-defined]  # lost on purpose
    del lost
    gc.collect()


def test_what_was_committed_since_the_look_in_the_cache_is_looked_for(shop: Shop):
    since = shop.flights.landings
    with shop.flights.seat("key", since=since) as seat:
        assert not seat.look_again
        seat.end(committed=True)
    with shop.flights.seat("key", since=since) as late:
        assert late.look_again
    with shop.flights.seat("key", since=shop.flights.landings) as early:
        assert not early.look_again


async def test_who_inherits_the_lead_looks_in_the_cache_first(shop: Shop):
    async def follow() -> bool:
        async with shop.flights.seat("key") as seat:
            return seat.look_again

    async with shop.flights.seat("key"):
        follower = asyncio.create_task(follow())
        await turns()
    assert await follower


def test_a_call_without_a_key_shares_with_nobody(shop: Shop):
    with shop.flights.seat(None) as first, shop.flights.seat(None) as second:
        assert not first.look_again
        second.end(committed=True)
    assert shop.flights.landings == 0


@pytest.mark.parametrize("seconds", [0, -1, float("inf"), float("nan")])
def test_a_wait_without_bound_is_refused(seconds: float):
    with pytest.raises(ConfigurationError, match="max_wait_s="):
        SingleFlight(max_wait_s=seconds)
