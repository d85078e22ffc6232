"""What choosing costs per call: a router over one model beside what users pick today.

Run it as `python benchmarks/bench_routing.py`; it writes its section of
docs/benchmarks.md and fails if a router adds more than 100 µs to a synchronous call,
140 µs to one on an event loop, or 5 µs to a chunk. LiteLLM has its own environment.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _harness import compare, machine, publish, table
from _litellm import ALONE, VERSION, litellm_python
from langchain.agents import create_agent
from langchain.agents.middleware import ModelFallbackMiddleware
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import HumanMessage

from langchain_llmops import ModelRouter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CHILD = Path(__file__).with_name("_litellm_child.py")
PROMPT = [HumanMessage("Which model is this?")]
AT_ONCE, SHORT, LONG = 100, 5, 205
ROUNDS, REPEAT = 11, 200
LIMITS = {"invoke": 100.0, "ainvoke": 140.0, "ainvoke 100": 140.0, "chunk": 5.0}
SYSTEMS = ["ModelRouter", "with_fallbacks", "ModelFallbackMiddleware", "LiteLLM Router"]
NAMES = {
    "invoke": "`invoke`",
    "ainvoke": "`ainvoke`",
    "invoke 100": "`invoke`, 100 threads",
    "ainvoke 100": "`ainvoke`, 100 at once",
    "chunk": "a chunk of `stream`",
    "achunk": "a chunk of `astream`",
}
TEXT = f"""## Routing: what choosing costs

CPU µs that each adds to one call of the model inside, which is a fake that answers at
once, and to each chunk of a stream (by the slope from {SHORT} to {LONG} chunks). No
handler listens. For the middleware it is what it adds to an agent of `create_agent`,
for LiteLLM what its Router adds to its own `completion` with a `mock_response`. The
figures are those of the quickest of {ROUNDS} rounds, and Python's garbage collector
waits. In brackets: with the collector at work.
"""


class Fake(FakeListChatModel):
    """A fake whose async call takes no thread, which would drown what is measured."""

    async def _agenerate(self, messages, *_, **kwargs):
        await asyncio.sleep(0)  # as a client does, so that calls are under way at once
        return self._generate(messages, **kwargs)


def _invoke(model: Any, times: int) -> None:
    for _ in range(times):
        model.invoke(PROMPT)


def _threads(pool: ThreadPoolExecutor, model: Any, times: int) -> None:
    list(pool.map(lambda _: model.invoke(PROMPT), range(times)))


def _ainvoke(model: Any, times: int, at_once: int = 1) -> None:
    async def run() -> None:
        for _ in range(times // at_once):
            await asyncio.gather(*(model.ainvoke(PROMPT) for _ in range(at_once)))

    asyncio.run(run())


def _stream(model: Any, times: int) -> None:
    for _ in range(times):
        for _ in model.stream(PROMPT):
            pass


def _astream(model: Any, times: int) -> None:
    async def run() -> None:
        for _ in range(times):
            async with aclosing(model.astream(PROMPT)) as chunks:
                async for _ in chunks:
                    pass

    asyncio.run(run())


def _models(chunks: int) -> dict[str, Any]:
    bare = Fake(responses=["x" * chunks])
    return {
        "bare": bare,
        "ModelRouter": ModelRouter([bare]),
        "with_fallbacks": bare.with_fallbacks([bare]),
    }


def _added(
    models: Mapping[str, Any],
    run: Callable[[Any, int], None],
    repeat: int = REPEAT,
    *,
    collects: bool = False,
) -> dict[str, float]:
    """Return the CPU µs of `bare`, and what the others add to it."""

    def turn(model: Any, times: int) -> None:
        if collects:
            gc.enable()
        run(model, times)
        gc.disable()

    timings = compare(
        {name: lambda n, m=model: turn(m, n) for name, model in models.items()},
        rounds=ROUNDS,
        repeat=repeat,
    )
    base = timings["bare"].low
    more = {name: timing.low - base for name, timing in timings.items()}
    return more | {"bare": base}


def _agents() -> dict[str, Any]:
    bare = Fake(responses=["x"])
    spare = [ModelFallbackMiddleware(bare)]
    agents = {
        "bare": create_agent(bare),
        "ModelFallbackMiddleware": create_agent(bare, middleware=spare),
    }
    return {name: _Asked(agent) for name, agent in agents.items()}


class _Asked:
    """An agent, called as the models are."""

    def __init__(self, agent: Any) -> None:
        self._agent = agent

    def invoke(self, prompt: Any) -> Any:
        return self._agent.invoke({"messages": prompt})

    async def ainvoke(self, prompt: Any) -> Any:
        return await self._agent.ainvoke({"messages": prompt})


def _calls(pool: ThreadPoolExecutor) -> dict[str, Callable[[Any, int], None]]:
    return {
        "invoke": _invoke,
        "ainvoke": _ainvoke,
        "invoke 100": lambda model, times: _threads(pool, model, times),
        "ainvoke 100": lambda model, times: _ainvoke(model, times, AT_ONCE),
    }


def _per_chunk(run: Callable[[Any, int], None]) -> dict[str, float]:
    short = _added(_models(SHORT), run, 60)
    long = _added(_models(LONG), run, 20)
    return {name: (long[name] - short[name]) / (LONG - SHORT) for name in long}


def _litellm() -> dict[str, dict[str, float]]:
    python = litellm_python()
    if python is None:
        return {}
    done = subprocess.run(
        [str(python), str(CHILD), "5", "100"],
        env=os.environ | ALONE,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    found["achunk"] = found.pop("chunk")
    return found


def main() -> int:
    found: dict[str, dict[str, float]] = {}
    collected: dict[str, dict[str, float]] = {}
    agents = _agents()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for mode, run in _calls(pool).items():
            found[mode] = _added(_models(1), run)
            collected[mode] = _added(_models(1), run, 500, collects=True)
            more = _added(agents, run, 100)
            found[mode]["ModelFallbackMiddleware"] = more["ModelFallbackMiddleware"]
    found["chunk"], found["achunk"] = _per_chunk(_stream), _per_chunk(_astream)
    for mode, theirs in _litellm().items():
        found[mode]["LiteLLM Router"] = theirs["router"] - theirs["call"]

    def cell(mode: str, name: str) -> str:
        if name not in found[mode]:
            return ""
        digits = 1 if "chunk" in mode else 0
        said = f"{found[mode][name]:,.{digits}f}"
        gc_on = collected.get(mode, {}).get(name)
        return said if gc_on is None else f"{said} ({gc_on:.0f})"

    rows = [
        [title, cell(mode, "bare"), *(cell(mode, name) for name in SYSTEMS)]
        for mode, title in NAMES.items()
    ]
    header = ["", "the model itself", *SYSTEMS]
    versions = machine("langchain-core", "langchain")
    body = [TEXT, table(header, rows), "", f"{versions}, litellm {VERSION}."]
    publish("routing", "\n".join(body))
    over = {m: found[m]["ModelRouter"] for m in LIMITS}
    return int(any(over[mode] > limit for mode, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
