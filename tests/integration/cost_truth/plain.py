"""Calls that end well, in every way of making them: the bill must be met exactly."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, TypedDict

from cost_truth.bench import PROMPT, scenario
from langchain.agents import create_agent
from langchain_core.caches import InMemoryCache
from langchain_core.messages import HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from langchain_openai import OpenAIEmbeddings
from langgraph.graph import END, START, StateGraph

from langchain_llmops import (
    CacheLayer,
    CostCallbackHandler,
    TieredCache,
    TrackedEmbeddings,
    with_layers,
)
from langchain_llmops.testing import ProviderSettings, RateLimited, ServerError

if TYPE_CHECKING:
    from cost_truth.bench import Bench

CACHING = {"settings": ProviderSettings(prompt_caching=True)}
REASONING = {"settings": ProviderSettings(reasoning_tokens=64)}
LONG = "The grass is green. " * 400 + PROMPT


class Colour(TypedDict):
    """A colour and what has it."""

    colour: str
    thing: str


@tool
def weather(city: str) -> str:
    """Say what the weather is in a city."""
    return f"It rains in {city}."


@scenario("invoke")
def invoked(bench: Bench) -> None:
    bench.chat().invoke(PROMPT, bench.config)


@scenario("ainvoke")
async def ainvoked(bench: Bench) -> None:
    await bench.chat().ainvoke(PROMPT, bench.config)


@scenario("stream")
def streamed(bench: Bench) -> None:
    list(bench.chat().stream(PROMPT, bench.config))


@scenario("astream")
async def astreamed(bench: Bench) -> None:
    assert [chunk async for chunk in bench.chat().astream(PROMPT, bench.config)]


@scenario("v3 events")
def v3_events(bench: Bench) -> None:
    list(bench.chat().stream_events(PROMPT, bench.config, version="v3"))


@scenario("v2 events")
async def v2_events(bench: Bench) -> None:
    events = bench.chat().astream_events(PROMPT, bench.config, version="v2")
    assert [event async for event in events]


@scenario("batch of three")
def batched(bench: Bench) -> None:
    bench.chat().batch([PROMPT, "Hi", "Ho"], bench.config)


@scenario("several prompts in one generate")
def generated(bench: Bench) -> None:
    prompts = [[HumanMessage(PROMPT)], [HumanMessage("Hi")]]
    bench.chat().generate(prompts, **bench.config)


@scenario("n=2")
def choices(bench: Bench) -> None:
    bench.chat().bind(n=2).invoke(PROMPT, bench.config)


@scenario("n=2, streamed")
def streamed_choices(bench: Bench) -> None:
    list(bench.chat().bind(n=2).stream(PROMPT, bench.config))


@scenario("structured output")
def structured(bench: Bench) -> None:
    bench.chat().with_structured_output(Colour).invoke(PROMPT, bench.config)


@scenario("tool loop of an agent")
def agent(bench: Bench) -> None:
    question = {"messages": [("user", "What is the weather in Paris?")]}
    create_agent(bench.chat(), [weather]).invoke(question, bench.config)


@scenario("LangGraph, streaming messages")
def graph(bench: Bench) -> None:
    class State(TypedDict):
        text: str

    def answer(state: State) -> Any:
        return {"text": bench.chat().invoke(state["text"]).text}

    steps = StateGraph(State).add_node("answer", answer)
    steps.add_edge(START, "answer").add_edge("answer", END)
    flow = steps.compile().stream(
        {"text": PROMPT}, bench.config, stream_mode="messages"
    )
    assert len(list(flow)) > 1


@scenario("cached input", provider=CACHING)
def cached_input(bench: Bench) -> None:
    for _ in range(2):
        bench.chat().invoke(LONG, bench.config)
    assert bench.provider.invoice[1].cached_input_tokens > 1_000


@scenario("cached input, streamed", provider=CACHING)
def streamed_cached_input(bench: Bench) -> None:
    for _ in range(2):
        list(bench.chat().stream(LONG, bench.config))
    assert bench.provider.invoice[1].cached_input_tokens > 1_000


@scenario("reasoning", provider=REASONING)
def reasoning(bench: Bench) -> None:
    bench.chat(model="o3").invoke(PROMPT, bench.config)
    list(bench.chat(model="gpt-5-mini").stream(PROMPT, bench.config))


@scenario("flex tier")
def flex(bench: Bench) -> None:
    bench.chat(model="gpt-5-mini", service_tier="flex").invoke(PROMPT, bench.config)


@scenario("priority tier, streamed")
def priority(bench: Bench) -> None:
    model = bench.chat(model="gpt-5-mini", service_tier="priority")
    list(model.stream(PROMPT, bench.config))


@scenario("with_retry after a 429", provider={"faults": [RateLimited(nth=[1])]})
def retried(bench: Bench) -> None:
    model = bench.chat().with_retry(wait_exponential_jitter=False)
    model.invoke(PROMPT, bench.config)


@scenario("retry by the client", provider={"faults": [ServerError(nth=[1])]})
def retried_by_client(bench: Bench) -> None:
    bench.chat(max_retries=1).invoke(PROMPT, bench.config)


@scenario("hit in LangChain's cache", hits=2)
def core_hit(bench: Bench) -> None:
    model = bench.chat(cache=InMemoryCache())
    for _ in range(3):
        model.invoke(PROMPT, bench.config)


@scenario("same prompt twice in one generate, cached", hits=1)
def core_hit_in_generate(bench: Bench) -> None:
    model = bench.chat(cache=InMemoryCache())
    model.generate([[HumanMessage(PROMPT)]] * 2, **bench.config)


@scenario("hit in `CacheLayer`", hits=2)
def layer_hit(bench: Bench) -> None:
    model = with_layers(bench.chat(), CacheLayer(TieredCache()))
    model.invoke(PROMPT, bench.config)
    list(model.stream(PROMPT, bench.config))
    model.invoke(PROMPT, bench.config)


@scenario("handler bound and passed")
def attached_twice(bench: Bench) -> None:
    model = bench.chat(callbacks=[bench.watcher])
    (RunnableLambda(str) | model).invoke(PROMPT, bench.config)


@scenario("chains in chains")
def nested(bench: Bench) -> None:
    prompt = ChatPromptTemplate.from_messages([("human", "{text}")])
    inner = prompt | bench.chat() | StrOutputParser()
    again = RunnableLambda(lambda answers: inner.invoke({"text": answers["a"]}))
    (RunnableParallel(a=inner, b=inner) | again).invoke({"text": PROMPT}, bench.config)


@scenario("50 threads")
def threads(bench: Bench) -> None:
    model = bench.chat(callbacks=[bench.watcher])
    asking = [threading.Thread(target=model.invoke, args=(PROMPT,)) for _ in range(50)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()


@scenario("50 tasks")
async def tasks(bench: Bench) -> None:
    model = bench.chat()
    calls = (model.ainvoke(PROMPT, bench.config) for _ in range(50))
    await asyncio.gather(*calls)


@scenario("embeddings")
def embedded(bench: Bench) -> None:
    embeddings: Any = OpenAIEmbeddings(
        model="text-embedding-3-small",
        base_url=bench.provider.base_url,
        api_key="-",
        check_embedding_ctx_length=False,
    )
    if isinstance(bench.watcher, CostCallbackHandler):  # others have no way to see
        embeddings = TrackedEmbeddings(embeddings, bench.watcher)
    embeddings.embed_documents(["The sky is blue.", "The grass is green."])
