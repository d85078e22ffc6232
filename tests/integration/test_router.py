"""ModelRouter over real ChatOpenAIs and a provider that fails."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelConnectionError
from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_llmops import (
    Budget,
    BudgetLayer,
    CacheLayer,
    CostCallbackHandler,
    FailoverPolicy,
    MemoryTier,
    ModelRouter,
    TieredCache,
    TokenCounter,
    with_layers,
)
from langchain_llmops.routing import Candidate, partial_message
from langchain_llmops.routing.catalog import default_catalog
from langchain_llmops.testing import Cut, Hang, RateLimited, ServerError

SMALL, LARGE = "gpt-4o-mini", "gpt-4o"
default_catalog()  # list prices and rank files are read from disk, once
TokenCounter(LARGE).load()

ASK = "Context: Ada wrote it in May. Bob read it.\n\nQuestion: Who wrote it?"
USE_TOOL = "Call lookup to find the author, please."


pytestmark = pytest.mark.filterwarnings(
    # ChatOpenAI's own, on what its client has parsed.
    "ignore:Pydantic serializer warnings:UserWarning"
)


class Author(BaseModel):
    """Who wrote it."""

    name: str


@tool
def lookup(name: str) -> str:
    """Find an author."""
    return f"{name} wrote it."


@pytest.fixture
async def http():
    async with httpx.AsyncClient() as client:
        yield client


@pytest.fixture
def model(provider, http):
    def make(name: str, **settings: Any) -> ChatOpenAI:
        return ChatOpenAI(
            model=name,
            base_url=provider.base_url,
            api_key="-",
            http_async_client=http,
            stream_usage=True,
            stream_chunk_timeout=None,
            **settings,
        )

    return make


@pytest.fixture
def router(model):
    def make(policy: FailoverPolicy | None = None) -> ModelRouter:
        return ModelRouter([model(SMALL), model(LARGE)], failover=policy)

    return make


class Tree(BaseCallbackHandler):
    """Runs as (kind, name of the model or run, parent's place, how it ended)."""

    run_inline = True

    def __init__(self) -> None:
        self.ids: list[Any] = []
        self.runs: list[list[Any]] = []
        self.tokens = ""

    def _start(self, kind, name, run_id, parent_run_id):
        parent = None if parent_run_id is None else self.ids.index(parent_run_id)
        self.ids.append(run_id)
        self.runs.append([kind, name, parent, "open"])

    def _end(self, run_id, how):
        self.runs[self.ids.index(run_id)][3] = how

    def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id, **kwargs):
        self._start("chain", kwargs.get("name"), run_id, parent_run_id)

    def on_chat_model_start(
        self, serialized, messages, *, run_id, parent_run_id, metadata, **kwargs
    ):
        self._start("llm", metadata["ls_model_name"], run_id, parent_run_id)

    def on_llm_new_token(self, token, **kwargs):
        self.tokens += token

    def on_chain_end(self, outputs, *, run_id, **kwargs):
        self._end(run_id, "end")

    on_llm_end = on_chain_end

    def on_chain_error(self, error, *, run_id, **kwargs):
        self._end(run_id, type(error).__name__)

    on_llm_error = on_chain_error


@pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])
async def test_the_tree_is_chain_failed_child_successful_child(mode, router, provider):
    provider.inject(ServerError(model=SMALL))
    tree, config = Tree(), {}
    config = {"callbacks": [tree]}
    if mode == "invoke":
        await asyncio.to_thread(router().invoke, ASK, config)
    elif mode == "ainvoke":
        await router().ainvoke(ASK, config)
    elif mode == "stream":
        await asyncio.to_thread(lambda: list(router().stream(ASK, config)))
    else:
        _ = [chunk async for chunk in router().astream(ASK, config)]
    assert tree.runs == [
        ["chain", "ModelRouter", None, "end"],
        ["llm", SMALL, 0, "OpenAIAPIError"],
        ["llm", LARGE, 0, "end"],
    ]


async def test_costs_are_the_invoice_whatever_fails(router, provider):
    provider.inject(
        ServerError(model=SMALL, nth=[1]),
        RateLimited(model=SMALL, nth=[3]),
        Cut(model=SMALL, at_token=2, nth=[5]),
    )
    costs = CostCallbackHandler()
    routed = router(FailoverPolicy(mid_stream="restart"))
    config = {"callbacks": [costs]}
    for turn in range(4):
        await routed.ainvoke(f"{ASK} {turn}", config)
        _ = [chunk async for chunk in routed.astream(f"{ASK} {turn}", config)]
    billed = costs.report().usd
    assert float(billed) == pytest.approx(float(provider.invoiced_usd), rel=0.02)


