"""DynamicBatcher from threads and event loops: grouping, leaving, failing, merging."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda

from langchain_llmops import DynamicBatcher
from langchain_llmops.errors import ConfigurationError


class Engine:
    """A function of lists that stops at a gate, and remembers its batches."""

    def __init__(self):
        self.batches = []
        self.gate = threading.Event()
        self.started = threading.Semaphore(0)

    def __call__(self, items):
        self.batches.append(list(items))
        self.started.release()
        assert self.gate.wait(5)
        return [ValueError(item) if item == "bad" else [item] for item in items]


@pytest.fixture
def engine():
    made = Engine()
    yield made
    made.gate.set()


async def started(engine):
    assert await asyncio.to_thread(engine.started.acquire, timeout=5)


def double(numbers):
    return [2 * number for number in numbers]


async def adouble(numbers):
    await asyncio.sleep(0)
    return [2 * number for number in numbers]


@pytest.mark.parametrize("fn", [double, adouble])
def test_synchronous_callers_get_their_own_results_in_order(fn):
    batcher = DynamicBatcher(fn, max_batch=4)
    assert batcher.invoke(3) == 6
    assert batcher.batch(list(range(10))) == list(range(0, 20, 2))
    assert batcher.batch([]) == []
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(batcher.invoke, range(50))) == list(range(0, 100, 2))


@pytest.mark.parametrize("fn", [double, adouble])
async def test_asynchronous_callers_get_their_own_results_in_order(fn):
    batcher = DynamicBatcher(fn, max_batch=4, max_in_flight=3)
    assert await batcher.ainvoke(3) == 6
    assert await batcher.abatch(list(range(10))) == list(range(0, 20, 2))
    assert await batcher.abatch([]) == []
    results = await asyncio.gather(*map(batcher.ainvoke, range(50)))
    assert results == list(range(0, 100, 2))
    chain = RunnableLambda(lambda number: number + 1) | batcher
    assert await chain.ainvoke(1) == 4
    assert [chunk async for chunk in chain.astream(1)] == [4]


@pytest.mark.parametrize("fn", [double, adouble])
async def test_calls_that_start_together_share_their_first_batch(fn):
    batcher = DynamicBatcher(fn, max_batch=32)
    await asyncio.gather(*map(batcher.ainvoke, range(20)))
    assert (batcher.stats.batches, batcher.stats.items) == (1, 20)


async def test_what_arrives_while_a_batch_runs_is_the_next_batch(engine):
    batcher = DynamicBatcher(engine, max_batch=3)
    calls = [asyncio.create_task(batcher.ainvoke("a"))]
    await started(engine)
    calls += [asyncio.create_task(batcher.ainvoke(item)) for item in "bcde"]
    await asyncio.sleep(0)
    engine.gate.set()
    assert await asyncio.gather(*calls) == [["a"], ["b"], ["c"], ["d"], ["e"]]
    assert engine.batches == [["a"], ["b", "c", "d"], ["e"]]


def test_as_many_batches_run_at_once_as_are_allowed():
    together = threading.Barrier(3)

    def meet(items):
        together.wait(5)
        return items

    batcher = DynamicBatcher(meet, max_batch=2, max_in_flight=3)
    assert batcher.batch(list("abcdef")) == list("abcdef")


def test_a_batch_that_is_full_does_not_wait_out_its_time():
    batcher = DynamicBatcher(double, max_batch=2, max_wait_ms=3_600_000)
    first = batcher.submit(1)
    assert not first.done()
    assert (batcher.invoke(2), first.result(5)) == (4, 2)
    assert batcher.stats.batches == 1


def test_only_items_of_one_group_within_the_tokens_share_a_batch(engine):
    batcher = DynamicBatcher(
        engine, max_batch=9, group_by=lambda item: item[0], max_tokens=4
    )
    first = batcher.submit("x")
    assert engine.started.acquire(timeout=5)
    futures = [batcher.submit(item) for item in ["a b", "b b", "a c", "a d"]]
    engine.gate.set()
    assert [future.result(5)[0] for future in (first, *futures)]
    assert engine.batches == [["x"], ["a b", "a c"], ["b b"], ["a d"]]


def test_priority_lets_others_pass_for_so_many_seconds(engine):
    now = [0.0]
    batcher = DynamicBatcher(
        engine,
        max_batch=1,
        priority=lambda item: 5 if item.startswith("slow") else 0,
        clock=lambda: now[0],
    )
    futures = [batcher.submit("first")]
    assert engine.started.acquire(timeout=5)
    for second, item in enumerate(["slow", "a", "b", "c", "d", "e", "f"]):
        now[0] = float(second)
        futures.append(batcher.submit(item))
    engine.gate.set()
    for future in futures:
        future.result(5)
    order = ["first", *"abcd", "slow", *"ef"]
    assert engine.batches == [[item] for item in order]


async def test_an_item_that_fails_fails_alone(engine):
    engine.gate.set()
    batcher = DynamicBatcher(engine, max_batch=9)
    results = await batcher.abatch(["a", "bad", "b"], return_exceptions=True)
    assert (results[0], results[2]) == (["a"], ["b"])
    assert isinstance(results[1], ValueError)
    with pytest.raises(ValueError, match="bad"):
        await batcher.abatch(["a", "bad"])
    with pytest.raises(ValueError, match="bad"):
        await asyncio.to_thread(batcher.invoke, "bad")


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_poisoned_batch_is_searched_and_the_error_is_the_same_object(is_async):
    poison = KeyError("poison")

    def fn(items):
        if 5 in items:
            raise poison
        return items

    async def afn(items):
        return fn(items)

    batcher = DynamicBatcher(afn if is_async else fn, max_batch=16)
    results = await batcher.abatch(list(range(16)), return_exceptions=True)
    assert results[5] is poison
    assert results[:5] + results[6:] == [*range(5), *range(6, 16)]
    assert batcher.stats.searches == 8


async def test_a_cancelled_item_leaves_its_batch(engine):
    batcher = DynamicBatcher(engine, max_batch=9)
    first = asyncio.create_task(batcher.ainvoke("a"))
    await started(engine)
    calls = [asyncio.create_task(batcher.ainvoke(item)) for item in "bcd"]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    calls[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[1]
    engine.gate.set()
    assert await asyncio.gather(first, calls[0], calls[2]) == [["a"], ["b"], ["d"]]
    assert engine.batches == [["a"], ["b", "d"]]
    assert batcher.stats.left == 1


async def test_an_async_batch_that_nobody_waits_for_is_cancelled():
    begun, cancelled = asyncio.Event(), asyncio.Event()

    async def hang(items):
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    batcher = DynamicBatcher(hang, max_batch=2)
    calls = [asyncio.create_task(batcher.ainvoke(item)) for item in "ab"]
    await begun.wait()
    calls[0].cancel()
    await asyncio.sleep(0)
    assert not cancelled.is_set()  # the other one still waits
    calls[1].cancel()
    await cancelled.wait()
    assert await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.parametrize("fn", [double, adouble])
async def test_no_cancellation_is_lost_and_nothing_stays_behind(fn):
    batcher = DynamicBatcher(fn, max_batch=8)

    async def cancelled(number):
        task = asyncio.create_task(batcher.ainvoke(number % 50))
        for _ in range(number % 7):
            await asyncio.sleep(0)
        asked = task.cancel()
        await asyncio.wait({task})
        return task.cancelled() or not asked

    assert all(await asyncio.gather(*map(cancelled, range(1000))))
    assert await batcher.ainvoke(-1) == -2
    dispatcher = batcher._dispatcher
    assert not dispatcher._entries
    assert not dispatcher._flights
    assert not dispatcher._queue


def test_a_slot_comes_back_from_a_loop_that_has_ended():
    batcher = DynamicBatcher(adouble, max_batch=2)

    async def leave_at_once():
        task = asyncio.create_task(batcher.ainvoke(1))
        await asyncio.sleep(0)
        return task

    for _ in range(3):
        asyncio.run(leave_at_once())
    assert asyncio.run(batcher.ainvoke(4)) == 8


async def test_who_runs_out_of_time_leaves_and_is_told(engine):
    batcher = DynamicBatcher(engine, max_batch=1, timeout_s=0.01)
    with pytest.raises(TimeoutError, match=r"timeout_s=0\.01"):
        await batcher.ainvoke("a")
    with pytest.raises(TimeoutError, match="raise it"):
        await asyncio.to_thread(batcher.invoke, "b")
    engine.gate.set()
    assert batcher.stats.left == 2
    assert engine.batches == [["a"]]


def test_equal_requests_under_way_are_sent_once_and_share_no_list(engine):
    batcher = DynamicBatcher(engine, max_batch=9)
    futures = [batcher.submit("a")]
    assert engine.started.acquire(timeout=5)
    futures += [batcher.submit(item) for item in "abab"]
    futures[1].cancel()  # leaves the others of its request alone
    engine.gate.set()
    results = [futures[place].result(5) for place in (0, 2, 3, 4)]
    assert results == [["a"], ["b"], ["a"], ["b"]]
    assert results[0] is not results[2]
    assert engine.batches == [["a"], ["b"]]
    assert (batcher.stats.merged, batcher.stats.items) == (3, 2)
    assert batcher.invoke("a") == ["a"]  # it is no cache
    assert engine.batches[2] == ["a"]


def test_results_are_called_back_and_a_callback_breaks_nothing(engine, caplog):
    engine.gate.set()
    heard, all_heard = [], threading.Event()

    def hear(item, outcome):
        heard.append((item, outcome))
        if len(heard) == 3:
            all_heard.set()
        raise RuntimeError("broken")

    batcher = DynamicBatcher(engine, max_batch=9, on_result=hear)
    futures = [batcher.submit(item) for item in ["a", "bad", "b"]]
    assert futures[0].result(5) == ["a"]
    assert isinstance(futures[1].exception(5), ValueError)
    assert all_heard.wait(5)
    assert batcher.invoke("c") == ["c"]
    assert dict(heard[:3])["a"] == ["a"]
    assert isinstance(dict(heard[:3])["bad"], ValueError)
    assert caplog.text.count("on_result failed") == 1


async def test_each_call_is_a_run_of_its_own():
    class Runs(BaseCallbackHandler):
        names, errors = [], []

        def on_chain_start(self, serialized, inputs, *, name=None, **_):
            self.names.append(name)

        def on_chain_error(self, error, **_):
            self.errors.append(error)

    def fn(items):
        return [item or OSError("down") for item in items]

    batcher, runs = DynamicBatcher(fn, max_batch=4), Runs()
    config = {"callbacks": [runs]}
    await batcher.abatch([1, 2], config)
    with pytest.raises(OSError, match="down"):
        await batcher.ainvoke(0, config)
    assert runs.names == ["DynamicBatcher"] * 3
    assert [str(error) for error in runs.errors] == ["down"]


async def test_a_synchronous_call_on_the_loop_of_an_async_function_is_refused():
    batcher = DynamicBatcher(adouble, max_batch=2)
    with pytest.raises(ConfigurationError, match="ainvoke"):
        batcher.invoke(1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_batch": 0},
        {"max_in_flight": 0},
        {"max_tokens": 0},
        {"max_wait_ms": -1},
        {"max_wait_ms": float("inf")},
        {"timeout_s": 0},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ConfigurationError, match=name):
        DynamicBatcher(double, **{"max_batch": 2, **wrong})
