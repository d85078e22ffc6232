"""A layered model beside the bare one, mode by mode.

Each mode runs twice against the same provider, bare and layered. Compared are what came
out (or the error) and the whole run tree; and each LLM run passed the layer once.
`benchmarks/conformance_tables.py` prints the outcome of this file as a table.
"""

from __future__ import annotations

import asyncio
import copy
import inspect
import pickle
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx2 as httpx
import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import (
    BaseChatModel,
    FakeListChatModel,
    GenericFakeChatModel,
)
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import ConfigurableField
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_llmops import ModelLayer, with_layers
from langchain_llmops.testing import Cut, Hang, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_llmops.testing import Fault

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning",
    # ChatOpenAI(streaming=True).with_structured_output, bare as well.
    "ignore:Pydantic serializer warnings:UserWarning",
)

ASK = "Context: Ada wrote it in May. Bob read it.\n\nQuestion: Who wrote it?"
USE_TOOL = "Call lookup to find the author, please."


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

    def __reduce__(self) -> str:
        return "LAYER"  # pickled by name, so that it goes on counting

    def generate(self, call, handler):
        self.calls += 1
        try:
            return handler(call)
        finally:
            self.ends += 1

    async def agenerate(self, call, handler):
        self.calls += 1
        try:
            return await handler(call)
        finally:
            self.ends += 1

    def stream(self, call, handler):
        self.calls += 1
        try:
            yield from handler(call)
        finally:
            self.ends += 1

    async def astream(self, call, handler):
        self.calls += 1
        try:
            async with aclosing(handler(call)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self.ends += 1


LAYER = Counting()


class RunTree(BaseCallbackHandler):
    """Each run's events, with ids replaced by the order of appearance."""

    run_inline = True

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.ids: dict[Any, int] = {}

    def note(self, event: str, run_id: Any, *rest: Any) -> None:
        self.events.append((self.ids.setdefault(run_id, len(self.ids)), event, *rest))

    @property
    def by_run(self) -> list[tuple[Any, ...]]:
        return sorted(self.events, key=lambda event: event[0])

    @property
    def llm_runs(self) -> int:
        return sum(event[1] == "llm start" for event in self.events)

    @property
    def open(self) -> list[int]:
        ended = {e[0] for e in self.events if e[1].split()[1] in ("end", "error")}
        return [run for run in self.ids.values() if run not in ended]

    def on_chat_model_start(
        self, serialized, messages, *, run_id, parent_run_id, metadata=None, **kwargs
    ):
        shown = {k: v for k, v in (metadata or {}).items() if k.startswith("ls_")}
        params = {k: v for k, v in kwargs["invocation_params"].items() if k != "tools"}
        parent = self.ids.get(parent_run_id)
        name = kwargs.get("name")
        self.note("llm start", run_id, parent, name, serialized["id"], shown, params)

    def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id, **kwargs):
        parent = self.ids.get(parent_run_id)
        self.note("chain start", run_id, parent, kwargs.get("name"))

    def on_tool_start(self, serialized, text, *, run_id, parent_run_id, **kwargs):
        self.note("tool start", run_id, self.ids.get(parent_run_id), text)

    def on_llm_new_token(self, token, *, run_id, **kwargs):
        self.note("llm token", run_id, token)

    def on_stream_event(self, event, *, run_id, **kwargs):
        self.note("llm event", run_id, event["event"])

    def on_llm_end(self, response, *, run_id, **kwargs):
        self.note("llm end", run_id, response.generations[0][0].text)

    def on_llm_error(self, error, *, run_id, **kwargs):
        self.note("llm error", run_id, type(error))

    def on_chain_end(self, outputs, *, run_id, **kwargs):
        self.note("chain end", run_id)

    def on_chain_error(self, error, *, run_id, **kwargs):
        self.note("chain error", run_id, type(error))

    def on_tool_end(self, output, *, run_id, **kwargs):
        self.note("tool end", run_id)


class OnlyGenerate(BaseChatModel):
    """The least that a chat model can be."""

    temperature: float = 0.0

    @property
    def _llm_type(self) -> str:
        return "only-generate"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        message = AIMessage(f"Ada, at {self.temperature}")
        return ChatResult(generations=[ChatGeneration(message=message)])


class MyChatOpenAI(ChatOpenAI):
    """What users write on top of an integration."""

    def _generate(self, messages, stop=None, run_manager=None, **kwargs) -> ChatResult:
        result = super()._generate(messages, stop, run_manager, **kwargs)
        result.llm_output = {**(result.llm_output or {}), "mine": True}
        return result


