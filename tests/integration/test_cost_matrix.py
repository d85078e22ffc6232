"""Handlers, ledger and budget together: each call once, in every mode and every end."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress
from decimal import Decimal

import pytest
from cost_truth.books import WHO, Books
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_llmops import CacheLayer, CostAnalyzer, TieredCache
from langchain_llmops.testing import Hang, HttpFailure, RateLimited

PROMPT = "Context: The sky is blue.\n\nQuestion: What is blue?"
SEEN = 20
TENTH = Decimal("0.1")
pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.LangChainBetaWarning"
)


async def drain(stream):
    assert [piece async for piece in stream]


async def v3_events(model, config):
    await drain(await model.astream_events(PROMPT, config, version="v3"))
    await asyncio.sleep(0)  # core's producer task ends the run after the last event


MODES = {
    "invoke": lambda model, config: model.invoke(PROMPT, config),
    "stream": lambda model, config: list(model.stream(PROMPT, config)),
    "batch": lambda model, config: model.batch([PROMPT], config),
    "generate": lambda model, config: model.generate(
        [[HumanMessage(PROMPT)]], **config
    ),
    "v3 events": lambda model, config: list(
        model.stream_events(PROMPT, config, version="v3")
    ),
    "ainvoke": lambda model, config: model.ainvoke(PROMPT, config),
    "astream": lambda model, config: drain(model.astream(PROMPT, config)),
    "abatch": lambda model, config: model.abatch([PROMPT], config),
    "agenerate": lambda model, config: model.agenerate(
        [[HumanMessage(PROMPT)]], **config
    ),
    "v2 events": lambda model, config: drain(
        model.astream_events(PROMPT, config, version="v2")
    ),
    "v3 events, async": v3_events,
}
ASYNC = list(MODES)[5:]
RETRIED = ["invoke", "batch", "ainvoke", "abatch"]  # LangChain retries no stream
OF_RUNNABLES = [m for m in MODES if "generate" not in m and "v3" not in m]


def do(mode, model, books, times=1, config=None):
    """Call a model some times, on one loop if the mode is asynchronous."""

    config = config or books.config

    async def run():
        async with books.http:
            for _ in range(times):
                await MODES[mode](model, config)

    if mode in ASYNC:
        asyncio.run(run())
        return
    for _ in range(times):
        MODES[mode](model, config)


@pytest.fixture
async def books(provider, tmp_path):
    made = Books(provider, tmp_path / "l.db", limit_usd=1)
    yield made
    await made.aclose()


@pytest.mark.parametrize("mode", MODES)
def test_each_call_is_on_all_books_once(mode, books):
    do(mode, books.model, books, times=2)
    books.assert_all_equal_the_invoice(calls=2)


@pytest.mark.parametrize("mode", MODES)
def test_a_hit_is_on_no_book_but_as_saved(mode, books):
    model = books.chat(CacheLayer(TieredCache()))
    do(mode, model, books, times=3)
    books.assert_all_equal_the_invoice(calls=1)
    assert books.costs.report().cache_hits == 2
    assert books.metered()["llmops.cache.hits"] == 2
    assert CostAnalyzer(books.ledger).analyze(by=()).total.cache_hits == 2


@pytest.mark.parametrize("mode", OF_RUNNABLES)
@pytest.mark.parametrize("attached", ["bound", "both"])
def test_handlers_that_are_attached_elsewhere_or_twice_count_once(
    mode, attached, books
):
    bound = books.chat(callbacks=books.config["callbacks"])
    config = books.config if attached == "both" else {"metadata": WHO}
    do(mode, RunnableLambda(lambda text: text) | bound, books, config=config)
    books.assert_all_equal_the_invoice(calls=1)


@pytest.mark.parametrize("mode", OF_RUNNABLES)
def test_a_refusal_and_its_fallback_are_one_bill(mode, provider, books):
    provider.inject(HttpFailure(nth=[1]))
    do(mode, books.chat().with_fallbacks([books.chat()]), books)
    books.assert_all_equal_the_invoice(calls=1, refused=1)


@pytest.mark.parametrize("mode", RETRIED)
def test_a_refusal_and_its_retry_are_one_bill(mode, provider, books):
    provider.inject(RateLimited(nth=[1], retry_after_s=0))
    model = books.chat().with_retry(wait_exponential_jitter=False)
    do(mode, model, books)
    books.assert_all_equal_the_invoice(calls=1, refused=1)
    assert books.metered()["llmops.client.retries"] == 1


def assert_left(books):
    """The call is an estimate on all books, and about what was billed."""
    (row,) = books.provider.invoice
    report, status = books.costs.report(), books.budget.status(WHO)
    total = CostAnalyzer(books.ledger).analyze(by=()).total
    metered = books.metered()
    assert (report.calls, report.estimated) == (total.calls, total.aborted) == (1, 1)
    assert total.usd == report.usd == pytest.approx(row.usd, rel=TENTH)
    assert metered["gen_ai.client.operation.duration"] == 1
    assert metered["llmops.client.cost"] == pytest.approx(float(report.usd))
    assert status.used == status.unsettled >= report.usd
    assert status.reserved == 0


def test_a_stream_that_is_left_is_on_all_books_once(provider, books):
    provider.inject(Hang(at_token=SEEN))
    long = books.chat().stream("Context: " + "red " * 200, books.config)
    for _ in range(SEEN):
        next(long)
    long.close()
    provider.wait_idle()
    assert_left(books)


async def test_an_async_stream_that_is_left_is_on_all_books_once(provider, books):
    provider.inject(Hang(at_token=SEEN))
    long = books.chat().astream("Context: " + "red " * 200, books.config)
    async with aclosing(long):
        for _ in range(SEEN):
            await anext(long)
    await provider.await_idle()
    await asyncio.to_thread(assert_left, books)


async def test_a_call_that_is_cancelled_is_on_all_books_as_unsettled(provider, books):
    provider.inject(Hang(at_token=SEEN))
    task = asyncio.create_task(books.model.ainvoke(PROMPT, books.config))
    while not await asyncio.to_thread(lambda: provider.active):
        pass
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await provider.await_idle()

    def look():
        report, status = books.costs.report(), books.budget.status(WHO)
        assert (report.calls, report.unsettled, report.usd) == (1, 1, 0)
        assert status.used == status.unsettled > 0 == status.reserved
        assert books.metered()["llmops.client.under_way"] == 1
        books.ledger.close()  # a call that has not ended becomes a row at the end
        total = CostAnalyzer(books.ledger).analyze(by=()).total
        assert (total.calls, total.unsettled) == (1, 1)

    await asyncio.to_thread(look)
