"""A thousand callers at once, of threads and event loops, make one model call."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.exceptions import ModelAPIError
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from langchain_llmops.caching import CacheLayer, TieredCache
from langchain_llmops.models import ModelLayer, with_layers
from langchain_llmops.testing import Latency, LocalProvider, ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from blockbuster import BlockBuster
    from langchain_core.outputs import ChatResult

    from langchain_llmops.models import ModelCall
    from langchain_llmops.models.base import GenerateHandler

CALLERS = 1_000
QUESTION = "Context: Tea is steeped for three minutes. Question: how long is it?"


class Rig:
    """A model whose provider answers once the gate is open, and what it costs."""

    def __init__(self, provider: LocalProvider, gate: Event) -> None:
        self.provider = provider
        self.gate = gate
        self.cache = TieredCache()
        self.layer = CacheLayer(self.cache, max_wait_s=60)
        self.bare = ChatOpenAI(
            model="gpt-4o-mini",
            temperature=0,
            api_key=SecretStr("test"),
            base_url=provider.base_url,
            max_retries=0,
        )
        self.model = with_layers(self.bare, self.layer)

    @property
    def waiting(self) -> int:
        flights = list(self.layer._flights.table._flights.values())
        return sum(len(flight.waiters) for flight in flights)

    def open_when_all_wait(self) -> None:
        until(lambda: self.waiting == CALLERS - 1)
        self.gate.set()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def rig(blockbuster: BlockBuster) -> Iterator[Rig]:
    blockbuster.deactivate()  # loops of several threads meet at short locks
    gate = Event()

    async def until_open(_: float) -> None:
        while not gate.is_set():  # noqa: ASYNC110 - threads set it
            await asyncio.sleep(0.01)

    latency = Latency(first_token_s=1)
    with LocalProvider(latency=latency, sleep=until_open) as provider:
        yield Rig(provider, gate)
        gate.set()


def asked_by_threads(model: Any, barrier: Barrier, mode: str) -> Any:
    barrier.wait(40)
    if mode == "invoke":
        return model.invoke(QUESTION).text
    return "".join(chunk.text for chunk in model.stream(QUESTION))


@pytest.mark.parametrize("mode", ["invoke", "stream"])
def test_a_thousand_threads_make_one_call(rig: Rig, mode: str):
    barrier = Barrier(CALLERS)
    with ThreadPoolExecutor(CALLERS) as pool:
        asked = [
            pool.submit(asked_by_threads, rig.model, barrier, mode)
            for _ in range(CALLERS)
        ]
        rig.open_when_all_wait()
        answers = {future.result(40) for future in asked}
    assert len(answers) == 1
    assert answers.pop()
    assert len(rig.provider.requests) == len(rig.provider.invoice) == 1
    stats = rig.cache.stats()
    assert (stats.requests, stats.hits, stats.coalesced) == (CALLERS, 999, 999)
    assert (stats.misses, stats.stores, stats.takeovers) == (1, 1, 0)
    assert len(rig.layer._flights.table) == 0


def test_threads_and_tasks_of_several_loops_make_one_call(rig: Rig):
    threads, loops, tasks = 400, 3, 200

    async def both() -> list[str]:
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(rig.model.ainvoke(QUESTION))
                for _ in range(tasks // 2)
            ]
            streamed = [group.create_task(read(rig.model)) for _ in range(tasks // 2)]
        return [task.result().text for task in asked] + [
            task.result() for task in streamed
        ]

    with ThreadPoolExecutor(threads + loops) as pool:
        asked = [
            pool.submit(lambda: [rig.model.invoke(QUESTION).text])
            for _ in range(threads)
        ]
        asked += [pool.submit(asyncio.run, both()) for _ in range(loops)]
        rig.open_when_all_wait()
        answers = [answer for future in asked for answer in future.result(40)]
    assert len(answers) == CALLERS
    assert len(set(answers)) == 1
    assert len(rig.provider.invoice) == 1
    assert rig.cache.stats().coalesced == CALLERS - 1


async def read(model: Any) -> str:
    return "".join([chunk.text async for chunk in model.astream(QUESTION)])


def test_a_leader_that_fails_hands_over_to_one_of_a_thousand(rig: Rig):
    rig.provider.inject(ServerError(nth={1}))
    all_wait = Event()

    class LateFailure(ModelLayer):
        def generate(self, call: ModelCall, handler: GenerateHandler) -> ChatResult:
            try:
                return handler(call)
            except ModelAPIError:
                assert all_wait.wait(40)
                raise

    model = with_layers(rig.bare, rig.layer, LateFailure())
    rig.gate.set()

    def ask() -> str:
        try:
            return model.invoke(QUESTION).text
        except ModelAPIError as error:
            return f"failed: {type(error).__name__}"

    with ThreadPoolExecutor(CALLERS) as pool:
        asked = [pool.submit(ask) for _ in range(CALLERS)]
        until(lambda: rig.waiting == CALLERS - 1)
        all_wait.set()
        answers = [future.result(40) for future in asked]
    failed = [answer for answer in answers if answer.startswith("failed")]
    assert len(failed) == 1
    assert len(set(answers)) == 2
    assert len(rig.provider.requests) == 2
    stats = rig.cache.stats()
    assert (stats.takeovers, stats.coalesced) == (1, CALLERS - 2)
