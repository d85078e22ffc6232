"""Answers past their time, as the callers of a layered model get them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from langchain_llmops.caching import CacheLayer, TieredCache, cache_scope
from langchain_llmops.models import with_layers

BYPASS = {"configurable": {"cache_bypass": True}}


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def ask(request):
    async def ask(model, config=None):
        if request.param == "invoke":
            return model.invoke("q", config).text
        if request.param == "ainvoke":
            return (await model.ainvoke("q", config)).text
        if request.param == "stream":
            return "".join(chunk.text for chunk in model.stream("q", config)).rstrip()
        chunks = [chunk.text async for chunk in model.astream("q", config)]
        return "".join(chunks).rstrip()

    return ask


def layered(bare, clock, **options):
    cache = TieredCache(clock=clock, jitter=0, **options)
    return with_layers(bare, CacheLayer(cache))


async def test_one_who_asks_refreshes_a_stale_answer(ask, counting, clock):
    bare = counting("old", "new")
    model = layered(
        bare, clock, ttl=timedelta(minutes=10), soft_ttl=timedelta(minutes=1)
    )
    assert await ask(model) == "old"
    clock.now += 61
    assert await ask(model) == "new"
    assert await ask(model) == "new"
    assert bare.calls == 2


async def test_a_stale_answer_takes_the_place_of_an_error(ask, counting, clock):
    bare = counting("old", ConnectionError("down"))
    model = layered(
        bare, clock, ttl=timedelta(minutes=10), soft_ttl=timedelta(minutes=1)
    )
    assert await ask(model) == "old"
    clock.now += 61
    assert await ask(model) == "old"
    assert bare.calls == 2


async def test_an_expired_answer_is_kept_for_when_the_model_fails(ask, counting, clock):
    bare = counting("old", ConnectionError("down"))
    model = layered(
        bare, clock, ttl=timedelta(minutes=1), stale_if_error=timedelta(minutes=5)
    )
    assert await ask(model) == "old"
    clock.now += 61
    assert await ask(model) == "old"
    with pytest.raises(ConnectionError):
        await ask(model, BYPASS)  # asked for the model, and nothing else
    clock.now += 300
    with pytest.raises(ConnectionError):
        await ask(model)


async def test_without_a_kept_answer_the_error_stays_the_callers(ask, counting, clock):
    failure = ConnectionError("down")
    model = layered(
        counting(failure),
        clock,
        ttl=timedelta(minutes=1),
        stale_if_error=timedelta(minutes=5),
    )
    with pytest.raises(ConnectionError) as caught:
        await ask(model)
    assert caught.value is failure


async def test_nobody_waits_for_a_refresh_but_the_one_who_makes_it(
    ask, counting, clock
):
    started, go_on = asyncio.Event(), asyncio.Event()

    class Gated(counting):
        async def _agenerate(self, messages, *args, **kwargs):
            if self.calls:
                started.set()
                await go_on.wait()
            return self._generate(messages, *args, **kwargs)

    bare = Gated("old", "new")
    model = layered(bare, clock, soft_ttl=timedelta(minutes=1))
    await model.ainvoke("q")
    clock.now += 61
    refreshing = asyncio.create_task(model.ainvoke("q"))
    await started.wait()
    assert [await ask(model) for _ in range(3)] == ["old"] * 3
    assert not refreshing.done()
    go_on.set()
    assert (await refreshing).text == "new"
    assert await ask(model) == "new"
    assert bare.calls == 2


async def test_warming_with_a_bound_on_age_refreshes_before_anyone_asks(
    counting, clock
):
    cache = TieredCache(clock=clock, jitter=0, soft_ttl=timedelta(minutes=10))
    bare = counting("old", "new")
    model = with_layers(bare, CacheLayer(cache))
    model.invoke("q")
    clock.now += 540
    with cache_scope(max_age=timedelta(minutes=8)):
        assert (await cache.awarm(["q"], model)).answered == 1
        assert cache.warm(["q"], model).cached == 1
    clock.now += 120  # the old one would be stale by now
    answer = model.invoke("q")
    assert (answer.text, bare.calls, cache.stats().refreshes) == ("new", 2, 0)
