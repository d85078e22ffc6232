"""Calls of a model within limits, in every mode: slots, waiting, refusals."""

from __future__ import annotations

import asyncio
import copy
import logging
import threading
from contextlib import aclosing, closing
from types import SimpleNamespace

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_llmops import ConcurrencyLayer, with_layers
from langchain_llmops.concurrency import QueueTimeoutError
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.types import QUEUE_WAIT_EVENT

USAGE = {"input_tokens": 10, "output_tokens": 10, "total_tokens": 20}


class RefusedError(Exception):
    response = SimpleNamespace(headers={"retry-after": "5"})


class Gated(BaseChatModel):
    """Answers when told to; an async one when its event is set."""

    door: object = None
    seen: list = []  # noqa: RUF012 # a field of pydantic, copied per model

    @property
    def _llm_type(self) -> str:
        return "gated"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.seen.append(messages[0].content)
        if messages[0].content == "refused":
            raise RefusedError
        message = AIMessage("hi", usage_metadata=USAGE)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        result = self._generate(messages)
        if self.door is not None:
            await self.door.wait()
        return result

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        self._generate(messages)
        yield ChatGenerationChunk(message=AIMessageChunk("h"))
        message = AIMessageChunk("i", usage_metadata=USAGE)
        yield ChatGenerationChunk(message=message)

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        for chunk in self._stream(messages):
            yield chunk


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Waits(BaseCallbackHandler):
    def __init__(self) -> None:
        self.seconds = []

    def on_custom_event(self, name, data, **kwargs):
        if name == QUEUE_WAIT_EVENT:
            self.seconds.append(data["seconds"])


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def use(model, mode, text="hi", config=None):
    """Call a model in one of the four ways, to the end."""
    if mode == "invoke":
        model.invoke(text, config)
    elif mode == "ainvoke":
        await model.ainvoke(text, config)
    elif mode == "stream":
        list(model.stream(text, config))
    else:
        async with aclosing(model.astream(text, config)) as chunks:
            async for _ in chunks:
                pass


async def until(layer, *, running=0, waiting=0):
    """Let the loop run until so many calls are under way, or wait."""
    for _ in range(100_000):
        status = layer.status()
        if status.running >= running and status.waiting >= waiting:
            return
        await asyncio.sleep(0)
    pytest.fail(f"still {layer.status()}")


every_mode = pytest.mark.parametrize("mode", ["invoke", "ainvoke", "stream", "astream"])


@every_mode
async def test_a_slot_is_given_back_after_an_answer_and_after_an_error(mode):
    layer = ConcurrencyLayer(max_concurrent=1)
    model = with_layers(Gated(), layer)
    for _ in range(3):
        await use(model, mode)
        with pytest.raises(RefusedError):
            await use(with_layers(Gated(), layer), mode, "refused")
        layer._turnstile._limits._resumes_at_s = 0.0
    assert (layer.status().running, layer.status().waiting) == (0, 0)


@every_mode
async def test_a_retry_after_refuses_calls_that_cannot_wait_so_long(mode, clock):
    layer = ConcurrencyLayer(max_concurrent=9, queue_timeout_s=4, clock=clock)
    model = with_layers(Gated(), layer)
    with pytest.raises(RefusedError):
        await use(model, mode, "refused")
    with pytest.raises(QueueTimeoutError, match=r"event loop|would take 5 s, of 4 s"):
        await use(model, mode)
    assert model.seen == ["refused"]
    clock.now = 5.0
    await use(model, mode)


@every_mode
async def test_the_wait_is_told_to_the_handlers(mode):
    waits = Waits()
    model = with_layers(Gated(), ConcurrencyLayer(max_concurrent=1))
    await use(model, mode, config={"callbacks": [waits]})
    assert waits.seconds == [0.0]


@every_mode
async def test_tokens_of_the_answer_take_the_place_of_the_estimate(mode, clock):
    layer = ConcurrencyLayer(tpm=1100, queue_timeout_s=0, clock=clock)
    # Reads what counts tokens from disk.
    model = await asyncio.to_thread(with_layers, Gated(), layer)
    # Each is expected to take over 1,024 tokens, and takes 20.
    for _ in range(3):
        await use(model, mode)
    window = layer._turnstile._limits._tokens
    assert window._total == 60


