"""Runs in LiteLLM's environment: CPU µs of its Router and of the call inside it.

Both answer from `mock_response`, so that no client and no network is part of it. The
last line of the output is JSON: mode, to the two variants, to µs per operation.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import litellm

if TYPE_CHECKING:
    from collections.abc import Callable

MODEL = "openai/gpt-4o-mini"
PROMPT = [{"role": "user", "content": "Which model is this?"}]
SHORT, LONG = "x " * 50, "x " * 450
litellm.suppress_debug_info = True
litellm.telemetry = False


def _variants(text: str) -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
    """Return the sync and the async function of the call and of the Router."""
    settings = {"model": MODEL, "api_key": "-", "mock_response": text}
    router = litellm.Router([{"model_name": "m", "litellm_params": settings}])

    def call(**kwargs: Any) -> Any:
        return litellm.completion(messages=PROMPT, **settings, **kwargs)

    async def acall(**kwargs: Any) -> Any:
        return await litellm.acompletion(messages=PROMPT, **settings, **kwargs)

    def routed(**kwargs: Any) -> Any:
        return router.completion(model="m", messages=PROMPT, **kwargs)

    async def arouted(**kwargs: Any) -> Any:
        return await router.acompletion(model="m", messages=PROMPT, **kwargs)

    return {"call": (call, acall), "router": (routed, arouted)}


async def _many(send: Callable[..., Any], times: int, at_once: int) -> None:
    for _ in range(times // at_once):
        await asyncio.gather(*(send() for _ in range(at_once)))


async def _chunks(send: Callable[..., Any], times: int) -> int:
    count = 0
    for _ in range(times):
        async for _ in await send(stream=True):
            count += 1
    return count


def _turn(mode: str, sync: Any, send: Any, times: int) -> int:
    """Do it so often; return how many operations that were."""
    if mode == "invoke":
        for _ in range(times):
            sync()
    elif mode.startswith("astream"):
        return asyncio.run(_chunks(send, times // 4))
    else:
        asyncio.run(_many(send, times, 100 if mode.endswith("100") else 1))
    return times


def _measure(mode: str, text: str, rounds: int, times: int) -> dict[str, float]:
    """Return CPU µs per call; in a stream per stream, with the chunks of one."""
    found: dict[str, list[float]] = {"call": [], "router": []}
    chunks = 0.0
    for turn in range(rounds + 1):
        for name, (sync, send) in _variants(text).items():
            gc.collect()
            start = time.process_time()
            count = _turn(mode, sync, send, times)
            took = time.process_time() - start
            calls = times // 4 if mode == "astream" else times
            chunks = count / calls
            if turn:
                found[name].append(took / calls * 1e6)
    best = {name: min(values) for name, values in found.items()}
    return {**best, "chunks": chunks}


def main() -> None:
    rounds, times = map(int, sys.argv[1:])
    gc.disable()
    result: dict[str, dict[str, float]] = {}
    for mode in ("invoke", "ainvoke", "ainvoke 100"):
        result[mode] = _measure(mode, "Hello", rounds, times)
    short, long = (_measure("astream", text, rounds, times) for text in (SHORT, LONG))
    more = long["chunks"] - short["chunks"]
    result["chunk"] = {n: (long[n] - short[n]) / more for n in ("call", "router")}
    print(json.dumps(result), flush=True)


main()
