"""Budgets around the real `ChatOpenAI`: the provider's invoice is the truth."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_llmops import Budget, BudgetExceededError, BudgetLayer, with_layers
from langchain_llmops.models import without_client_retries
from langchain_llmops.testing import Cut, Hang, RateLimited

ACME = {"metadata": {"tenant": "acme"}}
WHO = ACME["metadata"]
PROMPT = (
    "Context: Tea is steeped for three minutes.\n\nQuestion: How long is tea steeped?"
)
EXACT = Decimal("1e-9")


@pytest.fixture
def plain(provider):
    return without_client_retries(
        ChatOpenAI(model="gpt-4o-mini", base_url=provider.base_url, api_key="local")
    )


@pytest.fixture
def budget():
    return Budget(limit_usd=1)


@pytest.fixture
def model(plain, budget):
    return with_layers(plain, BudgetLayer(budget))


async def test_every_mode_is_settled_at_what_the_invoice_says(provider, model, budget):
    def sync_modes():
        model.invoke(PROMPT, ACME)
        for _ in model.stream(PROMPT, ACME):
            pass
        model.batch([PROMPT] * 2, ACME)
        list(model.stream_events(PROMPT, ACME, version="v3"))
        model.invoke(PROMPT, ACME, n=3)

    await asyncio.to_thread(sync_modes)
    await model.ainvoke(PROMPT, ACME)
    async for _ in model.astream(PROMPT, ACME):
        pass
    await model.abatch([PROMPT] * 2, ACME)
    status = await budget.astatus(WHO)
    assert len(provider.requests) == 10
    assert abs(status.settled - provider.invoiced_usd) < EXACT
    assert status.used == status.settled


def test_tools_and_structured_output_are_settled_too(provider, model, budget):
    class Answer(BaseModel):
        minutes: int

    @tool
    def steep(minutes: int) -> str:
        """Steep tea for some minutes."""
        return "done"

    model.with_structured_output(Answer).invoke(PROMPT, ACME)
    model.bind_tools([steep]).invoke("Steep tea for 3 minutes", ACME)
    status = budget.status(WHO)
    assert abs(status.settled - provider.invoiced_usd) < EXACT


def test_an_agent_stops_where_its_budget_ends(provider, plain):
    from langchain.agents import create_agent  # noqa: PLC0415 # the extra agents

    @tool
    def in_stock(tea: str) -> int:
        """Return how many tins of a tea are in stock."""
        return len(tea)

    budget = Budget(limit_calls=1)
    agent = create_agent(with_layers(plain, BudgetLayer(budget)), [in_stock])
    question = {"messages": [("user", "How many tins of 'sencha' are in stock?")]}
    with pytest.raises(BudgetExceededError):
        agent.invoke(question, ACME)
    assert len(provider.requests) == 1
    assert budget.status(WHO).used == 1


def test_a_refused_call_makes_no_request(provider, plain):
    budget = Budget(limit_usd="0.000001")
    model = with_layers(plain, BudgetLayer(budget))
    with pytest.raises(BudgetExceededError):
        model.invoke(PROMPT, ACME)
    with pytest.raises(BudgetExceededError):
        model.with_fallbacks([model]).invoke(PROMPT, ACME)
    assert provider.requests == []


def test_an_answer_that_the_provider_refuses_is_free(provider, model, budget):
    provider.inject(RateLimited(nth=(1,)))
    with pytest.raises(Exception, match="429"):
        model.invoke(PROMPT, ACME)
    assert budget.status(WHO).used == 0


def test_a_stream_that_is_cut_is_charged_at_least_what_the_invoice_says(
    provider, model, budget
):
    provider.inject(Cut(at_token=3))
    with pytest.raises(Exception, match=r"."):
        for _ in model.stream(PROMPT, ACME):
            pass
    status = budget.status(WHO)
    assert status.settled == 0
    assert status.unsettled >= provider.invoiced_usd > 0


async def test_a_cancelled_call_is_charged_at_least_what_the_invoice_says(
    provider, model, budget
):
    provider.inject(Hang(at_token=0))
    call = asyncio.create_task(model.ainvoke(PROMPT, ACME))
    while not provider.active:  # noqa: ASYNC110 # another thread serves
        await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    status = await budget.astatus(WHO)
    assert (status.settled, status.reserved) == (0, 0)
    assert status.unsettled >= provider.invoiced_usd
