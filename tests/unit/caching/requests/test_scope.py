"""cache_scope: switches for callers without a config, in every mode."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langgraph.graph import START, MessagesState, StateGraph

from langchain_llmops import CacheLayer, TieredCache, cache_scope, with_layers
from langchain_llmops.caching.requests.keys import Switches
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing.prices import default_prices

MODES = ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"]


async def ask(model: Any, mode: str, config: Any = None) -> Any:
    if mode == "batch":
        return model.batch(["hi", "ho"], config)
    if mode == "abatch":
        return await model.abatch(["hi", "ho"], config)
    if mode == "stream":
        return list(model.stream("hi", config))
    if mode == "astream":
        return [chunk async for chunk in model.astream("hi", config)]
    if mode == "ainvoke":
        return await model.ainvoke("hi", config)
    return model.invoke("hi", config)


@pytest.fixture(params=["layer", "BaseCache"])
def model(request: pytest.FixtureRequest, counting: Any) -> Any:
    default_prices()  # read from disk by the first store, which may be on a loop
    if request.param == "layer":
        return with_layers(counting(), CacheLayer(TieredCache()))
    return counting(cache=TieredCache())


@pytest.mark.parametrize("chained", [False, True])
@pytest.mark.parametrize("mode", MODES)
async def test_scopes_never_share(mode: str, chained: Any, model: Any):
    if model.cache and "stream" in mode:
        pytest.skip("LangChain's own cache does not see streams")
    calls = model._asked
    asked = RunnableLambda(lambda x: x) | model if chained else model
    with cache_scope("acme"):
        await ask(asked, mode)
        first = len(calls)
        await ask(asked, mode)
        assert len(calls) == first
    with cache_scope("other"):
        await ask(asked, mode)
    assert len(calls) == 2 * first
    await ask(asked, mode)
    assert len(calls) == 3 * first


def test_threads_that_langchain_starts_are_inside(model: Any):
    parallel = RunnableParallel(a=model, b=model)
    with cache_scope("acme"):
        model.invoke("hi")
        parallel.invoke("hi")
    assert model.calls == 1
    parallel.invoke("hi")
    assert model.calls >= 2


def test_a_graph_is_inside(model: Any):
    graph = StateGraph(MessagesState)
    graph.add_node("ask", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "ask")
    compiled = graph.compile()
    for scope in ("acme", "acme", "other"):
        with cache_scope(scope):
            compiled.invoke({"messages": [("human", "hi")]})
    assert model.calls == 2


async def test_tasks_keep_the_scope_they_were_started_in(model: Any):
    with cache_scope("acme"):
        first = asyncio.create_task(model.ainvoke("hi"))
    with cache_scope("other"):
        second = asyncio.create_task(model.ainvoke("hi"))
    await asyncio.gather(first, second)
    assert model.calls == 2


def test_a_thread_of_ones_own_is_outside():
    with cache_scope("acme"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(Switches.of, {}).result().scope is None


def test_nested_scopes_merge_and_the_inner_one_wins():
    with (
        cache_scope("outer", tags=["b"], bypass=True, max_age=60),
        cache_scope(
            "inner", tags=["a", "b"], no_store=True, max_age=timedelta(hours=1)
        ),
    ):
        switches = Switches.of({"metadata": {"tenant": "acme"}})
    assert switches == Switches(
        scope="inner", read=False, store=False, tags=("a", "b"), max_age_s=3600.0
    )
    with cache_scope("outer", max_age=60), cache_scope():
        assert Switches.of({}).scope == "outer"
        assert Switches.of({}).max_age_s == 60
    assert Switches.of({}).plain


def test_what_the_config_says_counts_more():
    given = {
        "cache_scope": "call",
        "cache_tags": ["t"],
        "cache_bypass": False,
        "cache_no_store": False,
        "cache_max_age": timedelta(minutes=1),
    }
    with cache_scope("block", tags=["u"], bypass=True, no_store=True, max_age=5):
        switches = Switches.of({"configurable": given})
    assert switches == Switches(
        scope="call", read=True, store=True, tags=("t",), max_age_s=60.0
    )


@pytest.mark.parametrize("mode", ["invoke", "stream"])
async def test_bypass_and_no_store(mode: str, counting: Any):
    await asyncio.to_thread(default_prices)
    model = with_layers(counting("one", "two", "three"), CacheLayer(TieredCache()))
    with cache_scope(no_store=True):
        await ask(model, mode)
    await ask(model, mode)
    assert model.calls == 2
    with cache_scope(bypass=True):
        await ask(model, mode)
    await ask(model, mode)
    assert model.calls == 3


def test_the_scope_ends_with_the_block_even_by_an_error():
    with pytest.raises(ZeroDivisionError), cache_scope("acme"):
        _ = 1 / 0
    assert Switches.of({}).scope is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tags": "handbook"}, r"write \['handbook'\]"),
        ({"tags": [""]}, "is not a name"),
        ({"tags": [7]}, "is not a name"),
        ({"max_age": -1}, "max_age=-1"),
        ({"max_age": float("nan")}, "max_age=nan"),
        ({"max_age": timedelta(seconds=-1)}, "max_age=-1"),
        ({"max_age": True}, "max_age=True"),
        ({"max_age": "1h"}, "max_age='1h'"),
    ],
)
def test_bad_switches_say_what_to_do(
    arguments: dict[str, Any], message: str, model: Any
):
    with pytest.raises(ConfigurationError, match=message), cache_scope(**arguments):
        pass
    configurable = {f"cache_{name}": value for name, value in arguments.items()}
    chain = RunnableLambda(lambda x: x) | model
    with pytest.raises(ConfigurationError, match=message):
        chain.invoke("hi", {"configurable": configurable})
