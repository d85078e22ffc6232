"""CacheLayer: one call reaches the model, every mode shares its answer."""

from __future__ import annotations

import asyncio
import logging
import warnings
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.output_parsers import PydanticOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.utils.function_calling import convert_to_openai_tool
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

from langchain_llmops.caching import CacheLayer, TieredCache
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.models import with_layers

if TYPE_CHECKING:
    from langchain_core.runnables import Runnable

CALL = {"name": "weather", "args": {"city": "Rome"}, "id": "c1", "type": "tool_call"}
NOTHING = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
ANSWER = "The answer is, as so often, forty two and nothing else"


@pytest.fixture
def cache() -> TieredCache:
    return TieredCache()


@pytest.fixture
def layered(cache: TieredCache, counting: Any) -> Any:
    """Make a layered model: `layered("answer", …, temperature=0.5)`."""

    def make(*answers: Any, mixin: type = object, **fields: Any) -> Any:
        kind = counting if mixin is object else type("Mixed", (mixin, counting), {})
        model = kind(*(answers or [ANSWER]), **fields)
        return with_layers(model, CacheLayer(cache))

    return make


async def collect(chunks: Any) -> AIMessage:
    whole = None
    async for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
    return whole


def gather(chunks: Any) -> AIMessage:
    whole = None
    for chunk in chunks:
        whole = chunk if whole is None else whole + chunk
    return whole


async def ask(model: Runnable[Any, Any], mode: str, text: str = "2 + 2") -> Any:
    if mode == "invoke":
        return model.invoke(text)
    if mode == "ainvoke":
        return await model.ainvoke(text)
    if mode == "stream":
        return gather(model.stream(text))
    if mode == "astream":
        return await collect(model.astream(text))
    if mode == "batch":
        return model.batch([text])[0]
    (answer,) = await model.abatch([text])
    return answer


MODES = ["invoke", "ainvoke", "stream", "astream", "batch", "abatch"]


@pytest.mark.parametrize("first", MODES)
async def test_what_one_mode_stored_every_mode_gives(first: str, layered: Any):
    model = layered()
    cold = await ask(model, first)
    for mode in MODES:
        hit = await ask(model, mode)
        assert hit.text.strip() == cold.text.strip() == ANSWER
        assert hit.usage_metadata == NOTHING
        mark = hit.response_metadata["cache"]
        assert (mark["hit"], mark["saved_tokens"]) == (True, 1_100)
        assert hit.response_metadata["finish_reason"] == "stop"
        assert hit.id != cold.id
        assert hit.id.startswith("lc_run--")
    assert model.calls == 1
    assert "cache" not in cold.response_metadata
    assert cold.usage_metadata["total_tokens"] == 1_100


def test_a_hit_is_a_copy_with_an_id_of_its_own(layered: Any):
    model = layered()
    model.invoke("hi")
    first = model.invoke("hi")
    first.content = "spoiled"
    first.response_metadata.clear()
    second = model.invoke("hi")
    assert second.content == ANSWER
    assert second.id != first.id


def test_what_the_provider_said_of_the_call_is_on_the_hit(layered: Any):
    model = layered()
    cold, hit = model.invoke("hi"), model.invoke("hi")
    assert cold.response_metadata["token_usage"] == {"total_tokens": 1_100}
    assert hit.response_metadata["token_usage"] == {"total_tokens": 0}
    assert hit.response_metadata["model_name"] == "gpt-4o-mini"


def test_a_streamed_hit_comes_in_several_chunks(layered: Any):
    model = layered(ANSWER * 3)
    model.invoke("hi")
    chunks = list(model.stream("hi"))
    assert len(chunks) > 4
    assert [c.chunk_position for c in chunks] == [None] * (len(chunks) - 1) + ["last"]
    assert len({chunk.id for chunk in chunks}) == 1
    assert model.calls == 1


