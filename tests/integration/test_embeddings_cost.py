"""What TrackedEmbeddings reports of OpenAI's client is what the provider invoices."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from langchain_openai import OpenAIEmbeddings
from openai import DefaultAsyncHttpxClient, DefaultHttpxClient
from pydantic import SecretStr

from langchain_llmops import CostCallbackHandler, TrackedEmbeddings, _encodings
from langchain_llmops.testing import HttpFailure, ServerError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langchain_llmops.testing import LocalProvider

TEXTS = [f"Text number {n} is about tea and its {n} kinds." for n in range(25)]


@asynccontextmanager
async def openai(provider: LocalProvider, **more: Any) -> AsyncIterator[Any]:
    # Clients that langchain-openai makes are closed by nobody.
    with DefaultHttpxClient() as http:
        async with DefaultAsyncHttpxClient() as async_http:
            yield OpenAIEmbeddings(
                base_url=provider.base_url,
                api_key=SecretStr("local"),
                http_client=http,
                http_async_client=async_http,
                **{"model": "text-embedding-3-small"}
                | {"check_embedding_ctx_length": False}
                | more,
            )


@pytest.fixture
def ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare tiktoken the download of a file that is already here."""
    found = _encodings.encoding("cl100k_base")
    if found is None:
        pytest.skip("cl100k_base's rank file is missing: make setup")
    monkeypatch.setattr("tiktoken.encoding_for_model", lambda _: found)


def assert_equal(costs: CostCallbackHandler, provider: LocalProvider) -> None:
    report, rows = costs.report(), provider.invoice
    assert report.calls == len(rows)
    assert report.input_tokens == sum(row.input_tokens for row in rows)
    assert abs(report.usd - sum(row.usd for row in rows)) <= Decimal("1e-9")
    assert (report.estimated, report.unpriced, report.unsettled) == (0, 0, 0)
    assert report.usd > 0


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"chunk_size": 10},  # three requests for 25 texts
        {"check_embedding_ctx_length": True},  # token ids instead of texts
        {"dimensions": 16},
        {"model": "text-embedding-3-large"},
        {"model": "text-embedding-ada-002"},
    ],
    ids=str,
)
async def test_the_report_is_the_invoice(
    provider: LocalProvider, more: dict[str, Any], ranks: None
):
    costs = CostCallbackHandler()
    async with openai(provider, **more) as model:
        tracked = TrackedEmbeddings(model, costs)
        plain = await model.aembed_query("Tea?")
        provider.reset()
        await asyncio.to_thread(tracked.embed_documents, TEXTS)
        await tracked.aembed_documents(TEXTS)
        assert await tracked.aembed_query("Tea?") == pytest.approx(plain)
        await asyncio.to_thread(tracked.embed_query, "Tea?")
    assert_equal(costs, provider)


async def test_requests_before_the_one_that_fails_are_booked(provider: LocalProvider):
    provider.inject(HttpFailure(status=400, nth={2}))
    costs = CostCallbackHandler()
    async with openai(provider, chunk_size=10) as model:
        with pytest.raises(Exception, match="400"):
            await TrackedEmbeddings(model, costs).aembed_documents(TEXTS)
    assert len(provider.invoice) == 1
    assert_equal(costs, provider)


async def test_what_the_client_repeats_is_booked_once(provider: LocalProvider):
    provider.inject(ServerError(retry_after_s=0.001, nth={1}))
    costs = CostCallbackHandler()
    async with openai(provider) as model:
        await TrackedEmbeddings(model, costs).aembed_documents(TEXTS)
    assert len(provider.requests) == 2
    assert_equal(costs, provider)


async def test_calls_at_the_same_time(provider: LocalProvider):
    costs = CostCallbackHandler()
    async with openai(provider) as model:
        tracked = TrackedEmbeddings(model, costs)
        await asyncio.gather(*(tracked.aembed_query(text) for text in TEXTS))
        threads = (asyncio.to_thread(tracked.embed_query, text) for text in TEXTS)
        await asyncio.gather(*threads)
        assert type(model.client).__module__.startswith("openai.")
    assert_equal(costs, provider)


async def test_a_server_that_reports_no_usage_is_counted(provider: LocalProvider):
    class Silent:
        def __init__(self, client: Any) -> None:
            self.client = client

        async def create(self, **asked: Any) -> dict[str, Any]:
            response = await self.client.create(**asked)
            return {"data": response.model_dump()["data"]}

    costs = CostCallbackHandler()
    async with openai(provider) as model:
        silent = model.model_copy(update={"async_client": Silent(model.async_client)})
        await TrackedEmbeddings(silent, costs).aembed_documents(TEXTS)
    report = costs.report()
    assert (report.calls, report.estimated) == (1, 1)
    assert report.usd == provider.invoiced_usd  # tiktoken is what the invoice counts
