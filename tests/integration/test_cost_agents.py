"""Budget, handlers and ledger around one model in agents and graphs: each call once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from cost_truth.books import WHO, Books
from langchain.agents import create_agent
from langchain.agents.middleware import wrap_model_call
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_llmops import BudgetExceededError, CostAnalyzer

QUESTION = {"messages": [("user", "What is the weather in Paris?")]}


@tool
def weather(city: str) -> str:
    """Say what the weather is in a city."""
    return f"It rains in {city}."


@pytest.fixture
async def books(provider, tmp_path):
    made = Books(provider, tmp_path / "l.db", limit_usd=1)
    yield made
    await made.aclose()


@pytest.fixture
def agent(books):
    return create_agent(books.model, [weather])


@pytest.fixture
def graph(books):
    """A graph whose one node calls the model without handing on any config."""

    def node(state: MessagesState) -> Any:
        return {"messages": [books.model.invoke(state["messages"])]}

    async def anode(state: MessagesState) -> Any:
        return {"messages": [await books.model.ainvoke(state["messages"])]}

    steps = StateGraph(MessagesState)
    steps.add_node("model", RunnableLambda(node, anode))
    return steps.add_edge(START, "model").add_edge("model", END).compile()


SYNC = {
    "invoke": lambda graph, config: graph.invoke(QUESTION, config),
    "updates": lambda graph, config: list(graph.stream(QUESTION, config)),
    "messages": lambda graph, config: list(
        graph.stream(QUESTION, config, stream_mode="messages")
    ),
    "batch": lambda graph, config: graph.batch([QUESTION], config),
}


async def drain(stream):
    assert [piece async for piece in stream]


ASYNC = {
    "ainvoke": lambda graph, config: graph.ainvoke(QUESTION, config),
    "messages": lambda graph, config: drain(
        graph.astream(QUESTION, config, stream_mode="messages")
    ),
    "v2 events": lambda graph, config: drain(
        graph.astream_events(QUESTION, config, version="v2")
    ),
}


@pytest.mark.parametrize("mode", SYNC)
def test_an_agent_is_on_all_books_what_it_is_on_the_invoice(mode, agent, books):
    SYNC[mode](agent, books.config)
    books.assert_all_equal_the_invoice(calls=2)


@pytest.mark.parametrize("mode", ASYNC)
async def test_an_async_agent_is_on_all_books_what_it_is_on_the_invoice(
    mode, agent, books
):
    await ASYNC[mode](agent, books.config)
    await asyncio.to_thread(books.assert_all_equal_the_invoice, calls=2)


@pytest.mark.parametrize("mode", SYNC)
def test_a_graph_is_on_all_books_what_it_is_on_the_invoice(mode, graph, books):
    SYNC[mode](graph, books.config)
    books.assert_all_equal_the_invoice(calls=1)


@pytest.mark.parametrize("mode", ASYNC)
async def test_an_async_graph_is_on_all_books_what_it_is_on_the_invoice(
    mode, graph, books
):
    await ASYNC[mode](graph, books.config)
    await asyncio.to_thread(books.assert_all_equal_the_invoice, calls=1)


async def test_agents_side_by_side_keep_their_tenants_apart(agent, books):
    def config(tenant):
        return {**books.config, "metadata": {**WHO, "tenant": tenant}}

    tenants = ["a", "b", "c"] * 4
    await asyncio.gather(
        *(agent.ainvoke(QUESTION, config(tenant)) for tenant in tenants)
    )

    def look():
        by_tenant = CostAnalyzer(books.ledger).analyze(by=("tenant",)).groups
        assert set(by_tenant) == {("a",), ("b",), ("c",)}
        third = books.provider.invoiced_usd / 3
        for (tenant,), figures in by_tenant.items():
            assert (figures.calls, figures.usd) == (8, third)
            assert books.budget.status({"tenant": tenant}).used == third

    await asyncio.to_thread(look)


class OpenRuns(BaseCallbackHandler):
    """The runs that began and have not ended."""

    run_inline = True

    def __init__(self) -> None:
        self.open: set[Any] = set()

    def begin(self, *_: Any, run_id: Any, **__: Any) -> None:
        self.open.add(run_id)

    def end(self, *_: Any, run_id: Any, **__: Any) -> None:
        self.open.remove(run_id)

    on_chain_start = on_chat_model_start = on_tool_start = begin
    on_chain_end = on_chain_error = on_llm_end = on_llm_error = end
    on_tool_end = on_tool_error = end


@pytest.fixture
async def limited(provider, tmp_path):
    """Books whose budget covers the first call of the loop, and not the second."""
    made = Books(provider, tmp_path / "l.db", limit_calls=1)
    yield made
    await made.aclose()


def assert_ended_cleanly(books, runs):
    assert len(books.provider.requests) == len(books.provider.invoice) == 1
    report, status = books.costs.report(), books.budget.status(WHO)
    assert (report.calls, report.usd) == (1, books.provider.invoiced_usd)
    assert (report.unsettled, status.used, status.reserved) == (0, 1, 0)
    assert books.metered()["llmops.budget.use"] == 1
    assert runs.open == set()


@pytest.mark.parametrize("mode", [mode for mode in SYNC if mode != "batch"])
def test_a_spent_budget_ends_the_loop_without_a_request(mode, limited):
    runs = OpenRuns()
    config = {**limited.config, "callbacks": [*limited.config["callbacks"], runs]}
    with pytest.raises(BudgetExceededError, match="tenant:acme"):
        SYNC[mode](create_agent(limited.model, [weather]), config)
    assert_ended_cleanly(limited, runs)


@pytest.mark.parametrize("mode", ASYNC)
async def test_a_spent_budget_ends_the_async_loop_without_a_request(mode, limited):
    runs = OpenRuns()
    config = {**limited.config, "callbacks": [*limited.config["callbacks"], runs]}
    with pytest.raises(BudgetExceededError, match="tenant:acme"):
        await ASYNC[mode](create_agent(limited.model, [weather]), config)
    await asyncio.to_thread(assert_ended_cleanly, limited, runs)


def test_a_spent_budget_can_be_met_inside_the_loop(limited):
    @wrap_model_call
    def say_so(request, handler):
        try:
            return handler(request)
        except BudgetExceededError as error:
            return AIMessage(f"The budget {error.scope} is spent.")

    agent = create_agent(limited.model, [weather], middleware=[say_so])
    answer = agent.invoke(QUESTION, limited.config)["messages"][-1]
    assert answer.content == "The budget tenant:acme is spent."
    assert len(limited.provider.requests) == 1
