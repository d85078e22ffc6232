"""ResourcePool: what is lent, to whom first, and what is thrown away."""

from __future__ import annotations

import asyncio
import itertools
import threading

import pytest

from langchain_llmops import ResourcePool
from langchain_llmops.errors import ConfigurationError


class Thing:
    """A resource with a number; health and closing are seen from outside."""

    numbers = itertools.count()

    def __init__(self):
        self.number = next(self.numbers)
        self.healthy = True
        self.closed = False

    def close(self):
        self.closed = True


async def until(condition):
    while not condition():  # noqa: ASYNC110 - a thread is on its way
        await asyncio.sleep(0)


def healthy(thing):
    return thing.healthy


def test_a_resource_is_made_when_needed_and_lent_again():
    pool = ResourcePool(Thing, 2)
    with pool.borrow() as first:
        with pool.borrow() as second:
            assert second is not first
        with pool.borrow() as again:
            assert again is second
    with pool.borrow() as last:
        assert last is first  # the one that came back last
    pool.close()
    assert first.closed
    assert second.closed


async def test_a_resource_is_made_when_needed_and_lent_again_on_a_loop():
    pool = ResourcePool(Thing, 2)
    async with pool.aborrow() as first:
        async with pool.aborrow() as second:
            assert second is not first
        async with pool.aborrow() as again:
            assert again is second
    await pool.aclose()
    assert first.closed
    assert second.closed


async def test_threads_and_tasks_wait_in_one_line():
    pool, order = ResourcePool(Thing, 1), []

    async def task(name):
        async with pool.aborrow():
            order.append(name)

    def thread(name):
        with pool.borrow(5):
            order.append(name)

    async with pool.aborrow():
        waiting = []
        for number, name in enumerate("abcdef"):
            if number % 2:
                waiting.append(asyncio.create_task(task(name)))
            else:
                waiting.append(asyncio.create_task(asyncio.to_thread(thread, name)))
            await until(lambda line=number: len(pool._slots._waiting) > line)
    await asyncio.gather(*waiting)
    assert order == list("abcdef")


def test_never_more_than_size_are_lent_to_threads():
    pool, lent, most = ResourcePool(Thing, 3), [], []
    lock = threading.Lock()

    def use():
        for _ in range(50):
            with pool.borrow() as thing:
                with lock:
                    assert thing not in lent
                    lent.append(thing)
                    most.append(len(lent))
                with lock:
                    lent.remove(thing)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1 <= max(most) <= 3
    assert len(most) == 400


async def test_who_is_cancelled_in_line_loses_no_slot():
    pool = ResourcePool(Thing, 1)

    async def use():
        async with pool.aborrow():
            await asyncio.sleep(0)

    for step in range(6):
        async with pool.aborrow():
            waiting = [asyncio.create_task(use()) for _ in range(4)]
            await asyncio.sleep(0)
        for _ in range(step):
            await asyncio.sleep(0)
        for task in waiting[::2]:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    async with pool.aborrow(1):
        assert not pool._slots._waiting


async def test_what_a_thread_makes_for_a_cancelled_task_is_lent_to_the_next():
    begun, gate, made = threading.Event(), threading.Event(), []

    def factory():
        begun.set()
        assert gate.wait(5)
        made.append(Thing())
        return made[-1]

    pool = ResourcePool(factory, 1)

    async def use():
        async with pool.aborrow() as thing:
            return thing

    task = asyncio.create_task(use())
    assert await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.set()
    await until(lambda: pool._idle)
    assert await use() is made[0]
    assert len(made) == 1


async def test_no_slot_in_time_is_an_error_that_says_so():
    pool = ResourcePool(Thing, 1)
    async with pool.aborrow():
        with pytest.raises(TimeoutError, match="none of 1 resources"):
            async with pool.aborrow(0.001):
                pass
        with pytest.raises(TimeoutError, match="aborrow"), pool.borrow():
            pass  # it would hold up the loop that has to give the slot back
    with pool.borrow():
        pass  # free: nothing to wait for


@pytest.mark.parametrize("is_async", [False, True])
async def test_old_used_up_and_sick_resources_are_replaced(is_async):
    now = [0.0]
    pool = ResourcePool(
        Thing, 2, health=healthy, max_idle_s=10, max_uses=3, clock=lambda: now[0]
    )

    async def use():
        if is_async:
            async with pool.aborrow() as thing:
                return thing
        with pool.borrow() as thing:
            return thing

    first = await use()
    now[0] = 9
    assert await use() is first
    now[0] = 19
    second = await use()
    assert first.closed  # idle for ten seconds
    assert await use() is await use() is second
    assert second.closed  # used three times
    third = await use()
    third.healthy = False
    fourth = await use()
    assert third.closed
    del fourth.healthy  # a check that raises
    assert await use() is not fourth
    assert fourth.closed


@pytest.mark.parametrize("is_async", [False, True])
async def test_after_an_error_only_a_checked_resource_is_kept(is_async):
    async def fail(pool):
        if is_async:
            async with pool.aborrow() as thing:
                seen.append(thing)
                raise KeyError
        with pool.borrow() as thing:
            seen.append(thing)
            raise KeyError

    seen = []
    checked = ResourcePool(Thing, 1, health=healthy)
    unchecked = ResourcePool(Thing, 1)
    for pool in (checked, checked, unchecked, unchecked):
        with pytest.raises(KeyError):
            await fail(pool)
    assert seen[0] is seen[1]
    assert seen[2] is not seen[3]
    assert seen[2].closed


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_factory_that_fails_costs_no_slot(is_async):
    errors = [OSError("down")]

    def factory():
        if errors:
            raise errors.pop()
        return Thing()

    async def use():
        if is_async:
            async with pool.aborrow():
                pass
        with pool.borrow():
            pass

    pool = ResourcePool(factory, 1)
    with pytest.raises(OSError, match="down"):
        await use()
    async with pool.aborrow(1) as thing:
        assert not thing.closed


async def test_async_functions_work_and_need_the_async_side():
    closed = []

    async def make():
        return Thing()

    async def check(thing):
        return thing.healthy

    async def close(thing):
        closed.append(thing)

    pool = ResourcePool(make, 1, health=check, close=close)
    async with pool.aborrow() as first:
        pass
    async with pool.aborrow() as again:
        assert again is first
        first.healthy = False
    async with pool.aborrow() as second:
        assert closed == [first]
    await pool.aclose()
    assert closed == [first, second]
    with (
        pytest.raises(ConfigurationError, match="aborrow"),
        ResourcePool(make, 1).borrow(),
    ):
        pass


def test_a_closed_pool_lends_nothing_and_closes_what_comes_back(caplog):
    def close(_):
        raise OSError("stuck")

    pool, stuck = ResourcePool(Thing, 1), ResourcePool(Thing, 1, close=close)
    with pool.borrow() as thing:
        pool.close()
        assert not thing.closed
    assert thing.closed
    with pytest.raises(ConfigurationError, match="closed"), pool.borrow():
        pass
    with stuck.borrow():
        pass
    stuck.close()
    assert "could not be closed" in caplog.text


@pytest.mark.parametrize("wrong", [{"size": 0}, {"max_idle_s": 0}, {"max_uses": -1}])
def test_numbers_that_cannot_be_are_refused(wrong):
    (name,) = wrong
    with pytest.raises(ConfigurationError, match=name):
        ResourcePool(Thing, **{"size": 1, **wrong})
