"""`model | StreamProcessor()` over HTTP: cancelled, cut, hanging and slow streams."""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from langchain_llmops import CostCallbackHandler, StreamCallbackHandler, StreamProcessor
from langchain_llmops.streaming import StreamTimeoutError
from langchain_llmops.testing import Cut, Hang, Latency, LocalProvider

TEXT = "one two three four five six seven eight nine ten " * 20
PAUSE_S = 0.005


def model_of(provider, **settings):
    return ChatOpenAI(
        model="gpt-4o-mini",
        base_url=provider.base_url,
        api_key="-",
        max_retries=0,
        stream_usage=True,
        **settings,
    )


async def gone(provider, limit_s=5.0):
    """Wait until the provider serves nothing; return how long that took."""
    began = time.monotonic()
    while provider.active and time.monotonic() - began < limit_s:  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    return time.monotonic() - began


async def until_error(stream):
    seen = []
    try:
        async for chunk in stream:
            seen.append(chunk.text)  # noqa: PERF401 # kept when it raises
    except Exception as error:  # noqa: BLE001 # the caller looks at it
        return "".join(seen), error
    return "".join(seen), None


@pytest.fixture
def talking():
    with LocalProvider(answer=lambda _: TEXT) as running:
        yield running


@pytest.fixture
def slow():
    latency = Latency(tokens_per_s=1 / PAUSE_S)
    with LocalProvider(latency=latency, answer=lambda _: TEXT) as running:
        yield running


async def test_no_cancellation_is_lost_and_connections_are_closed(slow):
    rng = random.Random(8)
    chain = model_of(slow) | StreamProcessor()

    async def cancelled():
        begun = asyncio.Event()

        async def consume():
            async for _ in chain.astream("x"):
                begun.set()

        task = asyncio.create_task(consume())
        await begun.wait()
        await asyncio.sleep(rng.uniform(0, PAUSE_S * 6))
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=1)
        return bool(done) and task.cancelled()

    results = []
    for _ in range(5):
        results += await asyncio.gather(*(cancelled() for _ in range(20)))
    assert results == [True] * 100
    assert await gone(slow) < 1
    assert len(slow.requests) == 100


async def test_a_hanging_stream_ends_in_time_and_its_connection_is_closed(talking):
    talking.inject(Hang(at_token=5))
    chain = model_of(talking) | StreamProcessor(idle_timeout_s=0.1, flush_chars=99)
    seen, error = await until_error(chain.astream("x"))
    assert isinstance(error, StreamTimeoutError)
    assert error.kind == "idle"
    assert seen == error.partial_text != ""
    assert TEXT.startswith(seen)
    del error  # its traceback holds what is to be closed
    assert await gone(talking) < 1


def test_a_sync_stream_that_hangs_ends_in_time(talking):
    talking.inject(Hang(at_token=0))
    chain = model_of(talking) | StreamProcessor(first_token_timeout_s=0.1)
    with pytest.raises(StreamTimeoutError) as caught:
        list(chain.stream("x"))
    assert caught.value.kind == "first_token"


async def test_a_cut_stream_gives_its_text_and_the_clients_own_error(talking):
    talking.inject(Cut(at_token=7))
    bare, plain = await until_error(model_of(talking).astream("x"))
    chain = model_of(talking) | StreamProcessor(boundary="line")
    seen, error = await until_error(chain.astream("x"))
    assert type(error) is type(plain)
    assert seen == bare != ""


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_usage_and_text_are_those_of_the_bare_model(provider, asynchronous):
    costs, texts = CostCallbackHandler(), []
    prompt = "Context: Tea is hot. Tea is dear.\n\nQuestion: What is tea?"
    processor = StreamProcessor(boundary="word", flush_chars=6, idle_timeout_s=30)
    chain = model_of(provider) | processor
    config = {"callbacks": [costs, StreamCallbackHandler(texts.append)]}
    whole = None
    if asynchronous:
        async for chunk in chain.astream(prompt, config):
            whole = chunk if whole is None else whole + chunk
    else:
        for chunk in await asyncio.to_thread(
            lambda: list(chain.stream(prompt, config))
        ):
            whole = chunk if whole is None else whole + chunk
    assert whole.text == "".join(texts) != ""
    (row,) = provider.invoice
    assert whole.usage_metadata["total_tokens"] == row.input_tokens + row.output_tokens
    assert costs.report().usd == row.usd


async def test_tool_calls_pass_through(provider):
    @tool
    def weather(city: str) -> str:
        """Say how the weather is."""
        return city

    bound = model_of(provider).bind_tools([weather], tool_choice="weather")
    whole = None
    async for chunk in (bound | StreamProcessor(boundary="word")).astream("In Bern?"):
        whole = chunk if whole is None else whole + chunk
    assert [call["name"] for call in whole.tool_calls] == ["weather"]