class Tokens(BaseCallbackHandler):
    run_inline = True

    def __init__(self) -> None:
        self.tokens = 0
        self.ends: list[Any] = []

    def on_llm_new_token(self, token: Any, **_: Any) -> None:
        self.tokens += 1

    def on_llm_end(self, response: Any, **_: Any) -> None:
        self.ends.append(response.generations[0][0].message)


def test_callbacks_see_a_hit_as_a_run(layered: Any):
    model, handler = layered(), Tokens()
    model.invoke("hi")
    gather(model.stream("hi", {"callbacks": [handler]}))
    assert handler.tokens > 1
    assert handler.ends[0].response_metadata["cache"]["hit"]


def test_event_streams_are_answered_too(layered: Any):
    model = layered()
    model.invoke("hi")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # core calls this API a beta, once
        stream = model.stream_events("hi", version="v3")
    assert str(stream.text) == ANSWER
    assert model.calls == 1


# --- what is not stored


@pytest.mark.parametrize(
    "answer",
    [
        "",
        AIMessage("cut", response_metadata={"finish_reason": "length"}),
        AIMessage("", additional_kwargs={"refusal": "no"}),
    ],
)
@pytest.mark.parametrize("mode", ["invoke", "astream"])
async def test_empty_and_cut_answers_are_asked_for_again(
    answer: Any, mode: str, layered: Any
):
    model = layered(answer)
    await ask(model, mode)
    await ask(model, mode)
    assert model.calls == 2


@pytest.mark.parametrize("mode", MODES)
async def test_a_failure_reaches_the_caller_and_is_not_stored(mode: str, layered: Any):
    failure = RuntimeError("the provider is down")
    model = layered(failure, ANSWER)
    with pytest.raises(RuntimeError) as caught:
        await ask(model, mode)
    assert caught.value is failure
    assert (await ask(model, mode)).text.strip() == ANSWER


def test_a_stream_that_is_left_is_not_stored_and_is_closed(layered: Any):
    model = layered()
    stream = model.stream("hi")
    next(stream)
    stream.close()
    assert model._closed == ["stream"]
    gather(model.stream("hi"))
    assert model.calls == 2


async def test_an_async_stream_that_is_left_is_not_stored(layered: Any):
    model = layered()
    async with aclosing(model.astream("hi")) as stream:
        await anext(stream)
    await collect(model.astream("hi"))
    assert model.calls == 2


async def test_a_cancelled_call_is_not_stored(cache: TieredCache, counting: Any):
    reached = asyncio.Event()

    class Hanging(counting):
        async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
            reached.set()
            await asyncio.Event().wait()

    model = with_layers(Hanging(), CacheLayer(cache))
    task = asyncio.create_task(model.ainvoke("hi"))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cache.stats().stores == 0


def test_an_answer_about_a_failed_tool_is_not_stored(layered: Any):
    turns = [
        HumanMessage("weather?"),
        AIMessage("", tool_calls=[CALL]),
        ToolMessage("timeout", tool_call_id="c1", status="error"),
    ]
    model = layered()
    model.invoke(turns)
    model.invoke(turns)
    assert model.calls == 2


# --- tools, structure, several answers


@pytest.mark.parametrize("mode", MODES)
async def test_tool_calls_are_replayed(mode: str, layered: Any):
    model = layered(AIMessage("", tool_calls=[CALL]))
    bound = model.bind(tools=[{"type": "function", "function": {"name": "weather"}}])
    bound.invoke("hi")
    assert (await ask(bound, mode, "hi")).tool_calls == [CALL]
    assert model.calls == 1


def test_other_tools_are_another_request(layered: Any):
    model = layered()
    for name in ("weather", "news", "weather"):
        model.invoke("hi", tools=[{"type": "function", "function": {"name": name}}])
    assert model.calls == 2


class Person(BaseModel):
    name: str


