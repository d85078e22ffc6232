"""What tracking adds to a call and to a token, and what a price costs, side by side.

The model answers at once from memory and reports usage as ChatOpenAI does, so that all
trackers have something to count. Costs per token are the slope between a short and a
long stream.
"""

from __future__ import annotations

import asyncio
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from _harness import compare, machine, publish, table
from genai_prices import Usage as GenaiUsage
from genai_prices import calc_price
from langchain_core.callbacks import BaseCallbackHandler, UsageMetadataCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_llmops.cost import CostCallbackHandler
from langchain_llmops.pricing import Usage, price

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # archived upstream, and says so on import
    from langchain_community.callbacks import OpenAICallbackHandler

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

SHORT, LONG = 5, 205
ALLOWED_CALL, ALLOWED_TOKEN, ALLOWED_PRICE = 100, 3, 2
USAGE = {
    "input_tokens": 350,
    "output_tokens": 240,
    "total_tokens": 590,
    "input_token_details": {"audio": 0, "cache_read": 0},
    "output_token_details": {"audio": 0, "reasoning": 0},
}
DETAILED = {
    **USAGE,
    "input_token_details": {"audio": 0, "cache_read": 100},
    "output_token_details": {"audio": 0, "reasoning": 200},
}
SAID = {"model_name": "gpt-4o-mini", "finish_reason": "stop"}
RAW = {"prompt_tokens": 350, "completion_tokens": 240, "total_tokens": 590}


class Instant(BaseChatModel):
    """Answers at once, with usage."""

    tokens: int = SHORT

    @property
    def _llm_type(self) -> str:
        return "instant"

    def _answer(self) -> ChatResult:
        message = AIMessage("Hello.", usage_metadata=USAGE)
        return ChatResult(
            generations=[ChatGeneration(message=message)],
            llm_output={**SAID, "token_usage": RAW},
        )

    def _generate(self, *_: Any, **__: Any) -> ChatResult:
        return self._answer()

    async def _agenerate(self, *_: Any, **__: Any) -> ChatResult:
        return self._answer()

    def _chunks(self) -> Iterator[ChatGenerationChunk]:
        for _ in range(self.tokens):
            yield ChatGenerationChunk(message=AIMessageChunk(" word"))
        yield ChatGenerationChunk(message=AIMessageChunk("", response_metadata=SAID))
        yield ChatGenerationChunk(message=AIMessageChunk("", usage_metadata=USAGE))

    def _stream(self, *_: Any, **__: Any) -> Iterator[ChatGenerationChunk]:
        yield from self._chunks()

    async def _astream(self, *_: Any, **__: Any) -> AsyncIterator[ChatGenerationChunk]:
        for chunk in self._chunks():
            yield chunk


class Bare(BaseCallbackHandler):
    """A handler that does nothing, inline: what any tracker costs at least."""

    run_inline = True


HANDLERS: dict[str, Callable[[], BaseCallbackHandler]] = {
    "a bare inline handler": Bare,
    "`CostCallbackHandler`": CostCallbackHandler,
    "core's `UsageMetadataCallbackHandler`": UsageMetadataCallbackHandler,
    "community's `OpenAICallbackHandler`": OpenAICallbackHandler,
}


def invoke(model: Instant, config: Any, times: int) -> None:
    for _ in range(times):
        model.invoke("hi", config)


def stream(model: Instant, config: Any, times: int) -> None:
    for _ in range(times):
        for _ in model.stream("hi", config):
            pass


def ainvoke(model: Instant, config: Any, times: int) -> None:
    async def run() -> None:
        for _ in range(times):
            await model.ainvoke("hi", config)

    asyncio.run(run())


def astream(model: Instant, config: Any, times: int) -> None:
    async def run() -> None:
        for _ in range(times):
            async for _ in model.astream("hi", config):
                pass

    asyncio.run(run())


def measure(
    mode: Callable[[Instant, Any, int], None], tokens: int, repeat: int
) -> dict[str, float]:
    """Return CPU microseconds of one call under each handler."""
    model = Instant(tokens=tokens)
    timings = compare(
        {
            name: partial(mode, model, {"callbacks": [make()]})
            for name, make in HANDLERS.items()
        },
        rounds=11,
        repeat=repeat,
    )
    return {name: timing.median for name, timing in timings.items()}


def tracking() -> str:
    """Measure calls and tokens; return the section."""
    calls = {mode: measure(mode, SHORT, 150) for mode in (invoke, ainvoke)}
    streams = {
        mode: (measure(mode, SHORT, 40), measure(mode, LONG, 10))
        for mode in (stream, astream)
    }
    bare = next(iter(HANDLERS))
    rows = []
    for name in HANDLERS:
        cells = []
        for timings in calls.values():
            over = timings[name] - timings[bare]
            cells.append(f"{timings[name]:.0f}" if name == bare else f"{over:+.0f}")
        for short, long in streams.values():
            slopes = {n: (long[n] - short[n]) / (LONG - SHORT) for n in HANDLERS}
            over = slopes[name] - slopes[bare]
            shown = f"{round(over, 1) + 0.0:+.1f}"  # no "-0.0"
            cells.append(f"{slopes[name]:.1f}" if name == bare else shown)
        rows.append([name, *cells])
    allowed = [f"≤ +{ALLOWED_CALL}"] * 2 + [f"≤ +{ALLOWED_TOKEN}"] * 2
    rows.append(["allowed for `CostCallbackHandler`", *allowed])
    return (
        "## Cost tracking\n\n"
        "CPU time in µs: of one call, and of one token of a stream (the slope between "
        f"streams of {SHORT} and {LONG}). The first row is whole; the others are what "
        "they add to it. A handler that is not inline goes through a thread for every "
        "event of an async call.\n\n"
        + table(("", "invoke", "ainvoke", "stream/token", "astream/token"), rows)
        + f"\n\n{machine('langchain-core', 'langchain-community')}.\n"
    )


def repeated(operation: Callable[[], object]) -> Callable[[int], None]:
    def run(times: int) -> None:
        for _ in range(times):
            operation()

    return run


def pricing() -> str:
    """Measure prices; return the section."""
    theirs = GenaiUsage(input_tokens=350, output_tokens=240, cache_read_tokens=100)
    usage = Usage.from_metadata(DETAILED)
    timings = compare(
        {
            "`price`, plain usage": repeated(lambda: price("gpt-4o-mini", USAGE)),
            "`price`, cached input and reasoning": repeated(
                lambda: price("gpt-4o-mini", DETAILED)
            ),
            "`price` of a `Usage`": repeated(lambda: price("gpt-4o-mini", usage)),
            "`price`, dated prices (`o3`)": repeated(lambda: price("o3", USAGE)),
            "genai-prices' `calc_price`": repeated(
                lambda: calc_price(theirs, "gpt-4o-mini", provider_id="openai")
            ),
        },
        rounds=11,
        repeat=2_000,
    )
    least = timings["`price`, plain usage"].median
    rows = [
        (name, f"{timing.median:.2f}", f"{timing.median / least:.1f}")
        for name, timing in timings.items()
    ]
    return (
        "## Prices\n\n"
        f"CPU time of one price in µs, after the first (allowed: {ALLOWED_PRICE}). The "
        "amounts are equal, on all of genai-prices' data (a test).\n\n"
        + table(("", "µs", "ratio"), rows)
        + f"\n\n{machine('genai-prices')}.\n"
    )


if __name__ == "__main__":
    publish("cost", tracking())
    publish("pricing", pricing())