def test_a_client_sends_each_request_once(router, provider):
    provider.inject(ServerError(model=SMALL))
    router().invoke(ASK)
    assert [request.model for request in provider.requests] == [SMALL, LARGE]


async def test_an_agent_streams_each_token_once(router, provider):
    agent = create_agent(router(), tools=[lookup])
    texts: dict[str, str] = {}
    provider.inject(ServerError(model=SMALL, nth=[1]))
    async for message, _ in agent.astream(
        {"messages": [("user", USE_TOOL)]}, stream_mode="messages"
    ):
        if isinstance(message, AIMessage):
            texts[message.id] = texts.get(message.id, "") + message.text
    state = await agent.ainvoke({"messages": [("user", USE_TOOL)]})
    assert "".join(texts.values()) == state["messages"][-1].text
    assert state["messages"][1].tool_calls[0]["name"] == "lookup"


async def test_tools_and_schemas_follow_to_whoever_answers(router, provider):
    provider.inject(ServerError(model=SMALL))
    answer = await router().bind_tools([lookup]).ainvoke(USE_TOOL)
    assert answer.tool_calls[0]["name"] == "lookup"
    assert answer.response_metadata["routing"]["model"] == LARGE
    for method in ("json_schema", "function_calling"):
        structured = router().with_structured_output(Author, method=method)
        assert isinstance(await structured.ainvoke(ASK), Author)
        parts = [part async for part in structured.astream(ASK)]
        assert isinstance(parts[-1], Author)
    raw = await router().with_structured_output(Author, include_raw=True).ainvoke(ASK)
    assert isinstance(raw["parsed"], Author)
    assert raw["raw"].response_metadata["routing"]["model"] == LARGE
    assert raw["parsing_error"] is None


async def test_a_parsing_error_is_returned_or_raised_and_fails_over_to_nobody(
    router, provider
):
    class Strange(BaseModel):
        """A model whose validation always fails."""

        name: int

        def model_post_init(self, context: Any) -> None:
            raise ValueError("never right")

    chain = router().with_structured_output(
        Strange, method="function_calling", include_raw=True
    )
    parsed = await chain.ainvoke(ASK)
    assert parsed["parsed"] is None
    assert "never right" in str(parsed["parsing_error"])
    assert {request.model for request in provider.requests} == {SMALL}


async def test_a_cached_structured_answer_parses_by_its_own_candidates_parser(
    router, provider
):
    cached = with_layers(router(), CacheLayer(TieredCache([MemoryTier()])))
    chain = cached.with_structured_output(Author)
    first = await chain.ainvoke(ASK)
    assert await chain.ainvoke(ASK) == first
    assert len(provider.requests) == 1


async def test_cancelling_reaches_the_provider(router, provider):
    provider.inject(Hang(model=SMALL))
    tree = Tree()
    task = asyncio.create_task(router().ainvoke(ASK, {"callbacks": [tree]}))
    while not provider.active:  # noqa: ASYNC110 - a thread's
        await asyncio.sleep(0.002)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(500):
        if not provider.active:
            break
        await asyncio.sleep(0.005)
    assert not provider.active
    assert [run[3] for run in tree.runs] == ["CancelledError", "CancelledError"]


async def test_a_hang_is_left_after_its_time(router, provider):
    provider.inject(Hang(model=SMALL))
    routed = router(FailoverPolicy(attempt_timeout_s=0.3))
    answer = await routed.ainvoke(ASK)
    assert answer.response_metadata["routing"]["reason"] == f"{SMALL} failed: timeout"
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_cut_stream_carries_its_text(router, provider):
    provider.inject(Cut(model=SMALL, at_token=3))
    text = ""
    partial = None
    try:
        async for chunk in router().astream(ASK):
            text += chunk.text
    except ModelConnectionError as error:
        partial = partial_message(error)
    assert partial is not None
    assert partial.text == text != ""


async def test_layered_candidates_keep_their_layers(model, provider):
    spent = BudgetLayer(Budget(limit_usd="0.0000001", window="day"))
    poor = Candidate(with_layers(model(SMALL), spent), name="poor")
    rich = Candidate(model(LARGE), name="rich")
    routed = ModelRouter([poor, rich])
    for _ in range(5):
        answer = await routed.ainvoke(ASK)
        assert answer.response_metadata["routing"]["model"] == "rich"
    assert {request.model for request in provider.requests} == {LARGE}
    assert not routed._desk.board.snapshot()["poor"].is_open


async def test_warming_opens_connections(router, provider):
    assert await router().awarm() == {SMALL: None, LARGE: None}
    assert len(provider.requests) == 2
