"""CacheLayer: identical calls at one time are one model call, in every mode."""

from __future__ import annotations

import asyncio
import functools
import logging
import operator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage
from pydantic import PrivateAttr

from langchain_llmops.caching import CacheLayer, TieredCache
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.models import with_layers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from blockbuster import BlockBuster

ANSWER = "The answer is forty two"
UNSTORABLE = AIMessage(
    "withheld", response_metadata={"finish_reason": "content_filter"}
)


class Gates:
    """Where the model stops: `started` is set there, and `go_on` lets it go on."""

    def __init__(self) -> None:
        self.started = Event()
        self.go_on = Event()

    def stop(self) -> None:
        self.started.set()
        assert self.go_on.wait(4)

    async def astop(self) -> None:
        self.started.set()
        async with asyncio.timeout(4):
            while not self.go_on.is_set():  # noqa: ASYNC110 - threads set it
                await asyncio.sleep(0)


@pytest.fixture
def several_loops(blockbuster: BlockBuster) -> None:
    """Let loops of several threads meet at a short lock, such as core's imports."""
    blockbuster.deactivate()


@pytest.fixture
def gates() -> Gates:
    return Gates()


@pytest.fixture
def model(counting: Any, gates: Gates) -> Any:
    """Make a layered model that stops at the gates; `flights` is its table."""

    class GatedModel(counting):  # type: ignore[misc]  # a fixture is not a type
        _flights: Any = PrivateAttr()

        @property
        def flights(self) -> Any:
            return self._flights

        def _generate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            gates.stop()
            return super()._generate(messages, *args, **kwargs)

        async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            await gates.astop()
            return super()._generate(messages, *args, **kwargs)

        def _stream(self, messages: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
            gates.stop()
            yield from super()._stream(messages, *args, **kwargs)

        async def _astream(
            self, messages: Any, *args: Any, **kwargs: Any
        ) -> AsyncIterator[Any]:
            await gates.astop()
            for chunk in super()._stream(messages, *args, **kwargs):
                yield chunk

    def make(*answers: Any, options: Any = None, **fields: Any) -> Any:
        layer = CacheLayer(TieredCache(), **{"max_wait_s": 600, **(options or {})})
        made = GatedModel(*(answers or [ANSWER]), **fields)
        made._flights = layer._flights.table
        return with_layers(made, layer)

    return make


def ask(model: Any, mode: str, **config: Any) -> AIMessage:
    if mode == "invoke":
        return model.invoke("2 + 2", config)
    if mode == "stream":
        return functools.reduce(operator.add, model.stream("2 + 2", config))
    return asyncio.run(aask(model, mode, **config))


async def aask(model: Any, mode: str, **config: Any) -> AIMessage:
    if mode == "ainvoke":
        return await model.ainvoke("2 + 2", config)
    return functools.reduce(
        operator.add, [chunk async for chunk in model.astream("2 + 2", config)]
    )


async def until_waiting(model: Any, count: int) -> None:
    """Let the tasks of the loop run until so many wait for the flight."""
    async with asyncio.timeout(4):
        while sum(len(f.waiters) for f in model.flights._flights.values()) < count:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)


def wait_until_waiting(model: Any, count: int) -> None:
    asyncio.run(until_waiting(model, count))


MODES = ["invoke", "ainvoke", "stream", "astream"]


@pytest.mark.usefixtures("several_loops")
@pytest.mark.parametrize("leader", MODES)
def test_all_modes_share_the_call_of_any(leader: str, model: Any, gates: Gates):
    layered = model()
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(ask, layered, leader)
        assert gates.started.wait(4)
        others = [pool.submit(ask, layered, mode) for mode in MODES * 2]
        wait_until_waiting(layered, 8)
        gates.go_on.set()
        assert "cache" not in first.result().response_metadata
        for other in others:
            assert other.result().text.strip() == ANSWER
            assert other.result().response_metadata["cache"]["hit"]
            assert other.result().usage_metadata["total_tokens"] == 0
    assert layered.calls == 1
    assert len(layered.flights) == 0


async def test_a_thousand_tasks_are_one_call(model: Any, gates: Gates):
    layered = model()
    asked = [asyncio.create_task(layered.ainvoke("hi")) for _ in range(1_000)]
    await until_waiting(layered, 999)
    gates.go_on.set()
    answers = await asyncio.gather(*asked)
    assert {answer.text for answer in answers} == {ANSWER}
    assert layered.calls == 1


def test_a_batch_of_one_question_is_one_call(model: Any, gates: Gates):
    layered = model()
    with ThreadPoolExecutor(1) as pool:
        answers = pool.submit(layered.batch, ["hi"] * 8, {"max_concurrency": 8})
        wait_until_waiting(layered, 7)
        gates.go_on.set()
        assert {answer.text.strip() for answer in answers.result()} == {ANSWER}
    assert layered.calls == 1


SHARED = [
    ({"temperature": 0.0}, True, True),
    ({"temperature": 0}, True, True),
    ({"temperature": 0.7}, True, False),
    ({"temperature": None}, True, False),
    ({"temperature": 0.7}, "always", True),
    ({"temperature": None}, "always", True),
    ({"temperature": 0.0}, False, False),
]


@pytest.mark.parametrize(("fields", "single_flight", "shares"), SHARED)
async def test_only_calls_that_want_one_answer_share_it(
    fields: Any, single_flight: Any, shares: Any, model: Any, gates: Gates
):
    gates.go_on.set()
    layered = model(options={"single_flight": single_flight}, **fields)
    await asyncio.gather(*(layered.ainvoke("hi") for _ in range(5)))
    assert layered.calls == (1 if shares else 5)