async def test_no_more_run_at_once_than_there_are_slots():
    layer, door = ConcurrencyLayer(max_concurrent=3), asyncio.Event()
    model = with_layers(Gated(door=door), layer)
    calls = [asyncio.create_task(model.ainvoke(str(i))) for i in range(10)]
    await until(layer, waiting=7)
    assert model.seen == ["0", "1", "2"]
    door.set()
    await asyncio.gather(*calls)
    assert model.seen == [str(i) for i in range(10)]
    assert layer.status().running == 0


async def test_one_layer_bounds_several_models_and_their_copies():
    layer, door = ConcurrencyLayer(max_concurrent=1), asyncio.Event()
    first = with_layers(Gated(door=door), layer)
    others = [copy.deepcopy(with_layers(Gated(), layer)), with_layers(Gated(), layer)]
    call = asyncio.create_task(first.ainvoke("hi"))
    waiting = [asyncio.create_task(other.ainvoke("hi")) for other in others]
    await until(layer, waiting=2)
    door.set()
    await asyncio.gather(call, *waiting)


async def test_a_flood_of_one_tenant_does_not_hold_up_another():
    layer, door = ConcurrencyLayer(max_concurrent=1), asyncio.Event()
    model = with_layers(Gated(door=door), layer)
    flood = [
        asyncio.create_task(model.ainvoke("flood", {"metadata": {"tenant": "a"}}))
        for _ in range(20)
    ]
    await until(layer, waiting=19)
    small = asyncio.create_task(model.ainvoke("small", {"metadata": {"tenant": "b"}}))
    await until(layer, waiting=20)
    door.set()
    await asyncio.gather(small, *flood)
    assert model.seen.index("small") <= 2


async def test_an_important_call_goes_first():
    layer = ConcurrencyLayer(
        max_concurrent=1,
        priority=lambda call: call.config["metadata"].get("urgent", 0),
    )
    door = asyncio.Event()
    model = with_layers(Gated(door=door), layer)
    calls = [asyncio.create_task(model.ainvoke(str(i))) for i in range(4)]
    await until(layer, waiting=3)
    calls.append(asyncio.create_task(model.ainvoke("now", {"metadata": {"urgent": 1}})))
    await until(layer, waiting=4)
    door.set()
    await asyncio.gather(*calls)
    assert model.seen == ["0", "now", "1", "2", "3"]


