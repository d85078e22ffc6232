"""What layers cost per call: nothing asked for, one and three that pass all through.

Run it as `python benchmarks/bench_layers.py`; it writes its section of
docs/benchmarks.md and fails if `with_layers` without layers costs more than 10 µs.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

from _harness import compare, machine, publish, table
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage

from langchain_llmops import ModelLayer, with_layers

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.language_models import BaseChatModel

# ruff: noqa: D102  # the methods are documented on ModelLayer

LIMIT_US = 10.0
CHUNKS = 20
PROMPT = [HumanMessage("Which layer is this?")]
TEXT = """## Layers: what they cost

CPU µs per call of a fake model in memory that answers at once (a stream has {chunks}
chunks), and in brackets what that is more than the bare model. The layers override all
four methods and pass everything through; a layer that leaves a method out costs nothing
there.
"""


class Through(ModelLayer):
    """Passes everything through, by methods of its own."""

    def generate(self, call, handler):
        return handler(call)

    async def agenerate(self, call, handler):
        return await handler(call)

    def stream(self, call, handler):
        yield from handler(call)

    async def astream(self, call, handler):
        async with aclosing(handler(call)) as chunks:
            async for chunk in chunks:
                yield chunk


def _invoke(model: BaseChatModel, times: int) -> None:
    for _ in range(times):
        model.invoke(PROMPT)


def _stream(model: BaseChatModel, times: int) -> None:
    for _ in range(times):
        for _ in model.stream(PROMPT):
            pass


def _ainvoke(model: BaseChatModel, times: int) -> None:
    async def run() -> None:
        for _ in range(times):
            await model.ainvoke(PROMPT)

    asyncio.run(run())


def _astream(model: BaseChatModel, times: int) -> None:
    async def run() -> None:
        for _ in range(times):
            async with aclosing(model.astream(PROMPT)) as chunks:
                async for _ in chunks:
                    pass

    asyncio.run(run())


class Fake(FakeListChatModel):
    """A fake whose async call takes no thread, which would drown what is measured."""

    async def _agenerate(self, messages, **kwargs):
        return self._generate(messages, **kwargs)


MODES: dict[str, Callable[[BaseChatModel, int], None]] = {
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "stream": _stream,
    "astream": _astream,
}


def main() -> int:
    bare = Fake(responses=["x" * CHUNKS])
    models = {
        "bare": bare,
        "no layers": with_layers(bare),
        "1 layer": with_layers(bare, Through()),
        "3 layers": with_layers(bare, Through(), Through(), Through()),
    }
    rows, worst = [], 0.0
    for mode, run in MODES.items():
        timings = compare(
            {
                name: lambda n, run=run, model=model: run(model, n)
                for name, model in models.items()
            },
            rounds=15,
            repeat=200,
        )
        base = timings["bare"].median
        more = {name: timing.median - base for name, timing in timings.items()}
        worst = max(worst, more["no layers"])
        each = (more["3 layers"] - more["1 layer"]) / 2
        cells = [f"{timings[n].median:.0f} ({more[n]:+.1f})" for n in models]
        rows.append([mode, f"{base:.0f}", *cells[1:], f"{each:.1f}"])
    header = ["mode", *models, "each further layer"]
    publish(
        "layers",
        "\n".join(
            [
                TEXT.format(chunks=CHUNKS),
                table(header, rows),
                "",
                f"{machine('langchain-core')}.",
            ]
        ),
    )
    return int(worst > LIMIT_US)


if __name__ == "__main__":
    sys.exit(main())
