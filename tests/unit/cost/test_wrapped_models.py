"""A chat model that wraps another makes two runs of one call: one is booked."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, suppress

import pytest
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_llmops.cost.events import CallTrackingHandler
from langchain_llmops.cost.tracker import CallTracker
from langchain_llmops.models import ModelLayer, with_layers
from langchain_llmops.pricing import Prices, UsdPerMillion


class Booking(CallTrackingHandler):
    """Keeps each charge, those that nobody bills included."""

    def __init__(self):
        prices = Prices({"fake-1": UsdPerMillion(input=1, output=10)})
        self.charges = []
        self._tracker = CallTracker(prices, self.charges.append)

    def booked(self):
        self._tracker.count_estimates()
        return [(charge.model, charge.basis, charge.error) for charge in self.charges]

    @property
    def open_calls(self):
        return len(self._tracker.under_way())


@pytest.fixture
def booking():
    return Booking()


@pytest.fixture
def wrapper(scripted):
    class Wrapper(scripted):
        """Hands on what `inner` says, raises what it raises or `instead` of it."""

        inner: object = None
        instead: object = None
        model: str = "wrapper-1"

        def _generate(self, messages, *args, **kwargs):
            try:
                message = self.inner.invoke(messages)
            except Exception as error:
                if self.instead is None:
                    raise
                raise self.instead from error
            return ChatResult(generations=[ChatGeneration(message=message)])

        def _stream(self, messages, *args, **kwargs):
            for chunk in self.inner.stream(messages):
                yield ChatGenerationChunk(message=chunk)

        async def _astream(self, messages, *args, **kwargs):
            async with aclosing(self.inner.astream(messages)) as chunks:
                async for chunk in chunks:
                    yield ChatGenerationChunk(message=chunk)

    return Wrapper


async def invoke(model, config):
    model.invoke("hi", config)


async def stream(model, config):
    for _ in model.stream("hi", config):
        pass


async def ainvoke(model, config):
    await model.ainvoke("hi", config)


async def astream(model, config):
    async for _ in model.astream("hi", config):
        pass


MODES = pytest.mark.parametrize("call", [invoke, stream, ainvoke, astream])
CASES = {
    "unknown": (RuntimeError("gone"), None, "unsettled"),
    "refused": (ConnectionRefusedError(), None, "refused"),
    "mid-stream": (RuntimeError("gone"), 2, "estimated"),
}


@MODES
@pytest.mark.parametrize("case", CASES)
async def test_a_failure_that_is_handed_on_is_one_call(
    call, case, wrapper, scripted, booking
):
    error, fails_after, basis = CASES[case]
    inner = scripted(error=error, fails_after=fails_after, callbacks=[booking])
    if fails_after and call in (invoke, ainvoke):
        pytest.skip("no stream, no middle")
    for _ in range(2):  # the same error once more is another call
        with pytest.raises(type(error)):
            await call(wrapper(inner=inner), {"callbacks": [booking]})
    assert (
        await asyncio.to_thread(booking.booked)
        == [("fake-1", basis, type(error).__name__)] * 2
    )
    assert booking.open_calls == 0


def test_a_failure_that_is_told_in_other_words_is_one_call(wrapper, scripted, booking):
    inner = scripted(error=RuntimeError("gone"), callbacks=[booking])
    outer = wrapper(inner=inner, instead=ValueError("the model is down"))
    third = type("Third", (wrapper,), {})(inner=outer)
    with pytest.raises(ValueError, match="down"):
        third.invoke("hi", {"callbacks": [booking]})
    assert booking.booked() == [("fake-1", "unsettled", "RuntimeError")]


class Nothing(ModelLayer):
    """Overrides what a layer may override, and passes everything through."""

    def stream(self, call, handler):
        yield from handler(call)

    async def astream(self, call, handler):
        async with aclosing(handler(call)) as chunks:
            async for chunk in chunks:
                yield chunk


@pytest.mark.parametrize("message_id", [None, "msg_1"])
@pytest.mark.parametrize("layered", [False, True])
async def test_a_stream_that_is_left_is_one_call(
    message_id, layered, wrapper, scripted, booking
):
    model = wrapper(inner=scripted(message_id=message_id, callbacks=[booking]))
    if layered:
        model = with_layers(model, Nothing())
    stream = model.stream("hi", {"callbacks": [booking]})
    next(stream)
    stream.close()
    async with aclosing(model.astream("hi", {"callbacks": [booking]})) as chunks:
        await anext(chunks)
    await asyncio.sleep(0)  # what is left of the inner stream ends
    assert (
        await asyncio.to_thread(booking.booked)
        == [("fake-1", "estimated", "GeneratorExit")] * 2
    )
    assert booking.open_calls == 0


def test_attempts_inside_a_wrapper_are_calls_of_their_own(wrapper, scripted, booking):
    error = RuntimeError("gone")
    inner = scripted(error=error, callbacks=[booking])
    model = wrapper(inner=inner.with_fallbacks([scripted(callbacks=[booking])]))
    model.invoke("hi", {"callbacks": [booking]})
    assert [basis for _, basis, _ in booking.booked()] == ["unsettled", "reported"]


def test_failures_of_calls_beside_each_other_are_all_booked(scripted, booking):
    # Whatever their error has in common: none of them began inside another.
    error = RuntimeError("gone")
    other = type("Other", (scripted,), {})
    for model in (scripted(error=error), other(error=error), scripted(error=error)):
        with suppress(RuntimeError):
            model.invoke("hi", {"callbacks": [booking]})
    assert len(booking.booked()) == 3


def test_an_error_that_takes_no_marks_is_booked(scripted, booking):
    class Frozen(Exception):  # noqa: N818 # it is about attributes
        def __setattr__(self, *_):
            raise AttributeError

    with pytest.raises(Frozen):
        scripted(error=Frozen()).invoke("hi", {"callbacks": [booking]})
    assert len(booking.booked()) == 1