def over_http(cls: type[ChatOpenAI], **kwargs: Any) -> Callable[..., ChatOpenAI]:
    def make(**clients: Any) -> ChatOpenAI:
        return cls(
            model="gpt-4o",
            api_key="-",
            max_retries=0,
            # Its timer loses cancellations on Python 3.11 (asyncio.wait_for).
            stream_chunk_timeout=None,
            **clients,
            **kwargs,
        )

    return make


HTTP = {
    "ChatOpenAI": over_http(ChatOpenAI),
    "ChatOpenAI(streaming=True)": over_http(ChatOpenAI, streaming=True),
    "subclass of ChatOpenAI": over_http(MyChatOpenAI),
}
IN_MEMORY = {
    "FakeListChatModel": lambda **_: FakeListChatModel(responses=["Ada", "Bob"]),
    "GenericFakeChatModel": lambda **_: GenericFakeChatModel(
        messages=iter(["Ada did.", "Bob did."])
    ),
    "only `_generate`": lambda **_: OnlyGenerate(),
}


@dataclass(frozen=True)
class Mode:
    """A way to use a model, and what goes wrong meanwhile."""

    run: Callable[[Any, Any], Any]
    fault: Fault | None = None
    stays_open: bool = False


async def _alist(stream) -> list[Any]:
    async with aclosing(stream):
        return [item async for item in stream]


async def _ainvoke(model, config):
    return await model.ainvoke(ASK, config)


async def _abatch(model, config):
    return await model.abatch([ASK, "hi"], {**config, "max_concurrency": 1})


async def _astream(model, config):
    return await _alist(model.astream(ASK, config))


async def _events_v2(model, config):
    events = await _alist(model.astream_events(ASK, config, version="v2"))
    return [(event["event"], event["name"]) for event in events]


async def _events_v3(model, config):
    stream = await model.astream_events(ASK, config, version="v3")
    try:
        return await stream.output
    finally:  # the run is closed after the output is there
        await asyncio.wait([stream._producer_task])


def _configurable(model, config):
    name = "temperature" if hasattr(model, "temperature") else "tags"
    value = 0.5 if name == "temperature" else ["t"]
    chosen = model.configurable_fields(**{name: ConfigurableField(id="it")})
    return chosen.invoke(ASK, {**config, "configurable": {"it": value}})


def _agent(model):
    can_call = type(model).bind_tools is not BaseChatModel.bind_tools
    return create_agent(model, tools=[lookup] if can_call else [])


def _run_agent(model, config):
    return _agent(model).invoke({"messages": [("user", USE_TOOL)]}, config)["messages"]


async def _arun_agent(model, config):
    state = await _agent(model).ainvoke({"messages": [("user", USE_TOOL)]}, config)
    return state["messages"]


async def _stream_agent(model, config):
    stream = _agent(model).astream(
        {"messages": [("user", USE_TOOL)]}, config, stream_mode="messages"
    )
    return [message for message, _ in await _alist(stream)]


def _leave(model, config):
    stream = model.stream(ASK, config)
    first = next(stream)
    stream.close()
    return first


async def _aleave(model, config):
    stream = model.astream(ASK, config)
    first = await anext(stream)
    await stream.aclose()
    return first


async def _cancelled(task) -> str:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return "cancelled"


async def _cancel_ainvoke(model, config):
    task = asyncio.ensure_future(model.ainvoke(ASK, config))
    while not config["metadata"]["provider"].active:  # noqa: ASYNC110  # a thread's
        await asyncio.sleep(0.002)
    return await _cancelled(task)


async def _cancel_astream(model, config):
    waiting = asyncio.Event()

    async def read():
        async with aclosing(model.astream(ASK, config)) as chunks:
            for _ in range(3):  # the role and the two tokens that come
                await anext(chunks)
            waiting.set()
            await anext(chunks)

    task = asyncio.ensure_future(read())
    await waiting.wait()
    return await _cancelled(task)


