"""The long form of tests/integration/test_router_soak.py: 10,000 calls.

Run it as `python benchmarks/routing_soak.py [CALLS]`; it takes a few minutes, writes
its section of docs/benchmarks.md and exits with 1 if the test fails.
"""

from __future__ import annotations

import os
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from _harness import machine, publish, table

SUITE = Path(__file__).parent.parent / "tests" / "integration" / "test_router_soak.py"
TEXT = """## Routing: a soak

{calls:,} calls, `invoke`, `ainvoke`, `stream` and `astream` at random, 16 at once,
through routers of each `mid_stream`, with and without a limit of time, over real
`ChatOpenAI`s.
{struck:,} of the {requests:,} requests to the local provider were struck by a fault:
{faults}. Every call ended with an answer or one classified error. No task, no thread
and no open run was left.
"""
BILL = """The invoice beside what `CostCallbackHandler` says. A call whose usage arrived
is booked as billed, to the last digit: the first row is compared call by call. A call
that broke off is estimated from what was seen of it, or, where nobody can tell whether
it is billed, counted as `unsettled` without an amount: {unsettled:,} calls here. These
make the difference of {gap:.1%}: an attempt that was cancelled for its time is booked
with its input, whether the provider had begun on it or not.
"""


class Said:
    """Keeps what the test has recorded."""

    def __init__(self) -> None:
        self.of: dict[str, Any] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what one test recorded (a hook of pytest)."""
        if report.when == "call":
            self.of = dict(report.user_properties)


def _counts(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(f"{number:,} {name}" for name, number in ordered)


def _usd(amount: Decimal) -> str:
    return f"{amount:.6f}"


def _section(said: dict[str, Any], calls: int, took_s: float) -> str:
    faults = dict(said["faults"])
    requests = sum(faults.values())
    faults.pop(None, None)  # those without a fault
    figures = said["figures"]
    invoice, reported, estimated, rest = (
        (figures[each][0], Decimal(figures[each][1]))
        for each in ("invoice", "reported", "estimated", "rest")
    )
    billed = invoice[1]
    booked = reported[1] + estimated[1]
    rows = [
        ["usage arrived", f"{reported[0]:,}", _usd(reported[1]), _usd(reported[1])],
        ["the rest", f"{rest[0]:,}", _usd(rest[1]), _usd(estimated[1])],
        ["all", f"{invoice[0]:,}", _usd(billed), _usd(booked)],
    ]
    ends = sorted(said["ends"].items(), key=lambda item: -item[1])
    lines = [
        TEXT.format(
            calls=calls,
            struck=sum(faults.values()),
            requests=requests,
            faults=_counts(faults),
        ),
        table(["how a call ended", "calls"], ends),
        "",
        BILL.format(unsettled=figures["unsettled"], gap=float(1 - booked / billed)),
        table(["", "billed calls", "invoice, USD", "report, USD"], rows),
        "",
        f"It took {took_s:.0f} s. {machine('langchain-core', 'langchain-openai')}.",
    ]
    return "\n".join(lines)


def main() -> int:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    os.environ["LLMOPS_SOAK_CALLS"] = str(calls)
    said, started = Said(), time.monotonic()
    code = pytest.main([str(SUITE), "-q", "-n0"], plugins=[said])
    if code == 0:
        took_s = time.monotonic() - started
        publish("routing-soak", _section(said.of, calls, took_s))
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
