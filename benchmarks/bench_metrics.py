"""What metrics add to a call, a token and memory, beside LangChain's own counters.

The model is that of bench_cost.py: it answers at once from memory and reports usage.
Costs per token are the slope between a short and a long stream. Metrics go to
OpenTelemetry's SDK, with a reader in memory.
"""

from __future__ import annotations

import gc
import tracemalloc
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from _harness import compare, machine, publish, table
from bench_cost import LONG, SHORT, Bare, Instant, ainvoke, astream, invoke, stream
from bench_cost import OpenAICallbackHandler as CommunityHandler
from langchain_core.callbacks import UsageMetadataCallbackHandler
from opentelemetry.metrics import NoOpMeter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import CollectorRegistry, Counter, Histogram

from langchain_llmops import CostCallbackHandler, MetricsCallbackHandler
from langchain_llmops.cost.charge import Charge
from langchain_llmops.observability.conventions import CATALOG
from langchain_llmops.pricing import Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.callbacks import BaseCallbackHandler

ALLOWED_CALL, ALLOWED_TOKEN, ALLOWED_MB = 100, 3, 10
USERS = 10_000
PACKAGES = ("langchain-core", "opentelemetry-sdk", "prometheus-client")
CONFIG = {"metadata": {"feature": "faq", "tenant": "acme"}}


def with_sdk(
    reader: InMemoryMetricReader | None = None, **options: Any
) -> MetricsCallbackHandler:
    """Return a handler whose metrics are kept in memory."""
    readers = [reader or InMemoryMetricReader()]
    provider = MeterProvider(readers, shutdown_on_exit=False)
    return MetricsCallbackHandler(provider.get_meter("bench"), **options)


HANDLERS: dict[str, Callable[[], BaseCallbackHandler]] = {
    "a bare inline handler": Bare,
    "`MetricsCallbackHandler`": with_sdk,
    "the same without an SDK": lambda: MetricsCallbackHandler(NoOpMeter("bench")),
    "`CostCallbackHandler`": CostCallbackHandler,
    "core's `UsageMetadataCallbackHandler`": UsageMetadataCallbackHandler,
    "community's `OpenAICallbackHandler`": CommunityHandler,
}


def measure(
    mode: Callable[[Instant, Any, int], None], tokens: int, repeat: int
) -> dict[str, float]:
    """Return CPU microseconds of one call under each handler."""
    model = Instant(tokens=tokens, model_name="gpt-4o-mini")
    variants = {
        name: partial(mode, model, CONFIG | {"callbacks": [make()]})
        for name, make in HANDLERS.items()
    }
    timings = compare(variants, rounds=11, repeat=repeat)
    return {name: timing.median for name, timing in timings.items()}


def calls_and_tokens() -> list[list[str]]:
    """Return the rows of the table of times."""
    calls = [measure(mode, SHORT, 100) for mode in (invoke, ainvoke)]
    streams = [
        (measure(mode, SHORT, 40), measure(mode, LONG, 10))
        for mode in (stream, astream)
    ]
    bare = next(iter(HANDLERS))
    rows = []
    for name in HANDLERS:
        cells = []
        for timings in calls:
            over = timings[name] - timings[bare]
            cells.append(f"{timings[name]:.0f}" if name == bare else f"{over:+.0f}")
        for short, long in streams:
            slopes = {n: (long[n] - short[n]) / (LONG - SHORT) for n in HANDLERS}
            over = round(slopes[name] - slopes[bare], 1) + 0.0  # no "-0.0"
            cells.append(f"{slopes[name]:.1f}" if name == bare else f"{over:+.1f}")
        rows.append([name, *cells])
    allowed = [f"≤ +{ALLOWED_CALL}"] * 2 + [f"≤ +{ALLOWED_TOKEN}"] * 2
    return [*rows, ["allowed for ours", *allowed]]


def put_off() -> tuple[float, float]:
    """Return CPU microseconds that a chunk and a counter's series cost a collection."""
    handler = with_sdk()
    arrivals = [number / 100 for number in range(1_001)]
    tenants = [{"llmops.tenant": f"tenant-{number}"} for number in range(200)]

    def chunks(times: int) -> None:
        for _ in range(times):
            handler._gaps.add(arrivals, tenants[0])  # noqa: SLF001
            handler.catch_up()

    def series(times: int) -> None:
        for _ in range(times):
            for labels in tenants:
                handler._sums.add("llmops.client.cost", 10**18, labels)  # noqa: SLF001
            handler.catch_up()

    timings = compare({"chunks": chunks, "series": series}, rounds=5, repeat=5)
    return timings["chunks"].median / 1_000, timings["series"].median / len(tenants)


def charge_of(user: int) -> Charge:
    """Return what is booked for one call."""
    return Charge(
        run_id=uuid4(),
        model="gpt-4o-mini",
        requested="gpt-4o-mini",
        basis="reported",
        feature="faq",
        user=f"user-{user}",
        usage=Usage(350, 240, cache_read=100),
        cost=10**18,
        duration_s=1.0,
        first_token_s=0.2,
    )


def growth(make: Callable[[], Callable[[int], object]]) -> float:
    """Return megabytes that 10,000 users take, one call each."""
    gc.collect()
    tracemalloc.start()
    record = make()
    before = tracemalloc.get_traced_memory()[0]
    for user in range(USERS):
        record(user)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return grown / 1e6


def bounded(max_series: int) -> Callable[[int], object]:
    handler = with_sdk(attributes=("feature", "user"), max_series=max_series)

    def record(user: int) -> None:
        handler._book(charge_of(user))  # noqa: SLF001
        if not user % 1_000:
            handler.catch_up()

    return record


def prometheus() -> Callable[[int], object]:
    registry = CollectorRegistry()
    tokens = Counter("tokens", "Tokens.", ["user"], registry=registry)
    times = Histogram("seconds", "Seconds.", ["user"], registry=registry)

    def record(user: int) -> None:
        tokens.labels(f"user-{user}").inc(590)
        times.labels(f"user-{user}").observe(1)

    return record


def memory() -> list[list[str]]:
    """Return the rows of the table of memory."""
    cases = {
        "`MetricsCallbackHandler` (200 series)": lambda: bounded(200),
        "`MetricsCallbackHandler(max_series=50)`": lambda: bounded(50),
        "the same, unbounded": lambda: bounded(10**6),
        "`prometheus_client`, a counter and a histogram": prometheus,
    }
    rows = [[name, f"{growth(make):.1f}"] for name, make in cases.items()]
    return [*rows, ["allowed for ours", f"≤ {ALLOWED_MB}"]]


def section() -> str:
    """Measure everything; return the section."""
    a_chunk, a_series = put_off()
    return (
        "## Metrics\n\n"
        "CPU time in µs: of one call, and of one token of a stream (the slope between "
        f"streams of {SHORT} and {LONG}). The first row is whole; the others are what "
        f"they add to it.\n\n"
        + table(
            ("", "invoke", "ainvoke", "stream/token", "astream/token"),
            calls_and_tokens(),
        )
        + "\n\nCounters and the times of chunks are put off. They cost the thread that "
        f"collects {a_chunk:.1f} µs a chunk, and {a_series:.1f} µs a series of "
        "each counter, however many calls it counted.\n\n"
        f"Megabytes that {USERS:,} users take, one call each, with the user as a "
        f"label ({len(CATALOG)} instruments, but two in the last row). Unbounded, the "
        "SDK itself stops at 2,000 series an instrument.\n\n"
        + table(("", "MB"), memory())
        + f"\n\n{machine(*PACKAGES)}.\n"
    )


if __name__ == "__main__":
    publish("metrics", section())
