"""How long calls take that come one by one to an engine which takes batches.

Run it as `python benchmarks/bench_batching.py`; it writes its section of
docs/benchmarks.md and fails if the 99th percentile of `DynamicBatcher` at 200 calls per
second is over 65 ms. Waiting is what is measured, so these are wall times.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import sys
import time
from typing import TYPE_CHECKING

from _harness import machine, publish, table

from langchain_llmops import DynamicBatcher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LIMIT_MS, LIMIT_RATE = 65.0, 200
# 21 ms a call is 48 calls per second: the line only grows.
SATURATED = {("one call each", 200), ("one call each", 450)}
RATES = (20, 200, 450)
SECONDS, ROUNDS, MAX_BATCH = 3.0, 3, 32
TEXT = """## Batching: single calls to an engine that takes lists

One engine, one call at a time, {engine}. Calls come at random (Poisson), {seconds:g} s
of them, the same arrivals for all. Milliseconds from a call to its result, median and
99th percentile; {rounds} rounds in turns, of which the median is shown. "Fixed" is the
usual batcher: it waits until 5 items are there or 2 s are over. At 20 calls per second
there are some 60 calls in a round, so that the 99th percentile is nearly the worst.
"""


class Engine:
    """Takes 20 ms and 1 ms per item, and one list at a time."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def __call__(self, items: list[int]) -> list[int]:
        """Return the items, having taken the time that a list of them takes."""
        async with self._turn:
            await asyncio.sleep(0.020 + 0.001 * len(items))
        return items


class FixedBatcher:
    """Waits for a full batch or for the time to be over, whichever is first."""

    def __init__(self, engine: Engine, size: int, timeout_s: float) -> None:
        self._engine, self._size, self._timeout_s = engine, size, timeout_s
        self._waiting: list[tuple[int, asyncio.Future[int]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._flights: set[asyncio.Task[None]] = set()

    async def ainvoke(self, item: int) -> int:
        """Return the engine's result of one item."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self._waiting.append((item, future))
        if len(self._waiting) >= self._size:
            self._go()
        elif self._timer is None:
            self._timer = loop.call_later(self._timeout_s, self._go)
        return await future

    def _go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch, self._waiting = self._waiting, []
        flight = asyncio.create_task(self._fly(batch))
        self._flights.add(flight)
        flight.add_done_callback(self._flights.discard)

    async def _fly(self, batch: list[tuple[int, asyncio.Future[int]]]) -> None:
        results = await self._engine([item for item, _ in batch])
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)


def _single(engine: Engine) -> Callable[[int], Awaitable[int]]:
    async def call(item: int) -> int:
        return (await engine([item]))[0]

    return call


VARIANTS: dict[str, Callable[[Engine], Callable[[int], Awaitable[int]]]] = {
    "one call each": _single,
    "Fixed (5 items, 2 s)": lambda engine: FixedBatcher(engine, 5, 2.0).ainvoke,
    "Fixed (32 items, 20 ms)": lambda engine: FixedBatcher(engine, 32, 0.02).ainvoke,
    "`DynamicBatcher`": lambda engine: (
        DynamicBatcher(engine, max_batch=MAX_BATCH).ainvoke
    ),
    "`DynamicBatcher`, `max_wait_ms=10`": lambda engine: (
        DynamicBatcher(engine, max_batch=MAX_BATCH, max_wait_ms=10).ainvoke
    ),
}


async def _run(name: str, rate: float, seed: int) -> tuple[float, float]:
    """Return median and 99th percentile in milliseconds."""
    rng = random.Random(seed)
    call = VARIANTS[name](Engine())

    async def timed(item: int, due: float) -> float:
        await call(item)
        return time.perf_counter() - due  # a late start is waiting, too

    tasks, due = [], time.perf_counter()
    end = due + SECONDS
    while (due := due + rng.expovariate(rate)) < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        tasks.append(asyncio.create_task(timed(len(tasks), due)))
    took = sorted(await asyncio.gather(*tasks))
    cuts = statistics.quantiles(took, n=100, method="inclusive")
    return statistics.median(took) * 1000, cuts[98] * 1000


def main() -> int:
    """Measure, publish, and return 1 if the limit is passed."""
    found: dict[tuple[str, int], list[tuple[float, float]]] = {}
    for seed in range(ROUNDS):
        for rate in RATES:
            for name in VARIANTS:
                if (name, rate) in SATURATED:
                    continue
                figures = asyncio.run(_run(name, rate, seed))
                found.setdefault((name, rate), []).append(figures)
    rows, slowest = [], 0.0
    for name in VARIANTS:
        row = [name]
        for rate in RATES:
            if (name, rate) in SATURATED:
                row.append("saturated")
                continue
            middle = statistics.median(each[0] for each in found[name, rate])
            p99 = statistics.median(each[1] for each in found[name, rate])
            row.append(f"{middle:,.0f} / {p99:,.0f}")
            if name == "`DynamicBatcher`" and rate == LIMIT_RATE:
                slowest = p99
        rows.append(row)
    header = ("median / p99, ms", *(f"{rate} calls/s" for rate in RATES))
    text = TEXT.format(engine="20 ms and 1 ms per item", seconds=SECONDS, rounds=ROUNDS)
    verdict = (
        f"Limit: {LIMIT_MS:g} ms at the 99th percentile of `DynamicBatcher` with "
        f"{LIMIT_RATE} calls/s; found {slowest:.0f} ms. These are wall times of a "
        f"shared machine: {os.cpu_count()} cores had {os.getloadavg()[1]:.0f} "
        "processes to run."
    )
    body = f"{text}\n{table(header, rows)}\n\n{verdict}\n\n{machine('langchain-core')}"
    publish("batching", body)
    return int(slowest > LIMIT_MS)


if __name__ == "__main__":
    sys.exit(main())
