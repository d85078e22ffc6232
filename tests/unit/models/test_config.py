"""A layer sees the config of its own call, however the call was made."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField, RunnableLambda
from langgraph.graph import END, START, MessagesState, StateGraph

from langchain_llmops import with_layers

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)

PROMPT = ChatPromptTemplate.from_messages([("user", "{x}")])
TOOL = {"name": "look", "description": "Look.", "parameters": {"type": "object"}}


def config_of(tenant: str) -> dict[str, Any]:
    return {
        "configurable": {"tenant": tenant},
        "metadata": {"user": f"{tenant}-user"},
        "tags": [tenant],
        "run_name": f"for {tenant}",
    }


def tenants(layer) -> list[str]:
    """The tenant of each call, once all parts of its config agree on it."""
    for _, call in layer.calls:
        tenant = call.config["configurable"]["tenant"]
        assert call.config["metadata"]["user"] == f"{tenant}-user"
    return [call.config["configurable"]["tenant"] for _, call in layer.calls]


def _chain(model):
    return PROMPT | model | StrOutputParser()


def _node(model):
    """A graph whose node calls the model as people do: without a config."""
    graph = StateGraph(MessagesState)
    graph.add_node("ask", lambda state: {"messages": model.invoke(state["messages"])})
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END)
    return graph.compile()


def _anode(model):
    async def ask(state):
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    return graph.compile()


def _streaming_node(model):
    def ask(state):
        chunks = list(model.stream(state["messages"]))
        return {"messages": ["".join(chunk.text for chunk in chunks)]}

    graph = StateGraph(MessagesState)
    graph.add_node("ask", ask)
    graph.add_edge(START, "ask")
    return graph.compile()


def _configurable(model):
    return model.configurable_fields(temperature=ConfigurableField(id="warm"))


STATE = {"messages": [HumanMessage("hi")]}
SYNC = {
    "invoke": lambda m, c: m.invoke("hi", c),
    "stream": lambda m, c: list(m.stream("hi", c)),
    "batch": lambda m, c: m.batch(["hi"], c),
    "batch_as_completed": lambda m, c: list(m.batch_as_completed(["hi"], c)),
    "stream_events v3": lambda m, c: m.stream_events("hi", c, version="v3").output,
    "with_config": lambda m, c: m.with_config(c).invoke("hi"),
    "bind": lambda m, c: m.bind(stop=["x"]).invoke("hi", c),
    "bind_tools": lambda m, c: list(m.bind_tools([TOOL]).stream("hi", c)),
    "configurable_fields": lambda m, c: _configurable(m).invoke(
        "hi", {**c, "configurable": {**c["configurable"], "warm": 0.5}}
    ),
    "model_copy": lambda m, c: m.model_copy(update={"temperature": 0.1}).invoke(
        "hi", c
    ),
    "LCEL": lambda m, c: _chain(m).invoke({"x": "hi"}, c),
    "LCEL stream": lambda m, c: list(_chain(m).stream({"x": "hi"}, c)),
    "ambient": lambda m, c: RunnableLambda(lambda x: m.invoke([x])).invoke("hi", c),
    "ambient generate": lambda m, c: RunnableLambda(
        lambda x: str(m.generate([[HumanMessage(x)]]))
    ).invoke("hi", c),
    "node": lambda m, c: _node(m).invoke(STATE, c),
    "node, messages": lambda m, c: list(
        _node(m).stream(STATE, c, stream_mode="messages")
    ),
    "streaming node": lambda m, c: _streaming_node(m).invoke(STATE, c),
    "agent": lambda m, c: create_agent(m).invoke(STATE, c),
    "agent, messages": lambda m, c: list(
        create_agent(m, tools=[]).stream(STATE, c, stream_mode="messages")
    ),
}


async def _alist(stream) -> list[Any]:
    async with aclosing(stream):
        return [item async for item in stream]


async def _v3(model, config):
    return await (await model.astream_events("hi", config, version="v3")).output


ASYNC = {
    "ainvoke": lambda m, c: m.ainvoke("hi", c),
    "astream": lambda m, c: _alist(m.astream("hi", c)),
    "abatch": lambda m, c: m.abatch(["hi"], c),
    "astream_events v2": lambda m, c: _alist(m.astream_events("hi", c, version="v2")),
    "astream_events v3": _v3,
    "LCEL ainvoke": lambda m, c: _chain(m).ainvoke({"x": "hi"}, c),
    "LCEL astream": lambda m, c: _alist(_chain(m).astream({"x": "hi"}, c)),
    "async node": lambda m, c: _anode(m).ainvoke(STATE, c),
    "async node, messages": lambda m, c: _alist(
        _anode(m).astream(STATE, c, stream_mode="messages")
    ),
    "agent ainvoke": lambda m, c: create_agent(m).ainvoke(STATE, c),
}
CANNOT = {  # on the bare model either
    ("bind_tools", "OnlyGenerate"),
    ("stream_events v3", "OnlyGenerate"),
    ("astream_events v3", "OnlyGenerate"),
}


def _pairs(modes):
    classes = ("OnlyGenerate", "GenerateAndStream", "AllFour")
    pairs = ((mode, cls) for mode in modes for cls in classes)
    return [pair for pair in pairs if pair not in CANNOT]


@pytest.mark.parametrize(("mode", "cls"), _pairs(SYNC))
def test_tenants_do_not_mix_in_a_sync_mode(mode, cls, models, watching) -> None:
    layer = watching()
    model = with_layers(models[cls](), layer)
    SYNC[mode](model, config_of("A"))
    SYNC[mode](model, config_of("B"))
    assert tenants(layer) == ["A", "B"]


@pytest.mark.parametrize(("mode", "cls"), _pairs(ASYNC))
async def test_tenants_do_not_mix_in_an_async_mode(mode, cls, models, watching) -> None:
    layer = watching()
    model = with_layers(models[cls](), layer)
    await asyncio.gather(*(ASYNC[mode](model, config_of(t)) for t in "AB"))
    assert sorted(tenants(layer)) == ["A", "B"]


def test_batch_gives_each_input_its_own_config(models, watching) -> None:
    layer = watching()
    model = with_layers(models["AllFour"](), layer)
    model.batch(["hi"] * 4, [config_of(tenant) for tenant in "ABCD"])
    assert sorted(tenants(layer)) == list("ABCD")


async def test_abatch_gives_each_input_its_own_config(models, watching) -> None:
    layer = watching()
    model = with_layers(models["AllFour"](), layer)
    await model.abatch(["hi"] * 4, [config_of(tenant) for tenant in "ABCD"])
    assert sorted(tenants(layer)) == list("ABCD")


def test_interleaved_streams_keep_their_configs(models, watching) -> None:
    layer = watching()
    model = with_layers(models["AllFour"](), layer)
    streams = [model.stream("hi", config_of(tenant)) for tenant in "AB"]
    for pair in zip(*streams, strict=True):
        assert len(pair) == 2
    assert tenants(layer) == ["A", "B"]


async def test_interleaved_async_streams_keep_their_configs(models, watching) -> None:
    layer = watching()
    model = with_layers(models["AllFour"](), layer)
    streams = [model.astream("hi", config_of(tenant)) for tenant in "AB"]
    for _ in range(3):
        for stream in streams:
            await anext(stream)
    for stream in streams:
        await stream.aclose()
    assert tenants(layer) == ["A", "B"]


def test_v3_streams_read_in_another_order_keep_their_configs(models, watching) -> None:
    layer = watching()
    model = with_layers(models["AllFour"](), layer)
    first = model.stream_events("hi", config_of("A"), version="v3")
    second = model.stream_events("hi", config_of("B"), version="v3")
    assert second.output.text == first.output.text
    assert tenants(layer) == ["B", "A"]


def test_a_stream_read_in_another_thread_keeps_its_config(models, watching) -> None:
    layer = watching()
    model = with_layers(models["AllFour"](), layer)
    with ThreadPoolExecutor(2) as pool:
        for tenant in "AB":
            pool.submit(list, model.stream("hi", config_of(tenant))).result()
    assert tenants(layer) == ["A", "B"]


def test_generate_says_in_single_parameters_what_a_config_says(
    models, watching
) -> None:
    layer = watching()
    model = with_layers(models["AllFour"](), layer)
    model.generate([[HumanMessage("hi")]], metadata={"user": "A-user"}, tags=["A"])
    (_, call), *_ = layer.calls
    assert call.config["metadata"] == {"user": "A-user"}
    assert call.config["tags"] == ["A"]


async def test_agenerate_says_in_single_parameters_what_a_config_says(
    models, watching
) -> None:
    layer = watching()
    model = with_layers(models["AllFour"](), layer)
    await model.agenerate([[HumanMessage("hi")]], metadata={"user": "A"}, run_name="me")
    (_, call), *_ = layer.calls
    assert call.config["metadata"] == {"user": "A"}
    assert call.config["run_name"] == "me"


def test_a_call_past_the_public_methods_sees_the_ambient_config(
    models, watching
) -> None:
    layer = watching()
    model = with_layers(models["AllFour"](), layer)
    ask = RunnableLambda(lambda x: str(model._generate([HumanMessage(x)])))
    ask.invoke("hi", config_of("A"))
    assert tenants(layer) == ["A"]


def test_without_any_config_it_is_complete_and_empty(models, watching) -> None:
    layer = watching()
    with_layers(models["AllFour"](), layer).invoke("hi")
    (_, call), *_ = layer.calls
    assert call.config["configurable"] == {}
    assert call.config["metadata"] == {}


def test_the_next_call_does_not_remember_the_config(models, watching) -> None:
    layer = watching()
    model = with_layers(models["AllFour"](), layer)
    model.invoke("hi", config_of("A"))
    model.invoke("hi")
    assert [c.config["configurable"] for _, c in layer.calls] == [{"tenant": "A"}, {}]