def test_a_parsed_object_is_an_object_again(layered: Any):
    written = '{"name": "Ada"}'
    answer = AIMessage(written, additional_kwargs={"parsed": Person(name="Ada")})
    model = layered(answer)
    bound = model.bind(response_format=Person)
    bound.invoke("who?")
    for hit in (bound.invoke("who?"), gather(bound.stream("who?"))):
        assert hit.additional_kwargs["parsed"] == Person(name="Ada")
    assert model.calls == 1
    # Without the class in the call there is only its JSON.
    model.invoke("who?", response_format={"type": "json_schema"})


def test_a_changed_schema_is_another_request(layered: Any):
    model = layered("{}")
    narrow = type("Person", (Person,), {"__annotations__": {"age": int}})
    for schema in (Person, narrow, Person):
        model.invoke("who?", response_format=schema)
    assert model.calls == 2


def test_a_stored_object_that_no_longer_fits_stays_json(layered: Any):
    answer = AIMessage('{"name": 1}', additional_kwargs={"parsed": Person(name="x")})
    model = layered(answer)
    model.invoke("who?", response_format=Person)
    hit = model.invoke("who?", response_format=Person)
    assert hit.additional_kwargs["parsed"] == {"name": 1}


def test_a_chain_with_a_parser_works_on_hits(layered: Any):
    model = layered('{"name": "Ada"}')
    prompt = ChatPromptTemplate.from_messages([("system", "s"), ("human", "{q}")])
    chain = prompt | model | PydanticOutputParser(pydantic_object=Person)
    assert [chain.invoke({"q": "who?"}) for _ in range(2)] == [Person(name="Ada")] * 2
    assert model.calls == 1


def test_several_answers_are_stored_together(layered: Any):
    model = layered("a", "b", "c")
    turns = [[HumanMessage("hi")]]
    cold = model.generate(turns, n=2).generations[0]
    hit = model.generate(turns, n=2).generations[0]
    assert [g.text for g in hit] == [g.text for g in cold] == ["a", "b"]
    assert model.calls == 2
    model.invoke("hi")
    assert model.calls == 3


def test_streams_of_several_answers_are_left_alone(layered: Any):
    model = layered(n=2)
    gather(model.stream("hi"))
    gather(model.stream("hi"))
    assert model.calls == 2


# --- who shares


@pytest.mark.parametrize("mode", MODES)
async def test_tenants_never_share_in_any_mode(mode: str, layered: Any):
    model = layered("for a", "for b", "for nobody")
    chain = model | (lambda message: message)

    def of(tenant: str, runnable: Any = model) -> Runnable[Any, Any]:
        return runnable.with_config(metadata={"tenant": tenant})

    assert (await ask(of("a"), mode)).text.strip() == "for a"
    assert (await ask(of("b"), mode)).text.strip() == "for b"
    assert (await ask(model, mode)).text.strip() == "for nobody"
    assert (await ask(of("a", chain), mode)).text.strip() == "for a"
    assert model.calls == 3


async def test_tenants_never_share_in_a_graph(layered: Any):
    model = layered("for a", "for b")
    graph = StateGraph(MessagesState)
    graph.add_node("ask", lambda state: {"messages": [model.invoke(state["messages"])]})
    graph.add_edge(START, "ask")
    app = graph.compile()
    turn = {"messages": [HumanMessage("hi")]}

    def said(tenant: str) -> str:
        config = {"metadata": {"tenant": tenant}}
        return str(app.invoke(turn, config)["messages"][-1].content)

    assert [said("a"), said("b"), said("a"), said("b")] == ["for a", "for b"] * 2
    # A graph that streams messages makes the model stream: its answers are shared.
    config = {"metadata": {"tenant": "a"}}
    streamed = [
        chunk.content
        async for chunk, _ in app.astream(turn, config, stream_mode="messages")
    ]
    assert "".join(streamed) == "for a"
    assert model.calls == 2


