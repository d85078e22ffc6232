"""What callers see while the first of two providers is down, in five ways.

Run it as `python benchmarks/bench_routing_outage.py`; it writes its section of
docs/benchmarks.md, and fails if a caller of ModelRouter sees an error, or more calls
are wasted than are allowed. LiteLLM has its own environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from _harness import machine, publish, table
from _litellm import ALONE, VERSION, litellm_python

CHILD = Path(__file__).with_name("_outage_child.py")
REQUESTS, RATE, TIMEOUT_S = 1_000, 25, 1.0
DOWN_S, UP_S = 14.0, 26.0
LATENCY = (0.08, 0.3)
SEED = 1
NAMES = {
    "ours": "`ModelRouter`",
    "fallbacks": "`with_fallbacks`",
    "middleware": "`ModelFallbackMiddleware`",
    "litellm_fallback": "LiteLLM Router, B as fallback",
    "litellm_shuffle": "LiteLLM Router, A and B shuffled",
}
# What ModelRouter may waste.
ALLOWED = {
    "500s": 10,
    "429s": 10,
    "refused connections": 10,
    "hangs": int(25 * TIMEOUT_S + 5),
    "brown-out": 40,
}
BACK_WITHIN_S = 2.0
TEXT = f"""## Routing: an outage

{REQUESTS:,} requests at {RATE} a second, provider A first, B second. A is down from
second {DOWN_S:g} to {UP_S:g}: it answers with 500 or 429 (without `Retry-After`),
refuses connections, hangs until the client's timeout of {TIMEOUT_S:g} s, or answers
every second request with 500. Answers take {LATENCY[0]:g} s in the median (p99 0.16 s).

Each cell: errors that callers saw / requests to A that brought no answer / seconds from
A's return to its first answer. One run each, with the same chance. The clients are the
real ones, their own retries off, over a transport in memory. The clock is virtual:
waiting makes it jump, and work takes no time, so that a busy machine changes nothing.
All other settings are defaults. In the last row LiteLLM sends half of the requests to
A, and repeats a failed one up to twice.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one system in one kind of outage."""

    visible: int
    wasted: int
    back_s: float

    def __str__(self) -> str:
        return f"{self.visible} / {self.wasted} / {self.back_s:.1f}"


def _started(system: str, python: Path, mode: str) -> subprocess.Popen[str]:
    order = {
        "system": system,
        "mode": mode,
        "seed": SEED,
        "requests": REQUESTS,
        "rate": RATE,
        "timeout_s": TIMEOUT_S,
        "down_s": DOWN_S,
        "up_s": UP_S,
        "latency": LATENCY,
    }
    return subprocess.Popen(
        [str(python), str(CHILD), json.dumps(order)],
        env=os.environ | ALONE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _outcome(child: subprocess.Popen[str]) -> Outcome:
    said, _ = child.communicate()
    result = json.loads(said.splitlines()[-1])
    back = [at - UP_S for at, is_ok in result["of_a"] if is_ok and at >= UP_S]
    return Outcome(
        visible=sum(result["failures"].values()),
        wasted=sum(not is_ok for _, is_ok in result["of_a"]),
        back_s=min(back),
    )


def main() -> int:
    theirs = litellm_python()
    pythons = {
        system: theirs if "litellm" in system else Path(sys.executable)
        for system in NAMES
    }
    found: dict[tuple[str, str], Outcome] = {}
    for mode in ALLOWED:
        children = {
            system: _started(system, python, mode)
            for system, python in pythons.items()
            if python is not None
        }
        for system, child in children.items():
            found[system, mode] = _outcome(child)
            sys.stderr.write(f"{mode}, {system}: {found[system, mode]}\n")
    rows = [
        [title, *(found.get((system, mode), "") for mode in ALLOWED)]
        for system, title in NAMES.items()
    ]
    versions = machine("langchain-core", "langchain", "langchain-openai")
    body = [TEXT, table(["", *ALLOWED], rows), "", f"{versions}, litellm {VERSION}."]
    publish("routing-outage", "\n".join(body))
    own = {mode: found["ours", mode] for mode in ALLOWED}
    return int(
        any(
            outcome.visible
            or outcome.wasted > ALLOWED[mode]
            or outcome.back_s > BACK_WITHIN_S
            for mode, outcome in own.items()
        )
    )


if __name__ == "__main__":
    sys.exit(main())
