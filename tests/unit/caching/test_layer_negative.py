"""CacheLayer: an error that would come again is raised again, without a model call."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.exceptions import (
    ContextOverflowError,
    ModelInvalidRequestError,
    ModelRateLimitError,
)

from langchain_llmops.caching import (
    CacheLayer,
    MemoryTier,
    SemanticCache,
    TieredCache,
)
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.models import with_layers

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Ask = Callable[..., Awaitable[str]]

TOO_LONG = ContextOverflowError("too long")


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def ask(request: pytest.FixtureRequest) -> Ask:
    async def ask(model: Any, config: Any = None, prompt: str = "q") -> str:
        if request.param == "invoke":
            return model.invoke(prompt, config).text
        if request.param == "ainvoke":
            return (await model.ainvoke(prompt, config)).text
        if request.param == "stream":
            return "".join(chunk.text for chunk in model.stream(prompt, config)).strip()
        chunks = [chunk.text async for chunk in model.astream(prompt, config)]
        return "".join(chunks).strip()

    return ask


@pytest.fixture
def layered(clock: Any) -> Callable[..., Any]:
    def layered(bare: Any, cache: Any, **options: Any) -> Any:
        return with_layers(bare, CacheLayer(cache, clock=clock, **options))

    return layered


async def fails(ask: Ask, *args: Any, **options: Any) -> Exception:
    with pytest.raises((ContextOverflowError, ModelInvalidRequestError)) as caught:
        await ask(*args, **options)
    return caught.value


async def test_the_same_request_fails_again_without_a_model_call(
    ask: Ask, layered: Any, counting: Any, clock: Any
):
    bare, cache = counting(TOO_LONG), TieredCache()
    model = layered(bare, cache)
    assert await fails(ask, model) is TOO_LONG  # the first one is the model's own
    clock.now += 4
    again = await fails(ask, model)
    assert type(again) is ContextOverflowError
    assert "not asked again" in again.__notes__[-1]
    assert (bare.calls, cache.stats().negative_hits) == (1, 1)
    await fails(ask, model, prompt="another")
    assert bare.calls == 2


async def test_it_is_asked_again_when_the_time_is_over(
    ask: Ask, layered: Any, counting: Any, clock: Any
):
    bare = counting(TOO_LONG, "at last")
    model = layered(bare, TieredCache(), negative_ttl=timedelta(seconds=3))
    await fails(ask, model)
    clock.now += 3
    assert await ask(model) == "at last"


async def test_what_may_pass_is_never_remembered(ask: Ask, layered: Any, counting: Any):
    bare = counting(ModelRateLimitError("slow down"), TimeoutError(), "at last")
    model = layered(bare, TieredCache())
    with pytest.raises(ModelRateLimitError):
        await ask(model)
    with pytest.raises(TimeoutError):
        await ask(model)
    assert await ask(model) == "at last"


async def test_none_remembers_nothing(ask: Ask, layered: Any, counting: Any):
    bare = counting(TOO_LONG)
    model = layered(bare, TieredCache(), negative_ttl=None)
    assert await fails(ask, model) is await fails(ask, model)
    assert bare.calls == 2


async def test_tenants_do_not_share_errors(ask: Ask, layered: Any, counting: Any):
    bare = counting(TOO_LONG, "fine")
    model = layered(bare, TieredCache())
    await fails(ask, model, {"metadata": {"tenant": "blue"}})
    assert await ask(model, {"metadata": {"tenant": "green"}}) == "fine"


@pytest.mark.parametrize("how", ["clear", "aclear", "invalidate", "ainvalidate"])
async def test_clear_and_invalidate_forget_errors(
    ask: Ask, layered: Any, counting: Any, how: str
):
    cache = TieredCache()
    model = layered(counting(TOO_LONG, "fine"), cache)
    await fails(ask, model)
    arguments = {} if "clear" in how else {"tags": ["x"]}
    done = getattr(cache, how)(**arguments)
    if how.startswith("a"):
        await done
    assert await ask(model) == "fine"


async def test_a_bypass_asks_and_what_it_brings_counts(
    ask: Ask, layered: Any, counting: Any
):
    bare = counting(TOO_LONG, "fine")
    model = layered(bare, TieredCache())
    await fails(ask, model)
    unstored = {"configurable": {"cache_bypass": True, "cache_no_store": True}}
    assert await ask(model, unstored) == "fine"
    assert await ask(model) == "fine"  # the error is gone, though nothing was stored
    assert bare.calls == 3


async def test_errors_of_calls_that_store_nothing_are_not_remembered(
    ask: Ask, layered: Any, counting: Any
):
    bare = counting(TOO_LONG, "fine")
    model = layered(bare, TieredCache())
    await fails(ask, model, {"configurable": {"cache_no_store": True}})
    assert await ask(model) == "fine"


async def test_an_answer_past_its_time_goes_before_a_remembered_error(
    ask: Ask, counting: Any, clock: Any
):
    cache = TieredCache(
        clock=clock,
        jitter=0,
        ttl=timedelta(minutes=1),
        stale_if_error=timedelta(minutes=5),
    )
    bare = counting("old", TOO_LONG)
    model = with_layers(bare, CacheLayer(cache, clock=clock))
    assert await ask(model) == "old"
    clock.now += 61
    assert await ask(model) == "old"
    assert await ask(model) == "old"
    stats = cache.stats()
    assert (bare.calls, stats.negative_hits, stats.stale) == (2, 1, 2)


async def test_nothing_of_an_error_reaches_a_tier(
    ask: Ask, layered: Any, counting: Any
):
    tier = MemoryTier()
    await fails(ask, layered(counting(TOO_LONG), TieredCache([tier])))
    assert len(tier) == 0


async def test_layers_and_the_semantic_step_share_what_the_cache_remembers(
    ask: Ask, layered: Any, counting: Any
):
    cache = TieredCache()
    semantic = SemanticCache(DeterministicFakeEmbedding(size=8), tier=cache)
    first, second = counting(TOO_LONG), counting("never asked")
    await fails(ask, layered(first, cache))
    await fails(ask, layered(second, semantic))
    assert (first.calls, second.calls) == (1, 0)
    semantic.clear()
    assert await ask(layered(second, semantic)) == "never asked"


async def test_those_who_wait_get_the_error_of_the_first(counting: Any):
    go_on = asyncio.Event()

    class Gated(counting):  # type: ignore[misc]  # a fixture is not a type
        async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            await go_on.wait()
            return self._generate(messages, *args, **kwargs)

    bare, cache = Gated(TOO_LONG), TieredCache()
    layer = CacheLayer(cache)
    model = with_layers(bare, layer)
    tasks = [asyncio.create_task(model.ainvoke("q")) for _ in range(50)]
    flights = layer._flights.table._flights
    while sum(len(flight.waiters) for flight in flights.values()) < 49:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0)
    go_on.set()
    errors = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(error) for error in errors} == {ContextOverflowError}
    assert len({id(error) for error in errors}) == 50  # a traceback is one caller's
    stats = cache.stats()
    assert (bare.calls, stats.negative_hits, stats.takeovers) == (1, 49, 49)


def test_a_time_that_is_none_is_an_error():
    with pytest.raises(ConfigurationError, match="negative_ttl="):
        CacheLayer(TieredCache(), negative_ttl=timedelta(0))