async def test_a_seed_makes_a_warm_call_shared(model: Any, gates: Gates):
    gates.go_on.set()
    layered = model(temperature=0.9)
    await asyncio.gather(*(layered.ainvoke("hi", seed=7) for _ in range(5)))
    assert layered.calls == 1


@pytest.mark.parametrize("switch", ["cache_bypass", "cache_no_store"])
async def test_who_bypasses_or_stores_nothing_shares_with_nobody(
    switch: str, model: Any, gates: Gates
):
    gates.go_on.set()
    layered = model()
    config = {"configurable": {switch: True}}
    await asyncio.gather(*(layered.ainvoke("hi", config) for _ in range(3)))
    assert layered.calls == 3


async def test_tenants_never_share_a_flight(model: Any, gates: Gates):
    gates.go_on.set()
    layered = model()
    await asyncio.gather(
        *(layered.ainvoke("hi", {"metadata": {"tenant": t}}) for t in "aabb")
    )
    assert layered.calls == 2


async def test_a_failed_leader_hands_over_and_keeps_its_error(model: Any, gates: Gates):
    layered = model(ConnectionError("mine"), ANSWER)
    asked = [asyncio.create_task(layered.ainvoke("hi")) for _ in range(5)]
    await until_waiting(layered, 4)
    gates.go_on.set()
    first, *others = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(first, ConnectionError)
    assert [other.text.strip() for other in others] == [ANSWER] * 4
    assert layered.calls == 2


async def test_a_cancelled_leader_hands_over(model: Any, gates: Gates):
    layered = model()
    asked = [asyncio.create_task(layered.ainvoke("hi")) for _ in range(5)]
    await until_waiting(layered, 4)
    asked[0].cancel()
    gates.go_on.set()
    first, *others = await asyncio.gather(*asked, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert [other.text.strip() for other in others] == [ANSWER] * 4
    assert layered.calls == 1
    assert len(layered.flights) == 0


async def test_an_answer_that_must_not_be_stored_sends_all_to_the_model(
    model: Any, gates: Gates
):
    layered = model(UNSTORABLE)
    asked = [asyncio.create_task(layered.ainvoke("hi")) for _ in range(5)]
    await until_waiting(layered, 4)
    gates.go_on.set()
    await asyncio.gather(*asked)
    assert layered.calls == 5
    assert len(layered.flights) == 0


async def test_an_abandoned_stream_hands_over(model: Any, gates: Gates):
    gates.go_on.set()
    layered = model()
    async with aclosing(layered.astream("2 + 2")) as chunks:
        await anext(chunks)
        others = [asyncio.create_task(aask(layered, mode)) for mode in MODES[1::2] * 2]
        await until_waiting(layered, 4)
    for answer in await asyncio.gather(*others):
        assert answer.text.strip() == ANSWER
    assert layered.calls == 2


def test_an_abandoned_synchronous_stream_hands_over(model: Any, gates: Gates):
    gates.go_on.set()
    layered = model()
    with ThreadPoolExecutor(1) as pool, closing(layered.stream("2 + 2")) as chunks:
        next(chunks)
        other = pool.submit(ask, layered, "invoke")
        wait_until_waiting(layered, 1)
        chunks.close()
        assert other.result().text.strip() == ANSWER
    assert layered.calls == 2


async def test_a_leading_stream_is_not_held_back(model: Any, gates: Gates):
    gates.go_on.set()
    layered, seen = model(), []
    async for chunk in layered.astream("2 + 2"):
        if not seen:
            follower = asyncio.create_task(layered.ainvoke("2 + 2"))
            await until_waiting(layered, 1)
        assert not follower.done()
        seen.append(chunk)
    assert len(seen) > 4
    assert (await follower).response_metadata["cache"]["hit"]
    assert layered.calls == 1


async def test_a_synchronous_call_on_a_running_loop_calls_through(
    model: Any, gates: Gates
):
    layered = model()
    leader = asyncio.create_task(layered.ainvoke("hi"))
    while not gates.started.is_set():  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0)
    gates.go_on.set()
    assert layered.invoke("hi").text.strip() == ANSWER
    assert layered.calls == 1, "the leader has not gone on meanwhile"
    await leader
    assert layered.calls == 2


@pytest.mark.usefixtures("several_loops")
def test_each_event_loop_may_follow(model: Any, gates: Gates):
    layered = model()
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(ask, layered, "ainvoke") for _ in range(3)]
        wait_until_waiting(layered, 2)
        gates.go_on.set()
        assert {call.result().text.strip() for call in asked} == {ANSWER}
    assert layered.calls == 1


def test_store_if_keeps_answers_out(model: Any, gates: Gates):
    gates.go_on.set()
    layered = model(
        "I do not know", ANSWER, options={"store_if": lambda m: "know" not in m.text}
    )
    said = [layered.invoke("hi").text.strip() for _ in range(3)]
    assert said == ["I do not know", ANSWER, ANSWER]
    assert layered.calls == 2


@pytest.mark.parametrize("mode", MODES)
def test_a_store_if_that_raises_costs_no_answer(
    mode: str, model: Any, gates: Gates, caplog: pytest.LogCaptureFixture
):
    gates.go_on.set()
    layered = model(options={"store_if": lambda message: message.nothing})
    with caplog.at_level(logging.WARNING):
        assert [ask(layered, mode).text.strip() for _ in range(2)] == [ANSWER] * 2
    assert layered.calls == 2
    (record,) = (r for r in caplog.records if "store_if" in r.message)
    assert "AttributeError" in record.message


@pytest.mark.parametrize("wrong", ["sometimes", None, 2])
def test_an_unknown_single_flight_is_refused(wrong: Any):
    with pytest.raises(ConfigurationError, match="single_flight="):
        CacheLayer(TieredCache(), single_flight=wrong)
