"""TrackedEmbeddings embeds as before and books each request once, whatever happens."""

from __future__ import annotations

import asyncio
import copy
from decimal import Decimal
from typing import Any

import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.runnables import RunnableLambda
from pydantic import BaseModel

from langchain_llmops import CachedEmbeddings, CostCallbackHandler, TrackedEmbeddings
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing import Prices, UsdPerMillion

TEXTS = ["Tea is steeped.", "Coffee is brewed."]
PRICES = Prices({"embed-1": UsdPerMillion(input=2, output=0)})


class ScriptedEmbeddings(BaseModel, Embeddings):
    model: str = "embed-1"
    error: Any = None

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.error is not None:
            raise self.error
        return [[float(len(text))] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        if self.error == "hangs":
            await asyncio.Event().wait()
        return self.embed_documents(texts)

    async def aembed_query(self, text: str) -> list[float]:
        return (await self.aembed_documents([text]))[0]


@pytest.fixture
def ledger():
    class Rows(list):
        def record(self, charge):
            self.append(charge)

        def follow(self, source):
            return lambda: None

    return Rows()


@pytest.fixture
def costs(ledger):
    return CostCallbackHandler(ledger, prices=PRICES)


async def test_every_way_of_embedding_is_booked_once(costs, ledger):
    plain = ScriptedEmbeddings()
    tracked = TrackedEmbeddings(plain, costs)
    assert tracked.embed_documents(TEXTS) == plain.embed_documents(TEXTS)
    assert await tracked.aembed_documents(TEXTS) == plain.embed_documents(TEXTS)
    assert tracked.embed_query("Tea?") == plain.embed_query("Tea?")
    assert await tracked.aembed_query("Tea?") == plain.embed_query("Tea?")
    report = costs.report()
    tokens = sum(charge.usage.input_tokens for charge in ledger)
    assert (report.calls, report.estimated, report.input_tokens) == (4, 4, tokens)
    assert report.usd == Decimal(2 * tokens) / 1_000_000
    assert report.output_tokens == 0
    assert {charge.operation for charge in ledger} == {"embeddings"}
    assert {charge.provider for charge in ledger} == {"scripted"}
    assert len({charge.run_id for charge in ledger}) == 4


async def test_nothing_in_is_nothing_booked(costs, ledger):
    tracked = TrackedEmbeddings(ScriptedEmbeddings(), costs)
    assert tracked.embed_documents([]) == await tracked.aembed_documents([]) == []
    assert ledger == []


@pytest.mark.parametrize(
    ("error", "basis"),
    [(ConnectionRefusedError("down"), "refused"), (TimeoutError("late"), "unsettled")],
)
async def test_an_error_reaches_the_caller_and_is_booked(error, basis, costs, ledger):
    tracked = TrackedEmbeddings(ScriptedEmbeddings(error=error), costs)
    with pytest.raises(type(error)) as caught:
        tracked.embed_documents(TEXTS)
    assert caught.value is error
    with pytest.raises(type(error)):
        await tracked.aembed_query("Tea?")
    assert [(c.basis, c.error) for c in ledger] == [(basis, type(error).__name__)] * 2
    assert costs.report().unsettled == (2 if basis == "unsettled" else 0)
    assert costs.report().usd == 0


async def test_a_cancelled_request_is_unsettled(costs, ledger):
    tracked = TrackedEmbeddings(ScriptedEmbeddings(error="hangs"), costs)
    task = asyncio.create_task(tracked.aembed_documents(TEXTS))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(c.basis, c.error) for c in ledger] == [("unsettled", "CancelledError")]


def test_what_it_is_for_comes_from_the_chain_around_else_from_itself(costs, ledger):
    tracked = TrackedEmbeddings(
        ScriptedEmbeddings(), costs, metadata={"feature": "ingest", "tenant": "all"}
    )
    tracked.embed_query("Tea?")
    chain = RunnableLambda(tracked.embed_query)
    chain.invoke("Tea?", {"metadata": {"feature": "faq", "user": 7}})
    said = [(c.feature, c.tenant, c.user) for c in ledger]
    assert said == [("ingest", "all", "(none)"), ("faq", "all", "7")]


def test_times_come_from_the_clocks_that_are_passed_in(costs, ledger):
    ticks = iter([5.0, 7.5])
    tracked = TrackedEmbeddings(
        ScriptedEmbeddings(), costs, clock=lambda: 1_000.0, timer=lambda: next(ticks)
    )
    tracked.embed_query("Tea?")
    assert (ledger[0].started_at, ledger[0].duration_s) == (1_000.0, 2.5)


def test_an_unknown_model_is_unpriced_and_not_free(costs):
    TrackedEmbeddings(ScriptedEmbeddings(model="x-9"), costs).embed_query("Tea?")
    TrackedEmbeddings(DeterministicFakeEmbedding(size=2), costs).embed_query("Tea?")
    report = costs.report()
    assert (report.calls, report.unpriced, report.usd) == (2, 2, 0)
    assert set(report.by_model) == {"x-9", "(unknown)"}


def test_a_cache_around_it_books_only_what_is_embedded(costs, ledger):
    plain = ScriptedEmbeddings()
    cached = CachedEmbeddings(TrackedEmbeddings(plain, costs))
    for _ in range(3):
        assert cached.embed_documents(TEXTS) == plain.embed_documents(TEXTS)
    assert len(ledger) == 1


def test_caches_know_it_by_its_model(costs):
    from langchain_llmops.caching.embeddings.keys import embedding_keys  # noqa: PLC0415

    def key(model, **kwargs):
        tracked = TrackedEmbeddings(ScriptedEmbeddings(model=model), costs, **kwargs)
        return embedding_keys(tracked, namespace=None, kind="query")("Tea?")

    assert key("a") == key("a", metadata={"feature": "x"}) != key("b")


def test_copies_report_to_the_same_place(costs, ledger):
    copy.deepcopy(TrackedEmbeddings(ScriptedEmbeddings(), costs)).embed_query("Tea?")
    assert len(ledger) == 1


@pytest.mark.parametrize(
    ("embeddings", "tracker", "named"),
    [("gpt", None, "'gpt'"), (ScriptedEmbeddings(), "costs", "'costs'")],
)
def test_wrong_arguments_are_named(embeddings, tracker, named):
    with pytest.raises(ConfigurationError, match=named):
        TrackedEmbeddings(embeddings, tracker)
