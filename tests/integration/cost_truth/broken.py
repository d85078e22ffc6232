"""Calls that end early, fail, or are seen by two models at once."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any

import openai
from cost_truth.bench import PROMPT, scenario
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_openai import ChatOpenAI

from langchain_llmops import Budget, BudgetExceededError, BudgetLayer, with_layers
from langchain_llmops.testing import Cut, Hang, HttpFailure, RateLimited

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cost_truth.bench import Bench

SEEN = 60


def talking(*faults: Any, words: int = 2_000) -> dict[str, Any]:
    """Return the arguments of a provider that talks for longer than anybody listens."""
    return {"answer": lambda _: " word" * words, "faults": faults}


class Wrapper(BaseChatModel):
    """A chat model that hands on what another says, as many gateways' classes do."""

    inner: Any

    @property
    def _llm_type(self) -> str:
        return "wrapper"

    def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> ChatResult:
        message = self.inner.invoke(messages)
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self, messages: Any, *args: Any, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        for chunk in self.inner.stream(messages):
            yield ChatGenerationChunk(message=chunk)


def read_some(model: Any, bench: Bench) -> None:
    stream = model.stream("Go on.", bench.config)
    for _ in range(SEEN):
        next(stream)
    stream.close()


@scenario("stream without usage", estimated=1)
def without_usage(bench: Bench) -> None:
    list(bench.chat(stream_usage=False).stream(PROMPT, bench.config))


@scenario("reader leaves", provider=talking(Hang(at_token=SEEN)), estimated=1)
def left(bench: Bench) -> None:
    read_some(bench.chat(), bench)


@scenario("reader leaves, async", provider=talking(Hang(at_token=SEEN)), estimated=1)
async def aleft(bench: Bench) -> None:
    async with aclosing(bench.chat().astream("Go on.", bench.config)) as stream:
        for _ in range(SEEN):
            await anext(stream)


@scenario(
    "streaming task cancelled", provider=talking(Hang(at_token=SEEN)), estimated=1
)
async def cancelled_stream(bench: Bench) -> None:
    seen = asyncio.Event()

    async def read() -> None:
        count = 0
        async for _ in bench.chat().astream("Go on.", bench.config):
            count += 1
            if count == 1 + SEEN:  # the first chunk holds no text
                seen.set()

    task = asyncio.create_task(read())
    await seen.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


ANSWERING = threading.Event()


def say_so(_: object) -> str:
    ANSWERING.set()
    return " word" * 100


@scenario(
    "`ainvoke` cancelled",
    provider={"answer": say_so, "faults": [Hang(at_token=SEEN)]},
    unsettled=1,
)
async def cancelled(bench: Bench) -> None:
    ANSWERING.clear()
    task = asyncio.create_task(bench.chat().ainvoke("Go on.", bench.config))
    await asyncio.to_thread(ANSWERING.wait)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@scenario("stream cut off", provider=talking(Cut(at_token=SEEN)), estimated=1)
def cut(bench: Bench) -> None:
    with suppress(openai.APIError):
        list(bench.chat().stream("Go on.", bench.config))


@scenario("answer cut off", provider=talking(Cut(at_token=SEEN)), unsettled=1)
def answer_cut(bench: Bench) -> None:
    with suppress(openai.APIError):
        bench.chat().invoke("Go on.", bench.config)


@scenario(
    "stream cut off, then a fallback",
    provider=talking(Cut(at_token=SEEN, nth=[1]), words=80),
    estimated=1,
)
def fallback(bench: Bench) -> None:
    model = bench.chat(streaming=True).with_fallbacks([bench.chat()])
    model.invoke("Go on.", bench.config)


@scenario("429", provider={"faults": [RateLimited()]})
def refused(bench: Bench) -> None:
    with suppress(openai.RateLimitError):
        bench.chat().invoke(PROMPT, bench.config)


@scenario("nobody listens")
def unreachable(bench: Bench) -> None:
    model = ChatOpenAI(
        model="gpt-4o", base_url="http://127.0.0.1:9/v1", api_key="-", max_retries=0
    )
    with suppress(openai.APIConnectionError):
        model.invoke(PROMPT, bench.config)


@scenario("refused by a budget")
def over_budget(bench: Bench) -> None:
    model = with_layers(bench.chat(), BudgetLayer(Budget(limit_calls=1, scope="all")))
    model.invoke(PROMPT, bench.config)
    with suppress(BudgetExceededError):
        model.invoke(PROMPT, bench.config)


@scenario(
    "one of two prompts fails",
    provider={"faults": [HttpFailure(nth=[2])]},
    unsettled=1,
)
def failed_sibling(bench: Bench) -> None:
    prompts = [[HumanMessage(PROMPT)], [HumanMessage("Hi")]]
    with suppress(openai.APIError):
        bench.chat().generate(prompts, **bench.config)


@scenario("model that wraps a model")
def wrapped(bench: Bench) -> None:
    model = Wrapper(inner=bench.chat(callbacks=[bench.watcher]))
    model.invoke(PROMPT, bench.config)
    list(model.stream(PROMPT, bench.config))


@scenario("wrapped model is cut off", provider=talking(Cut(at_token=SEEN)), estimated=1)
def wrapped_cut(bench: Bench) -> None:
    model = Wrapper(inner=bench.chat(callbacks=[bench.watcher]))
    with suppress(openai.APIError):
        list(model.stream("Go on.", bench.config))


@scenario("wrapped model is left", provider=talking(Hang(at_token=SEEN)), estimated=1)
def wrapped_left(bench: Bench) -> None:
    read_some(Wrapper(inner=bench.chat(callbacks=[bench.watcher])), bench)
