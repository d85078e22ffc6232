"""A layer tells the handlers of its call, in every mode, and costs nobody a thread."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableLambda

from langchain_llmops import ModelLayer, with_layers

NAME = "test.happened"


class Telling(ModelLayer):
    """Says before each call that there is one."""

    def generate(self, call, handler):
        call.tell(NAME, {"mode": "generate"})
        return handler(call)

    async def agenerate(self, call, handler):
        await call.atell(NAME, {"mode": "agenerate"})
        return await handler(call)

    def stream(self, call, handler):
        call.tell(NAME, {"mode": "stream"})
        yield from handler(call)

    async def astream(self, call, handler):
        await call.atell(NAME, {"mode": "astream"})
        async with aclosing(handler(call)) as chunks:
            async for chunk in chunks:
                yield chunk


class Listening(BaseCallbackHandler):
    """Writes down events, and the runs around them."""

    run_inline = True

    def __init__(self):
        self.heard = []
        self.runs = {}

    def on_custom_event(self, name, data, *, run_id, tags=None, metadata=None, **_):
        self.heard.append((name, data, run_id, tags, metadata))

    def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id, **_):
        if parent_run_id is None:
            self.runs["chain"] = run_id

    def on_chat_model_start(self, serialized, messages, *, run_id, **_):
        self.runs["model"] = run_id


class AsyncListening(AsyncCallbackHandler):
    def __init__(self):
        self.heard = []

    async def on_custom_event(self, name, data, *, run_id, **_):
        self.heard.append(name)


class Deaf(BaseCallbackHandler):
    """Has no such event; core would run what it inherits on a thread."""

    def __getattribute__(self, name):
        assert name != "on_custom_event", "asked for what it does not have"
        return super().__getattribute__(name)


def invoke(model, config):
    model.invoke("hi", config)


def stream(model, config):
    list(model.stream("hi", config))


def batch(model, config):
    model.batch(["hi"], config)


def generate(model, config):
    model.generate([[HumanMessage("hi")]], **config)


def v3_events(model, config):
    list(model.stream_events("hi", config, version="v3"))


async def ainvoke(model, config):
    await model.ainvoke("hi", config)


async def astream(model, config):
    assert [chunk async for chunk in model.astream("hi", config)]


async def v2_events(model, config):
    events = [e async for e in model.astream_events("hi", config, version="v2")]
    assert [e["name"] for e in events if e["event"] == "on_custom_event"] == [NAME]


async def v3_events_async(model, config):
    events = await model.astream_events("hi", config, version="v3")
    assert [event async for event in events]
    await asyncio.sleep(0)  # core's producer task ends the run after the last event


SYNC = [invoke, stream, batch, generate, v3_events]
ASYNC = [ainvoke, astream, v2_events, v3_events_async]
KINDS = ["AllFour", "streaming=True"]
pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.LangChainBetaWarning"
)


def attached(model):
    """Return a model that tells, and who listens: bound, bound and passed, async."""
    bound, twice, asynchronous = Listening(), Listening(), AsyncListening()
    model = model.model_copy(update={"callbacks": [bound, twice]})
    config = {"callbacks": [twice, asynchronous], "metadata": {"tenant": "acme"}}
    return with_layers(model, Telling()), config, (bound, twice, asynchronous)


def assert_heard_once(bound, twice, asynchronous):
    for listener in (bound, twice):
        ((name, _, _, _, metadata),) = listener.heard
        assert (name, metadata["tenant"]) == (NAME, "acme")
    assert asynchronous.heard == [NAME]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", SYNC)
def test_each_listener_hears_an_event_once(call, kind, models):
    model, config, listeners = attached(models[kind]())
    call(model, config)
    assert_heard_once(*listeners)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", ASYNC)
async def test_each_listener_hears_an_event_once_on_a_loop(call, kind, models):
    model, config, listeners = attached(models[kind]())
    await call(model, config)
    assert_heard_once(*listeners)


def test_an_event_belongs_to_the_run_or_in_a_stream_to_the_one_around_it(models):
    listener = Listening()
    chain = RunnableLambda(str) | with_layers(models["AllFour"](), Telling())
    config = {"callbacks": [listener], "tags": ["here"]}
    chain.invoke("hi", config)
    runs = [listener.runs["model"]]
    list(chain.stream("hi", config))
    runs.append(listener.runs["chain"])
    assert [run_id for _, _, run_id, _, _ in listener.heard] == runs
    assert all("here" in tags for _, _, _, tags, _ in listener.heard)


@pytest.mark.parametrize("call", [ainvoke, astream])
async def test_who_does_not_listen_is_not_asked(call, models):
    await call(with_layers(models["AllFour"](), Telling()), {"callbacks": [Deaf()]})


def test_what_a_listener_raises_does_not_reach_the_call(models, caplog):
    class Failing(Listening):
        def on_custom_event(self, *args, **kwargs):
            raise ValueError("no")

    invoke(with_layers(models["AllFour"](), Telling()), {"callbacks": [Failing()]})
    assert "Failing.on_custom_event" in caplog.text
