"""ConcurrencyLayer before a real client and a real server."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing

import httpx2 as httpx
import openai
import pytest
from langchain_openai import ChatOpenAI

from langchain_llmops import Budget, BudgetLayer, ConcurrencyLayer, with_layers
from langchain_llmops.concurrency import QueueTimeoutError
from langchain_llmops.models import without_client_retries
from langchain_llmops.testing import RateLimited

CALLS = 1_000


@pytest.fixture
async def openai_model(provider):
    async with httpx.AsyncClient() as client:
        yield without_client_retries(
            ChatOpenAI(
                model="gpt-4o-mini",
                base_url=provider.base_url,
                api_key="-",
                http_async_client=client,
                # The default loses cancellations on Python 3.11: not this layer's.
                stream_chunk_timeout=None,
            )
        )


async def test_after_a_429_no_request_goes_out_before_retry_after(
    provider, openai_model
):
    provider.inject(RateLimited(retry_after_s=0.3, nth=[1]))
    model = with_layers(openai_model, ConcurrencyLayer(max_concurrent=4))
    with pytest.raises(openai.RateLimitError):
        await model.ainvoke("hi")
    start = time.monotonic()
    await asyncio.gather(*(model.ainvoke("hi") for _ in range(6)))
    assert time.monotonic() - start >= 0.29
    assert len(provider.requests) == 7


async def test_a_refused_call_is_not_charged(provider, openai_model):
    budget = Budget(limit_calls=9, scope="all")
    limits = ConcurrencyLayer(rpm=1, queue_timeout_s=1)
    model = with_layers(openai_model, BudgetLayer(budget), limits)
    await model.ainvoke("hi")
    with pytest.raises(QueueTimeoutError):
        await model.ainvoke("hi")
    assert budget.status().used == 1
    assert len(provider.requests) == 1


async def test_a_stream_that_is_left_frees_its_slot(openai_model):
    layer = ConcurrencyLayer(max_concurrent=1)
    model = with_layers(openai_model, layer)
    for _ in range(3):
        async with aclosing(model.astream("Tell me of tea")) as chunks:
            await anext(chunks)
            assert layer.status().running == 1
    assert layer.status().running == 0


async def test_threads_and_tasks_stay_within_the_slots(provider, openai_model):
    layer = ConcurrencyLayer(max_concurrent=3)
    model = with_layers(openai_model, layer)
    seen = []
    done = threading.Event()

    def watch():
        while not done.wait(0.001):
            seen.append(layer.status().running)

    watcher = threading.Thread(target=watch)
    watcher.start()
    loop = asyncio.get_running_loop()
    # Not the loop's own pool: with all its threads waiting, no name could be resolved.
    with ThreadPoolExecutor(20) as threads:
        try:
            await asyncio.gather(
                *(model.ainvoke("hi") for _ in range(20)),
                *(loop.run_in_executor(threads, model.invoke, "hi") for _ in range(20)),
            )
        finally:
            done.set()
    watcher.join()
    assert len(provider.requests) == 40
    assert 0 < max(seen) <= 3


async def test_none_of_a_thousand_cancellations_is_lost(openai_model):
    layer = ConcurrencyLayer(max_concurrent=20)
    model = with_layers(openai_model, layer)
    lost = 0
    for start in range(0, CALLS, 50):
        calls = [asyncio.create_task(_read(model)) for _ in range(50)]
        await asyncio.sleep(start % 7 * 0.004)
        cancelled = [call for call in calls if call.cancel()]
        ended = await asyncio.gather(*cancelled, return_exceptions=True)
        lost += sum(not isinstance(end, asyncio.CancelledError) for end in ended)
        assert (layer.status().running, layer.status().waiting) == (0, 0)
    assert lost == 0


async def _read(model) -> None:
    async with aclosing(model.astream("Tell me of tea")) as chunks:
        async for _ in chunks:
            pass
