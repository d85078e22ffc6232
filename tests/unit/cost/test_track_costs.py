"""track_costs counts what its block calls, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tracers import context

from langchain_llmops import CostCallbackHandler, track_costs
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing import Prices, UsdPerMillion

PRICES = Prices({"fake-1": UsdPerMillion(input=1, output=10)})


def test_a_block_counts_its_calls_and_no_others(scripted):
    model = scripted()
    model.invoke("before")
    with track_costs(prices=PRICES) as costs:
        model.invoke("hi")
        list(model.stream("hi"))
    model.invoke("after")
    report = costs.report()
    assert (report.calls, float(report.usd)) == (2, 0.0004)


async def test_async_calls_and_the_tasks_of_a_block(scripted):
    with track_costs() as costs:
        await scripted().ainvoke("hi")
        await asyncio.gather(*(scripted().ainvoke("hi") for _ in range(5)))
        assert [chunk async for chunk in scripted().astream("hi")]
    assert (await costs.areport()).calls == 7


async def test_tasks_at_the_same_time_do_not_see_each_other(scripted):
    async def block(number):
        with track_costs() as costs:
            for _ in range(number):
                await scripted().ainvoke("hi")
                await asyncio.sleep(0)
        return costs.report().calls

    assert await asyncio.gather(*map(block, range(10))) == list(range(10))


def test_threads_do_not_see_each_other(scripted):
    counts = {}

    def block(number):
        with track_costs() as costs:
            scripted().batch(["hi"] * number)
        counts[number] = costs.report().calls

    threads = [threading.Thread(target=block, args=(n,)) for n in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == {n: n for n in range(1, 6)}


def test_both_blocks_count_what_the_inner_one_calls(scripted):
    with track_costs() as outer:
        scripted().invoke("hi")
        with track_costs() as inner:
            scripted().invoke("hi")
            list(scripted().stream("hi"))
        scripted().invoke("hi")
    assert (outer.report().calls, inner.report().calls) == (4, 2)


def test_a_block_inside_a_chain_counts_once_in_each(scripted):
    inner_counts = []

    def step(text):
        with track_costs() as inner:
            list(scripted().stream(text))
        inner_counts.append(inner.report().calls)
        return text

    with track_costs() as outer:
        RunnableParallel(a=RunnableLambda(step), b=scripted()).invoke("hi")
    assert inner_counts == [1]
    report = outer.report()
    assert (report.calls, report.input_tokens) == (2, 200)


def test_a_handler_that_is_passed_as_well_counts_once(scripted):
    with track_costs() as costs:
        scripted(callbacks=[costs]).invoke("hi", {"callbacks": [costs]})
    assert costs.report().calls == 1


def test_another_handler_in_the_config_counts_too(scripted):
    other = CostCallbackHandler()
    with track_costs() as costs:
        scripted().invoke("hi", {"callbacks": [other]})
    assert costs.report().calls == other.report().calls == 1


def test_a_failing_block_ends_as_well(scripted):
    with pytest.raises(KeyError), track_costs() as costs:
        raise KeyError
    scripted().invoke("hi")
    assert costs.report().calls == 0


def test_a_block_ended_elsewhere_than_it_began(scripted):
    def block():
        with track_costs() as costs:
            yield costs

    generator = block()
    costs = next(generator)
    scripted().invoke("hi")
    thread = threading.Thread(target=generator.close)
    thread.start()
    thread.join()
    assert costs.report().calls == 1


def test_five_thousand_uses_leave_no_hook_and_do_not_slow_a_call(scripted):
    model = scripted()

    def invoke_time():
        samples = []
        for _ in range(5):
            start = time.process_time()
            for _ in range(40):
                model.invoke("hi")
            samples.append(time.process_time() - start)
        return min(samples)

    hooks, before = len(context._configure_hooks), invoke_time()
    for _ in range(5_000):
        with track_costs(prices=PRICES):
            pass
    assert len(context._configure_hooks) == hooks
    # With a hook per use, as core's own context manager leaves, it is 2.5 times.
    assert invoke_time() < 1.6 * before


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigurationError, match="prices"), track_costs(prices={}):
        pass
