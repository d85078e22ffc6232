"""Each call is recorded once, however it is made, nested, watched or ended."""

from __future__ import annotations

import asyncio
import threading

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import RunnableLambda, RunnableParallel

from langchain_llmops import CacheLayer, CostCallbackHandler, TieredCache, with_layers

DURATION = "gen_ai.client.operation.duration"
FIRST = "gen_ai.client.operation.time_to_first_chunk"
BETWEEN = "gen_ai.client.operation.time_per_output_chunk"
TOKENS = "gen_ai.client.token.usage"
INPUT = "gen_ai.client.inference.usage.input_tokens"
OUTPUT = "gen_ai.client.inference.usage.output_tokens"
COST = "llmops.client.cost"


def figures(metrics):
    return {
        "calls": metrics.total(DURATION),
        "tokens in": metrics.total(INPUT),
        "tokens out": metrics.total(OUTPUT),
        "usd": pytest.approx(metrics.total(COST), abs=1e-12),
        "reports": metrics.total(TOKENS),
    }


def calls_of(number):
    return {
        "calls": number,
        "tokens in": 100 * number,
        "tokens out": 10 * number,
        "usd": 0.0002 * number,
        "reports": 2 * number,
    }


def invoke(model, config):
    model.invoke("hi", config)


def stream(model, config):
    list(model.stream("hi", config))


def batch(model, config):
    model.batch(["hi"], config)


def generate(model, config):
    model.generate([[HumanMessage("hi")]], callbacks=config["callbacks"])


def v3_events(model, config):
    list(model.stream_events("hi", config, version="v3"))


async def ainvoke(model, config):
    await model.ainvoke("hi", config)


async def astream(model, config):
    assert [chunk async for chunk in model.astream("hi", config)]


async def abatch(model, config):
    await model.abatch(["hi"], config)


async def v2_events(model, config):
    assert [event async for event in model.astream_events("hi", config, version="v2")]


async def v3_events_async(model, config):
    events = await model.astream_events("hi", config, version="v3")
    assert [event async for event in events]
    await asyncio.sleep(0)  # core's producer task ends the run after the last event


MODES = [invoke, stream, batch, generate, v3_events]
MODES += [ainvoke, astream, abatch, v2_events, v3_events_async]
ON_CHAINS = [invoke, stream, batch, ainvoke, astream, abatch, v2_events]
STREAMS = [stream, v3_events, astream, v2_events, v3_events_async]
pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.LangChainBetaWarning"
)


async def run(call, model, config):
    done = call(model, config)
    if done is not None:
        await done


def bare(model, handler):
    return model, [handler]


def attached_twice(model, handler):
    return model.model_copy(update={"callbacks": [handler]}), [handler, handler]


def layered(model, handler):
    return with_layers(model, CacheLayer(TieredCache())), [handler]


def beside_another(model, handler):
    return model, [CostCallbackHandler(), handler]


@pytest.mark.parametrize("call", MODES)
@pytest.mark.parametrize("nesting", [bare, attached_twice, layered, beside_another])
async def test_each_call_is_recorded_once(call, nesting, scripted, metrics, handler):
    model, callbacks = nesting(scripted(), handler)
    await run(call, model, {"callbacks": callbacks})
    assert figures(metrics) == calls_of(1)
    streamed = call in STREAMS
    assert metrics.total(FIRST) == streamed
    assert metrics.total(BETWEEN) == (2 if streamed else 0)  # of three words
    assert metrics.total("llmops.cache.hits") == 0


@pytest.mark.parametrize("call", ON_CHAINS)
async def test_fallbacks_and_chains_in_chains(call, scripted, metrics, handler):
    broken = scripted(model="broken", error=ConnectionRefusedError("down"))
    chain = RunnableLambda(lambda text: text) | broken.with_fallbacks([scripted()])
    await run(call, chain, {"callbacks": [handler]})
    assert metrics.total(DURATION) == 2
    assert metrics.total(DURATION, error__type="ConnectionRefusedError") == 1
    assert metrics.total(INPUT) == 100
    assert metrics.total(INPUT, llmops__basis="refused") == 0
    refused = [dict(p.attributes) for p in metrics.points(INPUT)]
    assert any(labels["llmops.basis"] == "refused" for labels in refused)


