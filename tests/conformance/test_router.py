"""A router over one ChatOpenAI beside the bare ChatOpenAI, scenario by scenario.

Each scenario runs against the same provider, bare and routed, each plain and in a
layer. Compared are what came out (or the error) and the LLM runs; of the router also
that every run ended, that no task is left, and that the layer saw each call once.
`benchmarks/conformance_tables.py` prints the outcome of this file as a table.
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_llmops import (
    FailoverPolicy,
    ModelLayer,
    ModelRouter,
    with_layers,
)
from langchain_llmops.routing.catalog import default_catalog
from langchain_llmops.testing import Cut, Hang, RateLimited, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_llmops.testing import Fault

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning",
    "ignore:Pydantic serializer warnings:UserWarning",
)

ASK = "Context: Ada wrote it in May. Bob read it.\n\nQuestion: Who wrote it?"
USE_TOOL = "Call lookup to find the author, please."
ONE_ATTEMPT = FailoverPolicy(max_attempts=1)
default_catalog()  # list prices are read from disk, once


class Author(BaseModel):
    """Who wrote it."""

    name: str


@tool
def lookup(name: str) -> str:
    """Find an author."""
    return f"{name} wrote it."


class Counting(ModelLayer):
    """Passes everything through and counts what came in and what ended."""

    def __init__(self) -> None:
        self.calls = self.ends = 0
        self.tenants: list[Any] = []

    def enter(self, call):
        self.calls += 1
        self.tenants.append(call.config["metadata"].get("tenant"))

    def generate(self, call, handler):
        self.enter(call)
        try:
            return handler(call)
        finally:
            self.ends += 1

    async def agenerate(self, call, handler):
        self.enter(call)
        try:
            return await handler(call)
        finally:
            self.ends += 1

    def stream(self, call, handler):
        self.enter(call)
        try:
            yield from handler(call)
        finally:
            self.ends += 1

    async def astream(self, call, handler):
        self.enter(call)
        try:
            async with aclosing(handler(call)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self.ends += 1


class Runs(BaseCallbackHandler):
    """The LLM runs in the order they open, and which runs are still open."""

    run_inline = True

    def __init__(self) -> None:
        self.open: dict[Any, str] = {}
        self.llm: dict[Any, list[Any]] = {}

    def on_chat_model_start(self, serialized, messages, *, run_id, **kwargs):
        self.open[run_id] = "llm"
        params = {k: v for k, v in kwargs["invocation_params"].items() if k != "tools"}
        self.llm[run_id] = [serialized["id"], params]

    def on_chain_start(self, serialized, inputs, *, run_id, **kwargs):
        self.open[run_id] = kwargs.get("name") or "chain"

    def on_llm_new_token(self, token, *, run_id, **kwargs):
        self.llm[run_id].append(token)

    def on_llm_end(self, response, *, run_id, **kwargs):
        self.llm[run_id].append(("end", response.generations[0][0].text))
        del self.open[run_id]

    def on_llm_error(self, error, *, run_id, **kwargs):
        self.llm[run_id].append(("error", type(error)))
        del self.open[run_id]

    def on_chain_end(self, outputs, *, run_id, **kwargs):
        del self.open[run_id]

    def on_chain_error(self, error, *, run_id, **kwargs):
        del self.open[run_id]


@dataclass(frozen=True)
class Scenario:
    """A way to use a model, and what goes wrong meanwhile.

    `core_leaves_open`: LangChain itself leaves the bare model's run open; the router
    closes it all the same.
    """

    run: Callable[[Any, Any], Any]
    fault: Fault | None = None
    core_leaves_open: bool = False
    tokens_by_events: bool = False


async def _alist(stream) -> list[Any]:
    async with aclosing(stream):
        return [item async for item in stream]


async def _ainvoke(m, c):
    return await m.ainvoke(ASK, c)


async def _astream(m, c):
    return merged(await _alist(m.astream(ASK, c)))


async def _abatch(m, c):
    return await m.abatch([ASK, "hi"], {**c, "max_concurrency": 1})


async def _agenerate(m, c):
    result = await m.agenerate_prompt([m._convert_input(ASK)], **c)
    return result.generations[0][0].message


async def _events_v2(m, c):
    events = await _alist(m.astream_events(ASK, c, version="v2"))
    return [
        event["data"]["chunk"]
        for event in events
        if event["event"] == "on_chat_model_stream"
    ]


async def _events_v3(m, c):
    stream = await m.astream_events(ASK, c, version="v3")
    try:
        return await stream.output
    finally:  # the run is closed after the output is there
        await asyncio.wait([stream._producer_task])


async def _alcel(m, c):
    chain = ChatPromptTemplate.from_template("{question}") | m | StrOutputParser()
    return "".join(await _alist(chain.astream({"question": ASK}, c)))


def merged(chunks) -> Any:
    """Return a stream as one message: a router adds no content, only marks."""
    whole, *rest = chunks
    for chunk in rest:
        whole += chunk
    return whole


def _agent(m, c):
    agent = create_agent(m, tools=[lookup])
    return agent.invoke({"messages": [("user", USE_TOOL)]}, c)["messages"]


async def _aagent(m, c):
    agent = create_agent(m, tools=[lookup])
    state = await agent.ainvoke({"messages": [("user", USE_TOOL)]}, c)
    return state["messages"]


async def _agent_messages(m, c):
    agent = create_agent(m, tools=[lookup])
    stream = agent.astream(
        {"messages": [("user", USE_TOOL)]}, c, stream_mode="messages"
    )
    return [message for message, _ in await _alist(stream)]


def _agent_structured(m, c):
    agent = create_agent(m, tools=[], response_format=ToolStrategy(Author))
    return agent.invoke({"messages": [("user", ASK)]}, c)["structured_response"]


def _structured(m, c):
    return m.with_structured_output(Author).invoke(ASK, c)


def _structured_raw(m, c):
    return m.with_structured_output(Author, include_raw=True).invoke(ASK, c)


async def _structured_stream(m, c):
    return await _alist(m.with_structured_output(Author).astream(ASK, c))


def _leave(m, c):
    stream = m.stream(ASK, c)
    next(stream), next(stream)  # a router waits for the first word
    stream.close()


async def _aleave(m, c):
    stream = m.astream(ASK, c)
    await anext(stream), await anext(stream)
    await stream.aclose()


async def _cancel(task) -> str:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return "cancelled"


async def _cancel_ainvoke(m, c):
    task = asyncio.ensure_future(m.ainvoke(ASK, c))
    while not c["metadata"]["provider"].active:  # noqa: ASYNC110  # a thread's
        await asyncio.sleep(0.002)
    return await _cancel(task)


async def _cancel_astream(m, c):
    waiting = asyncio.Event()

    async def read():
        async with aclosing(m.astream(ASK, c)) as chunks:
            for _ in range(3):  # the role and the two tokens that come
                await anext(chunks)
            waiting.set()
            await anext(chunks)

    task = asyncio.ensure_future(read())
    await waiting.wait()
    return await _cancel(task)


INVOKE, STREAM = (lambda m, c: m.invoke(ASK, c)), (lambda m, c: [*m.stream(ASK, c)])
SCENARIOS = {
    "invoke": Scenario(INVOKE),
    "ainvoke": Scenario(_ainvoke),
    "stream": Scenario(lambda m, c: merged(m.stream(ASK, c))),
    "astream": Scenario(_astream),
    "batch": Scenario(lambda m, c: m.batch([ASK, "hi"], {**c, "max_concurrency": 1})),
    "abatch": Scenario(_abatch),
    "agenerate_prompt": Scenario(_agenerate),
    "stop": Scenario(lambda m, c: m.invoke(ASK, c, stop=["Ada"])),
    "bind": Scenario(lambda m, c: m.bind(temperature=0.5).invoke(ASK, c)),
    "LCEL, astream": Scenario(_alcel),
    "astream_events v2": Scenario(_events_v2),
    "stream_events v3": Scenario(
        lambda m, c: m.stream_events(ASK, c, version="v3").output,
        tokens_by_events=True,
    ),
    "astream_events v3": Scenario(_events_v3, tokens_by_events=True),
    "bind_tools": Scenario(lambda m, c: m.bind_tools([lookup]).invoke(USE_TOOL, c)),
    "bind_tools, stream": Scenario(
        lambda m, c: merged(m.bind_tools([lookup]).stream(USE_TOOL, c))
    ),
    "with_structured_output": Scenario(_structured),
    "with_structured_output, include_raw": Scenario(_structured_raw),
    "with_structured_output, astream": Scenario(_structured_stream),
    "create_agent, invoke": Scenario(_agent),
    "create_agent, ainvoke": Scenario(_aagent),
    "create_agent, streaming messages": Scenario(_agent_messages),
    "create_agent, structured": Scenario(_agent_structured),
    "stream, reader leaves": Scenario(_leave),
    "astream, reader leaves": Scenario(_aleave),
    "invoke, refused": Scenario(INVOKE, ServerError()),
    "ainvoke, rate limit": Scenario(_ainvoke, RateLimited()),
    "stream, cut before the first chunk": Scenario(STREAM, Cut()),
    "stream, cut after two tokens": Scenario(STREAM, Cut(at_token=2)),
    "astream, cut after two tokens": Scenario(_astream, Cut(at_token=2)),
    # Core closes no run when an `ainvoke` is cancelled.
    "ainvoke, cancelled": Scenario(_cancel_ainvoke, Hang(), core_leaves_open=True),
    "astream, cancelled": Scenario(_cancel_astream, Hang(at_token=2)),
}


def _plain(value: Any) -> Any:
    """Strip what differs from run to run, and the marks of a router."""
    if isinstance(value, BaseMessage):
        shown = value.model_dump(exclude={"id", "chunk_position"})
        metadata = shown["response_metadata"]
        shown["response_metadata"] = {
            k: v
            for k, v in metadata.items()
            if not k.startswith("routing") and k != "id"
        }
        return type(value), shown
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list) else repr(value)


def _outcome(run, model, config) -> Any:
    try:
        return _plain(run(model, config))
    except Exception as error:  # noqa: BLE001  # the same error is the same outcome
        return type(error), str(error)


def _make(kind: str, layer, provider, **clients):
    model = ChatOpenAI(
        model="gpt-4o",
        api_key="-",
        base_url=provider.base_url,
        max_retries=0,
        # Its timer loses cancellations on Python 3.11 (asyncio.wait_for).
        stream_chunk_timeout=None,
        **clients,
    )
    if kind == "bare":
        return model
    router = ModelRouter([model], failover=ONE_ATTEMPT)
    return with_layers(router, layer) if kind == "layered router" else router


def _do(scenario: Scenario, kind: str, provider, layer=None) -> tuple[Any, Runs]:
    provider.reset()
    provider.clear_faults()
    if scenario.fault is not None:
        provider.inject(scenario.fault)
    runs = Runs()
    metadata = {"provider": provider, "tenant": "acme"}
    config = {"callbacks": [runs], "metadata": metadata}
    if not inspect.iscoroutinefunction(scenario.run):
        with httpx.Client() as client:
            model = _make(kind, layer, provider, http_client=client)
            return _outcome(scenario.run, model, config), runs

    async def run() -> Any:
        async with httpx.AsyncClient() as client:
            model = _make(kind, layer, provider, http_async_client=client)
            try:
                return await scenario.run(model, config)
            finally:
                for _ in range(5):  # what a client closes behind itself
                    await asyncio.sleep(0)
                assert asyncio.all_tasks() == {asyncio.current_task()}

    return _outcome(lambda *_: asyncio.run(run()), None, None), runs


def _events(runs: Runs, scenario: Scenario) -> list[Any]:
    events = list(runs.llm.values())
    if not scenario.tokens_by_events:
        return events
    # A bare v3 stream tells handlers of events; under a router, of tokens.
    return [[e for e in each if not isinstance(e, str)] for each in events]


@pytest.mark.parametrize("kind", ["router", "layered router"])
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_router_does_what_its_model_does(name, kind, provider, record_property):
    scenario, layer = SCENARIOS[name], Counting()
    record_property("cell", (name, kind))
    expected, bare = _do(scenario, "bare", provider)
    outcome, runs = _do(scenario, kind, provider, layer)
    raised = outcome[0] if isinstance(outcome, tuple) else None
    is_error = isinstance(raised, type) and issubclass(raised, Exception)
    record_property("raised", raised.__name__ if is_error else "")
    assert outcome == expected
    if scenario.core_leaves_open:
        assert bare.open
    else:
        assert _events(runs, scenario) == _events(bare, scenario)
    assert not runs.open
    if kind == "layered router":
        assert layer.calls == layer.ends == len(runs.llm) > 0
        assert set(layer.tenants) == {"acme"}


def test_a_stream_is_chunk_for_chunk_that_of_the_model(provider):
    bare = list(_make("bare", None, provider).stream(ASK))
    routed = list(_make("router", None, provider).stream(ASK))
    assert [c.content for c in routed] == [c.content for c in bare]
    assert all(isinstance(chunk, AIMessageChunk) for chunk in routed)
