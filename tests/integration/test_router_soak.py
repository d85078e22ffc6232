"""Many calls through a router while its provider fails in every way it can.

The short form of `benchmarks/routing_soak.py`, which asks for more calls by
`LLMOPS_SOAK_CALLS` and reads what is recorded here.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from langchain_core.callbacks import BaseCallbackHandler, CallbackManager
from langchain_openai import ChatOpenAI

from langchain_llmops import CostCallbackHandler, FailoverPolicy, ModelRouter
from langchain_llmops.pricing.money import dollars
from langchain_llmops.routing import AllCandidatesFailedError, CircuitBreaker, classify
from langchain_llmops.testing import (
    ContentFiltered,
    Cut,
    EmptyStream,
    Hang,
    HttpFailure,
    MalformedSSE,
    RateLimited,
    ServerError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from uuid import UUID

    from langchain_llmops.cost.charge import Charge
    from langchain_llmops.testing import LocalProvider
    from langchain_llmops.testing.invoice import InvoiceRow

CallbackManager.configure()  # core imports more with its first call: not in a loop

CALLS = int(os.environ.get("LLMOPS_SOAK_CALLS", "320"))
MODELS = ("gpt-4o-mini", "gpt-4o")
MODES = ("invoke", "ainvoke", "stream", "astream")
AT_ONCE = 16
# Long enough for a busy machine, short enough for a test that hangs on purpose.
CLIENT_TIMEOUT_S, ATTEMPT_TIMEOUT_S = 1.5, 1.0
ASK = "Context: Ada wrote it in May. Bob read it in June.\n\nQuestion: Who wrote {}?"
FAULTS = (
    ServerError(probability=0.04),
    RateLimited(probability=0.03, retry_after_s=0.01),
    Cut(probability=0.02),
    Cut(probability=0.03, at_token=2),
    MalformedSSE(probability=0.02, at_token=2),
    EmptyStream(probability=0.02),
    Hang(probability=0.01),
    Hang(probability=0.01, at_token=2),
    ContentFiltered(probability=0.02, at_token=1),
    HttpFailure(probability=0.01, status=400, message="no", code="odd", kind="error"),
    HttpFailure(
        probability=0.01,
        status=400,
        message="This model's maximum context length is 8",
        code="context_length_exceeded",
        kind="error",
    ),
)

pytestmark = [
    pytest.mark.filterwarnings(
        # ChatOpenAI's own, on what its client has parsed.
        "ignore:Pydantic serializer warnings:UserWarning"
    ),
]


class OpenRuns(BaseCallbackHandler):
    """Note which runs have not ended."""

    run_inline = True

    def __init__(self) -> None:
        self.ids: set[UUID] = set()

    def on_chat_model_start(self, serialized, messages, *, run_id, **kwargs):
        self.ids.add(run_id)

    def on_llm_end(self, response, *, run_id, **kwargs):
        self.ids.discard(run_id)

    def on_llm_error(self, error, *, run_id, **kwargs):
        self.ids.discard(run_id)


class Charges:
    """A ledger that keeps each charge as it is."""

    def __init__(self) -> None:
        self.all: list[Charge] = []

    def record(self, charge):
        self.all.append(charge)

    def follow(self, source):
        return lambda: None


class Soak:
    """Calls through routers of each kind, and how each of them ended."""

    def __init__(self, routers: Iterable[ModelRouter], config: dict[str, Any]) -> None:
        self.ends: Counter[str] = Counter()
        self._routers = itertools.cycle(routers)
        self._config = config

    async def run(self, calls: int) -> None:
        chance = random.Random(7)
        slots = asyncio.Semaphore(AT_ONCE)
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(AT_ONCE) as pool:

            async def one(number: int, mode: str, router: ModelRouter) -> None:
                prompt = ASK.format(f"part {number}")
                async with slots:
                    if mode in {"invoke", "stream"}:
                        sync = self._sync
                        job = loop.run_in_executor(pool, sync, mode, router, prompt)
                        self.ends[await job] += 1
                    else:
                        self.ends[await self._async(mode, router, prompt)] += 1

            jobs = zip(range(calls), self._routers, strict=False)
            await asyncio.gather(
                *(one(number, chance.choice(MODES), router) for number, router in jobs)
            )

    def _sync(self, mode: str, router: ModelRouter, prompt: str) -> str:
        try:
            if mode == "invoke":
                return _answer([router.invoke(prompt, self._config)])
            return _answer(list(router.stream(prompt, self._config)))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is classified
            return _kind(error)

    async def _async(self, mode: str, router: ModelRouter, prompt: str) -> str:
        try:
            if mode == "ainvoke":
                return _answer([await router.ainvoke(prompt, self._config)])
            stream = router.astream(prompt, self._config)
            return _answer([chunk async for chunk in stream])
        except Exception as error:  # noqa: BLE001 - whatever it is, it is classified
            return _kind(error)


def _answer(parts: list[Any]) -> str:
    assert any("routing" in part.response_metadata for part in parts)
    return "answered"


def _kind(error: Exception) -> str:
    several = isinstance(error, AllCandidatesFailedError)
    for each in error.exceptions if several else (error,):
        if classify(each).kind == "unknown":
            return f"unknown: {each!r} from {each.__cause__!r}"
    return "all candidates failed" if several else classify(error).kind


@pytest.fixture
async def http() -> Any:
    limits = httpx.Limits(max_connections=4 * AT_ONCE)
    async with httpx.AsyncClient(limits=limits) as client:
        yield client


@pytest.fixture
def routers(provider: LocalProvider, http: httpx.AsyncClient) -> list[ModelRouter]:
    def model(name: str) -> ChatOpenAI:
        return ChatOpenAI(
            model=name,
            base_url=provider.base_url,
            api_key="-",
            http_async_client=http,
            stream_usage=True,
            stream_chunk_timeout=None,
            timeout=CLIENT_TIMEOUT_S,
        )

    return [
        ModelRouter(
            [model(name) for name in MODELS],
            failover=FailoverPolicy(
                mid_stream=how,
                attempt_timeout_s=ATTEMPT_TIMEOUT_S if limited else None,
                backoff_s=0.01,
            ),
            breaker=CircuitBreaker(open_s=0.05, max_open_s=0.2),
        )
        for how in ("raise", "restart", "continue")
        for limited in (False, True)
    ]


def _attempts() -> Iterator[threading.Thread]:
    return (each for each in threading.enumerate() if each.name == "llmops-attempt")


async def _until(is_so: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if is_so():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("still not so after five seconds")


@pytest.mark.timeout(60 + CALLS // 20)
async def test_each_call_ends_nothing_is_left_and_costs_are_the_invoice(
    routers, provider, record_property
):
    provider.inject(*FAULTS)
    charges, open_runs = Charges(), OpenRuns()
    costs = CostCallbackHandler(ledger=charges)
    threads = set(threading.enumerate())
    soak = Soak(routers, {"callbacks": [costs, open_runs]})
    await soak.run(CALLS)
    record_property("ends", dict(soak.ends))
    record_property("faults", dict(Counter(r.fault for r in provider.requests)))
    assert soak.ends.total() == CALLS
    assert soak.ends["answered"] > CALLS * 0.7
    assert not [end for end in soak.ends if end.startswith("unknown")]

    # What is left behind of a synchronous attempt ends with its client's timeout.
    await _until(lambda: not list(_attempts()))
    await _until(lambda: asyncio.all_tasks() == {asyncio.current_task()})
    # The pools of the two loops stay: names are looked up there, files are read.
    more = set(threading.enumerate()) - threads
    assert not [each for each in more if not each.name.startswith("asyncio_")]
    assert not open_runs.ids
    await provider.await_idle()

    report = await costs.areport()
    figures = _compared(charges.all, provider.invoice)
    # As texts: xdist carries no Decimal from one process to another.
    told = {
        name: value if isinstance(value, int) else (value[0], str(value[1]))
        for name, value in figures.items()
    }
    record_property("figures", told)
    assert report.usd == figures["reported"][1] + figures["estimated"][1]
    assert report.unsettled == figures["unsettled"]


def _compared(charges: list[Charge], invoice: list[InvoiceRow]) -> dict[str, Any]:
    """Set what was booked against what was billed: counts and USD."""
    reported = Counter(_booked(c) for c in charges if c.basis == "reported")
    estimated = [dollars(c.cost) for c in charges if c.basis == "estimated"]
    unsettled = sum(c.basis == "unsettled" for c in charges)
    rest = Counter(map(_billed, invoice)) - reported
    # Each call whose usage arrived is billed so, to the last digit.
    assert rest.total() == len(invoice) - reported.total()
    # What else was billed broke off, and is either estimated or unsettled. Not all of
    # those are billed: an attempt that was cancelled may never have been worked on.
    assert rest.total() <= len(estimated) + unsettled
    return {
        "invoice": (len(invoice), sum(row.usd for row in invoice)),
        "reported": (reported.total(), _usd(reported)),
        "estimated": (len(estimated), sum(estimated, Decimal())),
        "rest": (rest.total(), _usd(rest)),
        "unsettled": unsettled,
    }


def _billed(row: InvoiceRow) -> tuple[Any, ...]:
    return (row.model, row.input_tokens, row.output_tokens, row.usd)


def _booked(charge: Charge) -> tuple[Any, ...]:
    usage, usd = charge.usage, dollars(charge.cost)
    return (str(charge.requested), usage.input_tokens, usage.output_tokens, usd)


def _usd(rows: Counter[tuple[Any, ...]]) -> Decimal:
    return sum((row[-1] * times for row, times in rows.items()), Decimal())
