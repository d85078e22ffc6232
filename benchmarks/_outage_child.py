"""One system in an outage: asks at a steady rate, and says how each request ended.

Runs in our environment or in LiteLLM's. The order is JSON on the command line; the
result is JSON on the last line of the output. The clock is virtual: whoever waits makes
it jump, and work takes no time. So a busy machine changes nothing. The two providers
live below the real clients, as a transport of httpx, which also notes each request.
"""

from __future__ import annotations

import asyncio
import json
import random
import selectors
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Ask = Callable[[str], Awaitable[Any]]

# Clients are imported once the clock is set: some take hold of it at import.
# ruff: noqa: PLC0415

MODEL = "gpt-4o-mini"
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": "Ada wrote it."},
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13},
}
REFUSALS = {"500s": 500, "429s": 429, "brown-out": 500}


class Clock(selectors.DefaultSelector):
    """What an event loop waits with: it does not wait, the time jumps."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead, self._real = 0.0, time.monotonic
        self._offset = time.time() - time.monotonic()
        time.monotonic = time.perf_counter = self.now
        time.time = lambda: self.now() + self._offset

    def now(self) -> float:
        return self._ahead

    def select(self, timeout: float | None = None) -> Any:
        # Threads of a client get a moment to come back.
        ready = super().select(0.0005 if timeout is None or timeout > 0 else 0)
        if not ready and timeout:
            self._ahead += timeout
        return ready


class Providers(httpx.AsyncBaseTransport):
    """Two providers, A and B; A is down for a while. Notes what was asked of A."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._chance = random.Random(order["seed"])
        self.start = float("inf")
        self.of_a: list[tuple[float, bool]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        at = time.monotonic() - self.start
        is_a = request.url.host == "a.test"
        is_down = is_a and self._order["down_s"] <= at < self._order["up_s"]
        answer = await self._answer(request, is_down=is_down, at=at, notes=is_a)
        if is_a:
            self.of_a.append((at, answer.status_code == 200))
        return answer

    async def _answer(
        self, request: httpx.Request, *, is_down: bool, at: float, notes: bool
    ) -> httpx.Response:
        mode = self._order["mode"]
        if is_down and (mode != "brown-out" or self._chance.random() < 0.5):
            try:
                return await self._fail(request, mode)
            except BaseException:
                if notes:
                    self.of_a.append((at, False))
                raise
        median, sigma = self._order["latency"]
        await asyncio.sleep(median * self._chance.lognormvariate(0, sigma))
        return httpx.Response(200, json=ANSWER, request=request)

    async def _fail(self, request: httpx.Request, mode: str) -> httpx.Response:
        if mode == "hangs":
            await asyncio.sleep(request.extensions["timeout"]["read"])
            raise httpx.ReadTimeout("no answer", request=request)
        await asyncio.sleep(0.005)
        if mode == "refused connections":
            raise httpx.ConnectError("connection refused", request=request)
        error = {"message": mode, "type": "error", "code": None}
        return httpx.Response(REFUSALS[mode], json={"error": error}, request=request)


def _chat(order: dict[str, Any], client: httpx.AsyncClient) -> list[Any]:
    from langchain_openai import ChatOpenAI

    return [
        ChatOpenAI(
            model=MODEL,
            base_url=f"http://{host}.test/v1",
            api_key="-",
            max_retries=0,
            timeout=order["timeout_s"],
            http_async_client=client,
        )
        for host in "ab"
    ]


def ours(order: dict[str, Any], client: httpx.AsyncClient) -> Ask:
    from langchain_llmops import Candidate, FailoverPolicy, ModelRouter

    models = zip("AB", _chat(order, client), strict=True)
    router = ModelRouter(
        [Candidate(model, name=name) for name, model in models],
        failover=FailoverPolicy(attempt_timeout_s=order["timeout_s"]),
    )
    return router.ainvoke


def fallbacks(order: dict[str, Any], client: httpx.AsyncClient) -> Ask:
    first, second = _chat(order, client)
    return first.with_fallbacks([second]).ainvoke


def middleware(order: dict[str, Any], client: httpx.AsyncClient) -> Ask:
    from langchain.agents import create_agent
    from langchain.agents.middleware import ModelFallbackMiddleware

    first, second = _chat(order, client)
    agent = create_agent(first, middleware=[ModelFallbackMiddleware(second)])
    return lambda prompt: agent.ainvoke({"messages": [("user", prompt)]})


def _litellm(order: dict[str, Any], client: httpx.AsyncClient, **settings: Any) -> Ask:
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.aclient_session = client
    names = settings.pop("names")
    deployments = [
        {
            "model_name": name,
            "litellm_params": {
                "model": f"openai/{MODEL}",
                "api_base": f"http://{host}.test/v1",
                "api_key": "-",
                "timeout": order["timeout_s"],
            },
        }
        for name, host in zip(names, "ab", strict=True)
    ]
    router = litellm.Router(deployments, **settings)
    return lambda prompt: router.acompletion(
        model=names[0], messages=[{"role": "user", "content": prompt}]
    )


def litellm_fallback(order: dict[str, Any], client: httpx.AsyncClient) -> Ask:
    return _litellm(order, client, names="AB", fallbacks=[{"A": ["B"]}], num_retries=0)


def litellm_shuffle(order: dict[str, Any], client: httpx.AsyncClient) -> Ask:
    return _litellm(order, client, names="AA", num_retries=2)


SYSTEMS = {
    "ours": ours,
    "fallbacks": fallbacks,
    "middleware": middleware,
    "litellm_fallback": litellm_fallback,
    "litellm_shuffle": litellm_shuffle,
}


async def _run(order: dict[str, Any]) -> dict[str, Any]:
    providers, failures = Providers(order), Counter()
    async with httpx.AsyncClient(transport=providers) as client:
        ask = SYSTEMS[order["system"]](order, client)

        async def one(number: int) -> None:
            try:
                await ask(f"Who wrote part {number}?")
            except Exception as error:  # noqa: BLE001 - it is what is counted
                failures[type(error).__name__] += 1

        await one(-1)  # what is loaded with the first call
        providers.of_a.clear()
        failures.clear()
        providers.start = time.monotonic()
        jobs = []
        for number in range(order["requests"]):
            due = providers.start + number / order["rate"]
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            jobs.append(asyncio.create_task(one(number)))
        await asyncio.gather(*jobs)
    return {"failures": failures, "of_a": providers.of_a}


random.seed(1)
loop = asyncio.SelectorEventLoop(Clock())
asyncio.set_event_loop(loop)
found = loop.run_until_complete(_run(json.loads(sys.argv[1])))
print(json.dumps(found), flush=True)