def test_an_agent_runs_on_hits_alone(layered: Any):
    def weather(city: str) -> str:
        """Tell the weather of a city."""
        return f"Sun in {city}"

    class Bindable:
        """Just enough of a provider: tools travel as an argument."""

        def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
            return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools])

    model = layered(AIMessage("", tool_calls=[CALL]), "It is sunny.", mixin=Bindable)
    agent = create_agent(model, tools=[weather])
    turns = {"messages": [HumanMessage("Weather in Rome?")]}
    answers = [agent.invoke(turns)["messages"][-1].content for _ in range(3)]
    assert answers == ["It is sunny."] * 3
    assert model.calls == 2


def test_switches_of_one_call(layered: Any):
    model = layered("one", "two", "three", "four")

    def said(**switches: Any) -> str:
        return str(model.invoke("hi", {"configurable": switches}).content)

    def streamed(**switches: Any) -> str:
        return str(gather(model.stream("hi", {"configurable": switches})).content)

    assert said(cache_no_store=True) == "one"
    assert said() == "two"
    assert said(cache_bypass=True) == "three"
    assert said() == "three"
    assert streamed(cache_bypass=True).strip() == "four"
    assert said().strip() == "four"
    assert said(cache_scope="other") == "four"
    assert model.calls == 5


def test_a_setting_changed_later_is_another_request(layered: Any):
    model = layered()
    model.invoke("hi")
    model.temperature = 0.9
    model.invoke("hi")
    assert model.calls == 2


# --- around the model


def test_the_models_own_cache_is_replaced_with_a_warning(
    cache: TieredCache, counting: Any
):
    own = InMemoryCache()
    with pytest.warns(UserWarning, match="CacheLayer takes the place") as told:
        model = with_layers(counting(cache=own), CacheLayer(cache))
    assert len(told) == 1
    assert model.cache is False
    model.invoke("hi")
    assert own._cache == {}


def test_a_hit_does_not_wait_for_the_rate_limiter(layered: Any):
    limiter = InMemoryRateLimiter(requests_per_second=1e-9, max_bucket_size=1)
    limiter.available_tokens = 1.0
    model = layered(rate_limiter=limiter)
    for _ in range(3):  # the bucket holds one call and is never filled again
        model.invoke("hi")
    gather(model.stream("hi"))
    assert model.calls == 1


def test_another_kind_of_cache_is_refused_with_a_way_out():
    with pytest.raises(ConfigurationError, match="give it a TieredCache"):
        CacheLayer(InMemoryCache())


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_without_a_key_goes_through_and_is_told_once(
    mode: str, layered: Any, caplog: pytest.LogCaptureFixture
):
    model = layered()
    with caplog.at_level(logging.WARNING, "langchain_llmops"):
        for _ in range(2):
            bound = model.bind(hook=object())
            assert (await ask(bound, mode)).text.strip() == ANSWER
    assert model.calls == 2
    (record,) = caplog.records
    assert "calls of CountingModel are not cached" in record.message
    assert "'object'" in record.message


@pytest.mark.parametrize("mode", MODES)
async def test_a_lost_backend_costs_no_call(mode: str, broken_tier: Any, counting: Any):
    model = with_layers(counting(ANSWER), CacheLayer(TieredCache([broken_tier])))
    for _ in range(2):
        assert (await ask(model, mode)).text.strip() == ANSWER
    assert model.calls == 2


def test_the_next_turn_hits_whether_this_one_did_or_not(layered: Any):
    model = layered("four", "six")

    def talk(answer: Any) -> str:
        turns: list[Any] = [HumanMessage("2 + 2")]
        turns += [answer(turns), HumanMessage("and 2 more")]
        return str(model.invoke(turns).content)

    # The first turn comes from the model, from the cache, and out of a stream.
    ways = (model.invoke, model.invoke, lambda turns: gather(model.stream(turns)))
    assert [talk(way) for way in ways] == ["six", "six", "six"]
    assert model.calls == 2
