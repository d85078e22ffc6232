"""What `ConcurrencyLayer` costs per call, and how long a small tenant waits.

Run it as `python benchmarks/bench_concurrency.py`; it writes its section of
docs/benchmarks.md and fails if a call costs more than 15 µs over a layer
that does nothing.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing, closing
from typing import TYPE_CHECKING

from _harness import compare, machine, publish, table
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage

from langchain_llmops import ConcurrencyLayer, ModelLayer, with_layers
from langchain_llmops.concurrency.limits import Limits
from langchain_llmops.concurrency.queue_order import Ticket

# ruff: noqa: D102  # the methods are documented on ModelLayer

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.language_models import BaseChatModel

LIMIT_US = 15.0
CHUNKS = 20
SLOTS, HOLD_S, FLOOD, EVERY_S = 8, 1.0, 1_000, 5.0
PROMPT = [HumanMessage("May I go?")]
TEXT = """## Concurrency: what a turn costs, and who waits

CPU µs per call of a fake model in memory that answers at once (a stream has {chunks}
chunks), where a slot is free, and in brackets what that is more than the same model
with a layer that passes everything through.
"""
FLOOD_TEXT = """One tenant sends {flood:,} calls at once, another one call every
{every:.0f} s; {slots} slots, {hold:.0f} s per call. Seconds of waiting, by the policy
alone on a simulated clock:
"""


class Fake(FakeListChatModel):
    """A fake whose async call takes no thread, which would drown what is measured."""

    async def _agenerate(self, messages, **kwargs):
        return self._generate(messages, **kwargs)


class Through(ModelLayer):
    """Passes everything through, by methods of its own."""

    def generate(self, call, handler):
        return handler(call)

    async def agenerate(self, call, handler):
        return await handler(call)

    def stream(self, call, handler):
        with closing(handler(call)) as chunks:
            yield from chunks

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


MODES: dict[str, Callable[[BaseChatModel, int], None]] = {
    "invoke": _invoke,
    "ainvoke": _ainvoke,
    "stream": _stream,
    "astream": _astream,
}


def _costs() -> tuple[str, float]:
    bare = Fake(responses=["x" * CHUNKS])
    models = {
        "a layer": with_layers(bare, Through()),
        "max_concurrent": with_layers(bare, ConcurrencyLayer(max_concurrent=8)),
        "max_concurrent, rpm": with_layers(
            bare, ConcurrencyLayer(max_concurrent=8, rpm=10_000_000)
        ),
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
        base = timings["a layer"].median
        more = {name: timing.median - base for name, timing in timings.items()}
        worst = max(worst, *more.values())
        cells = [f"{timings[n].median:.0f} ({more[n]:+.1f})" for n in models]
        rows.append([mode, f"{base:.0f}", *cells[1:]])
    return table(["mode", *models], rows), worst


def _waits(*, fair: bool) -> dict[str, list[float]]:
    """Run the policy on a simulated clock; without fairness all are one tenant."""
    limits = Limits(max_concurrent=SLOTS, rpm=None, tpm=None)
    owners: dict[Ticket, str] = {}
    waits: dict[str, list[float]] = {"flood": [], "small": []}
    ends: list[tuple[float, Ticket]] = []

    def went(ticket: Ticket, now_s: float) -> None:
        waits[owners[ticket]].append(now_s - ticket.asked_at_s)
        ends.append((now_s + HOLD_S, ticket))

    def arrive(owner: str, now_s: float) -> None:
        ticket = Ticket(tenant=owner if fair else "")
        owners[ticket] = owner
        if limits.ask(ticket, now_s):
            went(ticket, now_s)
        else:
            limits.join(ticket)

    for _ in range(FLOOD):
        arrive("flood", 0.0)
    next_small = 0.5
    while ends:
        now_s = min(ends[0][0], next_small)
        if now_s == next_small:
            if limits.waiting:
                arrive("small", now_s)
            next_small = now_s + EVERY_S
            continue
        limits.end(ends.pop(0)[1], now_s)
        while (ticket := limits.next_to_go(now_s)) is not None:
            went(ticket, now_s)
    return waits


def main() -> int:
    costs, worst = _costs()
    rows = []
    for name, fair in (("first come, first served", False), ("fair", True)):
        waits = _waits(fair=fair)
        small, flood = waits["small"], waits["flood"]
        rows.append(
            [
                name,
                f"{sum(small) / len(small):.1f}",
                f"{max(small):.1f}",
                f"{sum(flood) / len(flood):.1f}",
            ]
        )
    header = ["queue", "small tenant, mean", "small tenant, worst", "flood, mean"]
    flood = FLOOD_TEXT.format(flood=FLOOD, every=EVERY_S, slots=SLOTS, hold=HOLD_S)
    publish(
        "concurrency",
        "\n".join(
            [
                TEXT.format(chunks=CHUNKS),
                costs,
                "",
                flood,
                table(header, rows),
                "",
                machine("langchain-core"),
            ]
        ),
    )
    return int(worst > LIMIT_US)


if __name__ == "__main__":
    sys.exit(main())
