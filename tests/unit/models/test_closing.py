"""However a call ends, each layer ends with it, the run is closed, nothing is left."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate

from langchain_llmops import ModelLayer, with_layers

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)


class Scripted(BaseChatModel):
    """Writes chunks, fails or waits where told, and logs its own end."""

    fail_at: int | None = None
    hang_at: int | None = None
    error: BaseException | None = None
    log: Any = None

    @property
    def _llm_type(self) -> str:
        return "scripted"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        if self.error is not None:
            raise self.error
        return ChatResult(generations=[ChatGeneration(message=AIMessage("x"))])

    async def _agenerate(self, messages, stop=None, run_manager=None, **kwargs):
        try:
            if self.hang_at is not None:
                await asyncio.Event().wait()
            return self._generate(messages)
        finally:
            self.log.append("model end")

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        try:
            for i in range(3):
                if i == self.fail_at:
                    raise self.error
                yield ChatGenerationChunk(message=AIMessageChunk(str(i)))
        finally:
            self.log.append("model end")

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        try:
            for i in range(3):
                if i == self.fail_at:
                    raise self.error
                if i == self.hang_at:
                    await asyncio.Event().wait()
                yield ChatGenerationChunk(message=AIMessageChunk(str(i)))
        finally:
            self.log.append("model end")


@pytest.fixture
def log() -> list[str]:
    """What ended, in order: the model, the layers, the run."""
    return []


@pytest.fixture
def make(log, watching, run_log):
    """Return a scripted model in two layers, and the config that logs its run."""

    def make(**script):
        bare = Scripted(log=log, **script)
        layers = watching("outer ", log), watching("inner ", log)
        return with_layers(bare, *layers), {"callbacks": [run_log(log)]}

    return make


def ends(log: list[str]) -> list[str]:
    return [entry for entry in log if entry.endswith(("end", "error"))]


FROM_INSIDE_OUT = ["model end", "inner end", "outer end", "llm error"]


async def _read(stream) -> None:
    async with aclosing(stream):
        async for _ in stream:
            pass


async def _cancelled_when_waiting(task: asyncio.Task) -> None:
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_layer_sees_the_cancellation_that_no_callback_sees(make, log) -> None:
    model, config = make(hang_at=0)
    await _cancelled_when_waiting(asyncio.ensure_future(model.ainvoke("hi", config)))
    # Core closes no run here; the layers are all that learns of it.
    assert ends(log) == ["model end", "inner end", "outer end"]


async def test_a_cancelled_stream_ends_everything(make, log) -> None:
    model, config = make(hang_at=2)

    reading = _read(model.astream("hi", config))
    await _cancelled_when_waiting(asyncio.ensure_future(reading))
    assert ends(log) == FROM_INSIDE_OUT


async def test_cancelled_v3_events_end_everything(make, log) -> None:
    model, config = make(hang_at=2)
    stream = await model.astream_events("hi", config, version="v3")
    reading = asyncio.ensure_future(anext(aiter(stream.text)))
    assert await reading == "0"
    await stream.aclose()
    assert ends(log) == FROM_INSIDE_OUT


def test_a_reader_that_leaves_ends_a_sync_stream_at_once(make, log) -> None:
    model, config = make()
    stream = model.stream("hi", config)
    assert next(stream).content == "0"
    stream.close()
    assert ends(log) == FROM_INSIDE_OUT


async def test_a_reader_that_leaves_ends_an_async_stream_at_once(make, log) -> None:
    model, config = make()
    stream = model.astream("hi", config)
    assert (await anext(stream)).content == "0"
    await stream.aclose()
    assert ends(log) == FROM_INSIDE_OUT


async def test_even_a_layer_that_closes_nothing_is_closed_itself(log) -> None:
    class Careless(ModelLayer):
        async def astream(self, call, handler):
            try:
                async for chunk in handler(call):
                    yield chunk
            finally:
                log.append("careless end")

    stream = with_layers(Scripted(log=log), Careless()).astream("hi")
    await anext(stream)
    await stream.aclose()
    assert "careless end" in log
    await asyncio.sleep(0)  # the event loop collects what the layer left open
    await asyncio.sleep(0)
    assert log == ["careless end", "model end"]


async def test_an_abandoned_stream_of_an_invoke_is_closed(make, log) -> None:
    """A handler that raises leaves the stream that `ainvoke` runs half read."""
    model, config = make()
    (handler,) = config["callbacks"]
    handler.raise_error = True

    def refuse(*args, **kwargs):
        raise LookupError("no more")

    handler.on_llm_new_token = refuse
    with pytest.raises(LookupError):
        await model.ainvoke("hi", config, stream=True)
    assert ends(log) == ["llm error", "model end", "inner end", "outer end"]


@pytest.mark.parametrize("fail_at", [0, 2], ids=["before", "after"])
def test_an_error_around_the_first_chunk_is_the_same_object(make, log, fail_at) -> None:
    error = ValueError("down")
    model, config = make(fail_at=fail_at, error=error)
    got = []
    with pytest.raises(ValueError, match="down") as caught:
        got.extend(chunk.content for chunk in model.stream("hi", config))
    assert caught.value is error
    assert ends(log) == FROM_INSIDE_OUT
    with pytest.raises(ValueError, match="down") as caught:
        model.invoke("hi", config, stream=True)
    assert caught.value is error


@pytest.mark.parametrize("fail_at", [0, 2], ids=["before", "after"])
async def test_an_error_around_the_first_async_chunk_is_the_same_object(
    make, log, fail_at
) -> None:
    error = ValueError("down")
    model, config = make(fail_at=fail_at, error=error)
    with pytest.raises(ValueError, match="down") as caught:
        await _read(model.astream("hi", config))
    assert caught.value is error
    assert ends(log) == FROM_INSIDE_OUT


async def test_an_error_of_a_call_is_the_same_object(make, log) -> None:
    error = ValueError("down")
    model, config = make(error=error)
    for attempt in (lambda: model.invoke("hi", config), None):
        with pytest.raises(ValueError, match="down") as caught:
            attempt() if attempt else await model.ainvoke("hi", config)
        assert caught.value is error
    assert ends(log)[:3] == ["inner end", "outer end", "llm error"]
    assert ends(log)[3:] == FROM_INSIDE_OUT


class Refusing(ModelLayer):
    """Raises instead of going in, in each mode."""

    def generate(self, call, handler):
        raise PermissionError("spent")

    agenerate = stream = astream = generate


@pytest.mark.parametrize(
    "call",
    [
        lambda m, c: m.invoke("hi", c),
        lambda m, c: list(m.stream("hi", c)),
        lambda m, c: m.stream_events("hi", c, version="v3").output,
    ],
    ids=["invoke", "stream", "v3"],
)
def test_a_refusal_reaches_the_caller_and_closes_the_run(call, log, run_log) -> None:
    model, runs = with_layers(Scripted(log=log), Refusing()), run_log()
    with pytest.raises(PermissionError, match="spent"):
        call(model, {"callbacks": [runs]})
    assert runs.events
    assert not runs.open_runs
    assert not log, "the model was called"


@pytest.mark.parametrize(
    "call",
    [lambda m, c: m.ainvoke("hi", c), lambda m, c: _read(m.astream("hi", c))],
    ids=["ainvoke", "astream"],
)
async def test_an_async_refusal_reaches_the_caller_and_closes_the_run(
    call, log, run_log
) -> None:
    model, runs = with_layers(Scripted(log=log), Refusing()), run_log()
    with pytest.raises(PermissionError, match="spent"):
        await call(model, {"callbacks": [runs]})
    assert runs.events
    assert not runs.open_runs
    assert not log, "the model was called"


@pytest.mark.parametrize("layered", ["primary", "fallback"])
def test_fallbacks_take_over_from_and_to_a_layered_model(
    make, log, layered, watching
) -> None:
    failing, _ = make(error=ValueError("down"))
    last = with_layers(Scripted(log=[]), watching())
    pair = (failing, Scripted(log=[])) if layered == "primary" else (failing, last)
    model = pair[0].with_fallbacks([pair[1]])
    assert model.invoke("hi").content == "x"
    assert (ChatPromptTemplate.from_template("{x}") | model).invoke({"x": 1})
    assert ends(log) == ["inner end", "outer end"] * 2