MODES = {
    "invoke": Mode(lambda m, c: m.invoke(ASK, c)),
    "ainvoke": Mode(_ainvoke),
    "stream": Mode(lambda m, c: list(m.stream(ASK, c))),
    "astream": Mode(_astream),
    "batch": Mode(lambda m, c: m.batch([ASK, "hi"], {**c, "max_concurrency": 1})),
    "abatch": Mode(_abatch),
    "stream_events v3": Mode(lambda m, c: m.stream_events(ASK, c, version="v3").output),
    "astream_events v2": Mode(_events_v2),
    "astream_events v3": Mode(_events_v3),
    "bind_tools": Mode(lambda m, c: m.bind_tools([lookup]).invoke(USE_TOOL, c)),
    "with_structured_output": Mode(
        lambda m, c: m.with_structured_output(Author).invoke(ASK, c)
    ),
    "configurable_fields": Mode(_configurable),
    "model_copy": Mode(
        lambda m, c: m.model_copy(update={"tags": ["t"]}).invoke(ASK, c)
    ),
    "deepcopy": Mode(lambda m, c: copy.deepcopy(m).invoke(ASK, c)),
    "pickle": Mode(lambda m, c: pickle.loads(pickle.dumps(m)).invoke(ASK, c)),
    "create_agent, invoke": Mode(_run_agent),
    "create_agent, ainvoke": Mode(_arun_agent),
    "create_agent, streaming messages": Mode(_stream_agent),
    "with_fallbacks": Mode(lambda m, c: m.with_fallbacks([m]).invoke(ASK, c)),
    "stream, reader leaves": Mode(_leave),
    "astream, reader leaves": Mode(_aleave),
}
BROKEN = {
    "invoke, refused": Mode(MODES["invoke"].run, ServerError()),
    "ainvoke, refused": Mode(MODES["ainvoke"].run, ServerError()),
    "stream, failing before the first chunk": Mode(MODES["stream"].run, Cut()),
    "stream, failing after the first chunk": Mode(MODES["stream"].run, Cut(at_token=2)),
    "astream, failing before the first chunk": Mode(MODES["astream"].run, Cut()),
    "astream, failing after the first chunk": Mode(
        MODES["astream"].run, Cut(at_token=2)
    ),
    "with_fallbacks, the first one failing": Mode(
        MODES["with_fallbacks"].run, ServerError(nth=[1])
    ),
    # Core closes no run when an `ainvoke` is cancelled.
    "ainvoke, cancelled": Mode(_cancel_ainvoke, Hang(), stays_open=True),
    "astream, cancelled": Mode(_cancel_astream, Hang(at_token=2)),
}


def _plain(value: Any) -> Any:
    """Strip what differs from run to run: ids that core and graphs draw."""
    if isinstance(value, BaseMessage):
        return type(value), value.model_dump(exclude={"id"})
    return [_plain(v) for v in value] if isinstance(value, list) else repr(value)


def _outcome(run, model, config) -> Any:
    try:
        return _plain(run(model, config))
    except Exception as error:  # noqa: BLE001  # the same error is the same outcome
        return type(error), str(error)


def _do(mode: Mode, make, provider, *layers) -> tuple[Any, RunTree]:
    provider.reset()
    provider.clear_faults()
    if mode.fault is not None:
        provider.inject(mode.fault)
    tree = RunTree()
    config = {"callbacks": [tree], "metadata": {"provider": provider}}
    if not inspect.iscoroutinefunction(mode.run):
        with httpx.Client() as client:
            model = with_layers(
                make(base_url=provider.base_url, http_client=client), *layers
            )
            return _outcome(mode.run, model, config), tree

    async def run() -> Any:
        async with httpx.AsyncClient() as client:
            model = with_layers(
                make(base_url=provider.base_url, http_async_client=client), *layers
            )
            return await mode.run(model, config)

    return _outcome(lambda *_: asyncio.run(run()), None, None), tree


def _compare(mode: Mode, make, provider) -> Any:
    LAYER.calls = LAYER.ends = 0
    expected, bare_tree = _do(mode, make, provider)
    outcome, tree = _do(mode, make, provider, LAYER)
    assert outcome == expected
    assert tree.by_run == bare_tree.by_run
    assert bool(tree.open) == mode.stays_open
    unsupported = outcome[0] is NotImplementedError  # core never calls the model
    assert LAYER.calls == LAYER.ends == (0 if unsupported else tree.llm_runs)
    return outcome


def _raised(outcome: Any) -> str:
    kind = outcome[0]
    failed = isinstance(kind, type) and issubclass(kind, Exception)
    return kind.__name__ if failed else ""


# The properties are for the table: which cell, and what both models raised.


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model", [*HTTP, *IN_MEMORY])
def test_does_as_the_bare_model(model, mode, provider, record_property) -> None:
    record_property("cell", (mode, model))
    outcome = _compare(MODES[mode], {**HTTP, **IN_MEMORY}[model], provider)
    record_property("raised", _raised(outcome))


@pytest.mark.parametrize("mode", BROKEN)
@pytest.mark.parametrize("model", HTTP)
def test_fails_as_the_bare_model(model, mode, provider, record_property) -> None:
    record_property("cell", (mode, model))
    outcome = _compare(BROKEN[mode], HTTP[model], provider)
    record_property("raised", _raised(outcome))
    recovers = "fallbacks" in mode or "cancelled" in mode
    assert bool(_raised(outcome)) != recovers