async def test_a_call_cancelled_while_it_waits_frees_its_place():
    layer, door = ConcurrencyLayer(max_concurrent=1), asyncio.Event()
    model = with_layers(Gated(door=door), layer)
    calls = [asyncio.create_task(model.ainvoke(str(i))) for i in range(3)]
    await until(layer, waiting=2)
    calls[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await calls[1]
    assert layer.status().waiting == 1
    door.set()
    await asyncio.gather(calls[0], calls[2])
    assert model.seen == ["0", "2"]


async def test_no_cancellation_is_lost_and_no_slot():
    layer = ConcurrencyLayer(max_concurrent=2)
    model = with_layers(Gated(door=asyncio.Event()), layer)
    lost = 0
    for round_ in range(50):
        calls = [asyncio.create_task(model.ainvoke("hi")) for _ in range(20)]
        # From before the first step, over waiting, to under way; also as slots move.
        for _ in range(round_ % 5):
            await asyncio.sleep(0)
        for call in calls[:: 1 + round_ % 2] + calls:
            call.cancel()
            if round_ % 3 == 0:
                await asyncio.sleep(0)
        ended = await asyncio.gather(*calls, return_exceptions=True)
        lost += sum(not isinstance(e, asyncio.CancelledError) for e in ended)
        assert (layer.status().running, layer.status().waiting) == (0, 0)
    assert lost == 0


async def test_a_call_whose_time_is_up_is_refused():
    layer, door = ConcurrencyLayer(max_concurrent=1), asyncio.Event()
    model = with_layers(Gated(door=door), layer)
    first = asyncio.create_task(model.ainvoke("hi"))
    await until(layer, running=1)
    with pytest.raises(QueueTimeoutError, match="its time is up"):
        await model.ainvoke("hi", {"configurable": {"queue_timeout_s": 0.001}})
    assert layer.status().waiting == 0
    door.set()
    await first


@pytest.mark.parametrize("mode", ["invoke", "stream"])
async def test_a_sync_call_on_a_thread_with_a_loop_is_refused_not_blocked(mode):
    layer, door = ConcurrencyLayer(max_concurrent=1), asyncio.Event()
    model = with_layers(Gated(door=door), layer)
    first = asyncio.create_task(model.ainvoke("hi"))
    await until(layer, running=1)
    with pytest.raises(QueueTimeoutError, match="event loop"):
        await use(model, mode)
    door.set()
    await first
    await use(model, mode)


async def test_threads_and_loops_share_the_slots():
    layer, door = ConcurrencyLayer(max_concurrent=1), asyncio.Event()
    model = with_layers(Gated(door=door), layer)
    first = asyncio.create_task(model.ainvoke("loop"))
    await until(layer, running=1)
    thread = asyncio.create_task(asyncio.to_thread(model.invoke, "thread"))
    await until(layer, waiting=1)
    last = asyncio.create_task(model.ainvoke("again"))
    door.set()
    await asyncio.gather(first, thread, last)
    assert model.seen == ["loop", "thread", "again"]


def test_a_stream_keeps_its_slot_until_it_ends_or_is_left():
    layer = ConcurrencyLayer(max_concurrent=1)
    model = with_layers(Gated(), layer)
    with closing(model.stream("hi")) as chunks:
        next(chunks)
        assert layer.status().running == 1
    assert layer.status().running == 0


async def test_an_async_stream_keeps_its_slot_until_it_ends_or_is_left():
    layer = ConcurrencyLayer(max_concurrent=1)
    model = with_layers(Gated(), layer)
    async with aclosing(model.astream("hi")) as chunks:
        await anext(chunks)
        assert layer.status().running == 1
    assert layer.status().running == 0


def test_a_call_that_must_wait_for_its_minute_is_refused_at_once(clock):
    layer = ConcurrencyLayer(rpm=2, queue_timeout_s=10, clock=clock)
    model = with_layers(Gated(), layer)
    model.batch(["a", "b"])
    with pytest.raises(QueueTimeoutError, match="would take 60 s, of 10 s") as refused:
        model.invoke("c")
    assert refused.value.waited_s == 0.0
    assert refused.value.is_retryable
    clock.now = 50.0
    threading.Timer(0, lambda: setattr(clock, "now", 60.0)).start()
    model.invoke("c")


def test_the_timeout_of_a_single_call_goes_before_the_layers(clock):
    model = with_layers(Gated(), ConcurrencyLayer(rpm=1, clock=clock))
    model.invoke("a")
    with pytest.raises(QueueTimeoutError, match="of 3 s"):
        model.invoke("b", {"configurable": {"queue_timeout_s": 3}})


def test_a_client_that_retries_unseen_is_warned_of(caplog):
    class Retrying(Gated):
        max_retries: int = 2

    with caplog.at_level(logging.WARNING):
        with_layers(Retrying(), ConcurrencyLayer(rpm=1))
        with_layers(Retrying(max_retries=0), ConcurrencyLayer(rpm=1))
        with_layers(Retrying(), ConcurrencyLayer(max_concurrent=1))
    assert len(caplog.records) == 1
    assert "without_client_retries" in caplog.text


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"max_concurrent": 0},
        {"rpm": 1.5},
        {"tpm": True},
        {"rpm": 1, "queue_timeout_s": -1},
        {"rpm": 1, "queue_timeout_s": float("nan")},
    ],
)
def test_what_makes_no_sense_is_refused(arguments):
    with pytest.raises(ConfigurationError):
        ConcurrencyLayer(**arguments)