def test_parallel_and_nested_chains(scripted, metrics, handler):
    inner = scripted() | RunnableLambda(lambda message: message.text)
    outer = RunnableParallel(a=inner, b=inner) | RunnableLambda(
        lambda answers: inner.invoke(answers["a"])
    )
    outer.with_config(callbacks=[handler]).invoke("x", {"callbacks": [handler]})
    assert figures(metrics) == calls_of(3)


@pytest.mark.parametrize("call", [invoke, stream])
def test_a_model_that_wraps_a_model_is_one_call(call, scripted, metrics, handler):
    inner = scripted(callbacks=[handler])

    class Wrapper(scripted):
        def _generate(self, messages, *args, **kwargs):
            message = inner.invoke(messages)
            return ChatResult(generations=[ChatGeneration(message=message)])

        def _stream(self, messages, *args, **kwargs):
            for chunk in inner.stream(messages):
                yield ChatGenerationChunk(message=chunk)

    call(Wrapper(), {"callbacks": [handler]})
    assert figures(metrics) == calls_of(1)


def test_fifty_threads(scripted, metrics, handler):
    model = scripted(callbacks=[handler])
    threads = [threading.Thread(target=model.invoke, args=("hi",)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert figures(metrics) == calls_of(50)


async def test_fifty_tasks(scripted, metrics, handler):
    model = scripted(callbacks=[handler])
    await asyncio.gather(*(model.ainvoke("hi") for _ in range(50)))
    assert figures(metrics) == calls_of(50)


@pytest.mark.parametrize("call", [c for c in MODES if c is not generate])
async def test_a_hit_of_ours_is_no_call_of_the_provider(
    call, scripted, metrics, handler
):
    model = with_layers(scripted(), CacheLayer(TieredCache()))
    await run(call, model, {})
    await run(call, model, {"callbacks": [handler]})
    assert metrics.total("llmops.cache.hits", llmops__cache__kind="exact") == 1
    assert metrics.total(DURATION) == metrics.total(FIRST) == metrics.total(TOKENS) == 0
    assert metrics.total(BETWEEN) == metrics.total(COST) == 0


def test_a_hit_says_what_it_saved(scripted, metrics, handler):
    model = scripted(cache=InMemoryCache())
    for _ in range(3):
        model.invoke("hi", {"callbacks": [handler]})
    assert figures(metrics) == calls_of(1)
    assert metrics.total("llmops.cache.hits", llmops__cache__kind="unknown") == 2
    assert metrics.total("llmops.cache.saved") == pytest.approx(0.0004)


def test_a_stream_that_the_reader_leaves_is_counted_at_the_next_collection(
    scripted, metrics, handler
):
    for _ in scripted(model="gpt-4o-mini").stream("hi", {"callbacks": [handler]}):
        break
    assert metrics.total(DURATION, error__type="GeneratorExit") == 1
    assert metrics.total(INPUT, llmops__basis="estimated") > 0
    assert metrics.total(TOKENS, llmops__basis="estimated") == 2


async def test_a_cancelled_call_is_under_way_for_good(scripted, metrics, handler):
    class Slow(scripted):
        async def _agenerate(self, *args, **kwargs):
            await asyncio.Event().wait()

    task = asyncio.create_task(Slow().ainvoke("hi", {"callbacks": [handler]}))
    await asyncio.sleep(0.01)
    assert metrics.total("llmops.client.under_way") == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert metrics.total("llmops.client.under_way") == 1
    assert metrics.total(DURATION) == 0


@pytest.mark.parametrize("call", [invoke, stream])
def test_a_call_of_unknown_end_is_unsettled(call, scripted, metrics, handler):
    model = scripted(error=TimeoutError("late"))
    with pytest.raises(TimeoutError):
        call(model, {"callbacks": [handler]})
    assert metrics.total("llmops.client.unsettled") == 1
    assert metrics.total(DURATION, error__type="TimeoutError") == 1


def test_an_unknown_model_is_unpriced_and_not_free(scripted, metrics, handler):
    scripted(model="fake-2").invoke("hi", {"callbacks": [handler]})
    assert metrics.total("llmops.client.unpriced") == 1
    assert COST not in metrics.all()
