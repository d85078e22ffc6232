"""What a stream that ends early costs, against the provider's invoice."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import openai
import pytest
from langchain_openai import ChatOpenAI

from langchain_llmops.cost import CostCallbackHandler
from langchain_llmops.testing import Cut, Hang, Latency, LocalProvider, RateLimited

WORDS = 2_000
SEEN = 60


@pytest.fixture
def costs() -> CostCallbackHandler:
    return CostCallbackHandler()


def talker(*faults: Any, **options: Any) -> LocalProvider:
    """A provider that talks for longer than anybody listens."""
    return LocalProvider(answer=lambda _: " word" * WORDS, faults=faults, **options)


def stalling() -> LocalProvider:
    """One that falls silent after some tokens, so that nothing is still under way."""
    return talker(Hang(at_token=SEEN))


def chat(provider: LocalProvider, **options: Any) -> ChatOpenAI:
    return ChatOpenAI(
        model="gpt-4o",
        base_url=provider.base_url,
        api_key="-",
        max_retries=0,
        **options,
    )


def assert_close(report, provider):
    (row,) = provider.invoice
    assert (report.calls, report.estimated, report.unsettled) == (1, 1, 0)
    assert report.input_tokens == row.input_tokens
    assert report.output_tokens == pytest.approx(row.output_tokens, rel=0.1)
    assert float(report.usd) == pytest.approx(float(row.usd), rel=0.1)


@pytest.mark.parametrize("stream_usage", [True, False])
def test_an_aborted_stream_is_estimated(stream_usage, costs):
    with stalling() as provider:
        model = chat(provider, stream_usage=stream_usage)
        stream = model.stream("Go on.", {"callbacks": [costs]})
        for _ in range(SEEN):
            next(stream)
        stream.close()
        provider.wait_idle()
        assert provider.invoice[0].status == "aborted"
        assert_close(costs.report(), provider)


async def test_an_aborted_async_stream_is_estimated(costs):
    async with stalling() as provider:
        stream = chat(provider).astream("Go on.", {"callbacks": [costs]})
        async with aclosing(stream):
            for _ in range(SEEN):
                await anext(stream)
        await provider.await_idle()
        assert_close(await costs.areport(), provider)


async def test_a_cancelled_task_that_streams_is_estimated(costs):
    seen = asyncio.Event()

    async def read(model):
        count = 0
        async for _ in model.astream("Go on.", {"callbacks": [costs]}):
            count += 1
            if count == 1 + SEEN:  # the first chunk holds no text
                seen.set()

    async with stalling() as provider:
        task = asyncio.create_task(read(chat(provider)))
        await seen.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await provider.await_idle()
        assert_close(await costs.areport(), provider)


def test_a_stream_aborted_at_a_providers_pace_is_estimated_within_a_tenth(costs):
    with talker(latency=Latency(tokens_per_s=60)) as provider:
        model = chat(provider)
        next(model.stream("Warm up."))
        provider.wait_idle()
        provider.reset()
        stream = model.stream("Go on.", {"callbacks": [costs]})
        for _ in range(SEEN):
            next(stream)
        stream.close()
        provider.wait_idle()
        assert_close(costs.report(), provider)


MODES = {
    "stream": lambda model, config: list(model.stream("Go on.", config)),
    "invoke": lambda model, config: model.bind(stream=True).invoke("Go on.", config),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_stream_that_the_provider_cuts_is_estimated(mode, costs):
    with talker(Cut(at_token=SEEN)) as provider:
        with pytest.raises(openai.APIError):
            MODES[mode](chat(provider), {"callbacks": [costs]})
        provider.wait_idle()
        assert_close(costs.report(), provider)


def test_an_answer_that_the_provider_cuts_is_unsettled(costs):
    with talker(Cut(at_token=SEEN)) as provider:
        with pytest.raises(openai.APIConnectionError):
            chat(provider).invoke("Go on.", {"callbacks": [costs]})
        assert len(provider.invoice) == 1
    report = costs.report()
    assert (report.calls, report.unsettled, report.usd) == (1, 1, 0)


def test_a_stream_without_usage_is_estimated_exactly(provider, costs):
    list(chat(provider).stream("Context: It is red.", {"callbacks": [costs]}))
    (row,) = provider.invoice
    report = costs.report()
    assert (report.calls, report.estimated) == (1, 1)
    assert (report.input_tokens, report.output_tokens, report.usd) == (
        row.input_tokens,
        row.output_tokens,
        row.usd,
    )


def test_a_failed_candidate_and_its_fallback_are_both_billed(provider, costs):
    with talker(Cut(at_token=SEEN)) as cutting:
        broken = chat(cutting, streaming=True)
        model = broken.with_fallbacks([chat(provider)])
        model.invoke("Context: It is red.", {"callbacks": [costs]})
        cutting.wait_idle()
        report, (lost,), (paid,) = costs.report(), cutting.invoice, provider.invoice
    assert (report.calls, report.estimated) == (2, 1)
    assert float(report.usd) == pytest.approx(float(lost.usd + paid.usd), rel=0.1)


def test_a_refused_request_is_on_neither_bill(costs):
    with LocalProvider(faults=[RateLimited()]) as provider:
        with pytest.raises(openai.RateLimitError):
            chat(provider).invoke("hi", {"callbacks": [costs]})
        assert provider.invoice == []
    assert costs.report().calls == 0


def test_an_unreachable_provider_is_on_no_bill(costs):
    with LocalProvider() as provider:
        model = chat(provider)
    with pytest.raises(openai.APIConnectionError):
        model.invoke("hi", {"callbacks": [costs]})
    assert costs.report().calls == 0
