from __future__ import annotations

import asyncio
import logging
import uuid

import pytest
from langchain_core.language_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.streaming import StreamCallbackHandler

TEXT = "Hello"


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def model():
    return FakeListChatModel(responses=[TEXT])


def config(handler):
    return {"callbacks": [handler]}


async def drain(stream):
    return "".join([chunk.content async for chunk in stream])


@pytest.mark.parametrize(
    "arguments", [{"sink": "print"}, {"sink": print, "max_pause_s": 0}]
)
def test_a_wrong_argument_is_refused(arguments):
    with pytest.raises(ConfigurationError, match="="):
        StreamCallbackHandler(**arguments)


async def test_a_sync_sink_gets_each_text_in_every_mode(model):
    texts = []
    handler = StreamCallbackHandler(texts.append)
    for _ in model.stream("x", config(handler)):
        pass
    assert texts == list(TEXT)
    assert await drain(model.astream("x", config(handler))) == TEXT
    assert texts == list(TEXT) * 2
    assert handler.latest.delivered == len(TEXT)
    assert handler.latest.error is None


async def test_an_async_sink_is_awaited_and_holds_the_stream_up(model):
    queue = asyncio.Queue(maxsize=1)
    handler = StreamCallbackHandler(queue.put, max_pause_s=30)
    assert isinstance(handler, StreamCallbackHandler)
    running = asyncio.create_task(drain(model.astream("x", config(handler))))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not running.done()
    assert [await queue.get() for _ in TEXT] == list(TEXT)
    assert await running == TEXT


async def test_an_object_with_an_async_call_is_awaited(model):
    class Sink:
        texts = ""

        async def __call__(self, text):
            self.texts += text

    sink = Sink()
    await drain(model.astream("x", config(StreamCallbackHandler(sink))))
    assert sink.texts == TEXT


@pytest.mark.filterwarnings("ignore:.*is in beta")
async def test_event_streams_are_heard_once(model):
    texts, awaited = [], []

    async def sink(text):
        awaited.append(text)

    handlers = [StreamCallbackHandler(texts.append), StreamCallbackHandler(sink)]
    stream = await model.astream_events("x", {"callbacks": handlers}, version="v3")
    async for _ in stream:
        pass
    assert "".join(texts) == TEXT
    assert "".join(awaited) == TEXT


def test_a_model_that_reports_a_text_in_two_ways_is_heard_once():
    texts, run_id = [], uuid.uuid4()
    handler = StreamCallbackHandler(texts.append)
    handler.on_llm_start({}, [], run_id=run_id)
    event = {
        "event": "content-block-delta",
        "index": 0,
        "delta": {"type": "text-delta", "text": "a"},
    }
    handler.on_llm_new_token("a", run_id=run_id)
    handler.on_stream_event(event, run_id=run_id)
    assert texts == ["a"]


def test_text_blocks_are_text_and_tool_calls_are_not():
    texts, run_id = [], uuid.uuid4()
    handler = StreamCallbackHandler(texts.append)
    handler.on_llm_start({}, [], run_id=run_id)
    blocks = [{"type": "text", "text": "a"}, {"type": "tool_call_chunk", "args": "{"}]
    handler.on_llm_new_token(blocks, run_id=run_id)
    handler.on_llm_new_token([blocks[1]], run_id=run_id)
    assert texts == ["a"]


def test_times_leave_the_sinks_own_time_out():
    clock, firsts, ends, run_id = Clock(), [], [], uuid.uuid4()

    def sink(text):
        clock.now += 0.5

    handler = StreamCallbackHandler(
        sink, on_first_token=firsts.append, on_end=ends.append, clock=clock
    )
    handler.on_chat_model_start({}, [], run_id=run_id)
    for wait in (2.0, 0.25, 0.125):
        clock.now += wait
        handler.on_llm_new_token("x", run_id=run_id)
    handler.on_llm_error(ConnectionError(), run_id=run_id)
    (times,) = ends
    assert firsts == [2.0]
    assert times.first_token_s == 2.0
    assert times.gaps_s == (0.25, 0.125)
    assert (times.sink_s, times.delivered, times.dropped) == (1.5, 3, 0)
    assert times.error == "ConnectionError"
    assert handler.latest is times
    assert not handler._calls


async def test_a_sink_that_raises_breaks_nothing_and_is_logged_once(model, caplog):
    async def bad(text):
        raise OSError("gone")

    def also_bad(text):
        raise OSError("gone")

    for sink in (bad, also_bad):
        handler = StreamCallbackHandler(sink)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            for _ in range(2):
                assert await drain(model.astream("x", config(handler))) == TEXT
        assert len(caplog.records) == 1
        assert "gone" in caplog.text
        assert (handler.latest.delivered, handler.latest.dropped) == (0, len(TEXT))


async def test_an_async_sink_that_hangs_pauses_the_stream_once(model, caplog):
    entered = []

    async def stuck(text):
        entered.append(text)
        await asyncio.Event().wait()

    handler = StreamCallbackHandler(stuck, max_pause_s=0.01)
    with caplog.at_level(logging.WARNING):
        assert await drain(model.astream("x", config(handler))) == TEXT
    assert entered == ["H"]
    assert "longer than 0.01 s" in caplog.text
    assert handler.latest.dropped == len(TEXT)


def test_a_sync_sink_that_takes_too_long_gets_nothing_more_of_that_call(caplog):
    clock, texts = Clock(), []

    def slow(text):
        texts.append(text)
        clock.now += 3

    handler = StreamCallbackHandler(slow, max_pause_s=1, clock=clock)
    for _ in range(2):
        run_id = uuid.uuid4()
        handler.on_llm_start({}, [], run_id=run_id)
        handler.on_llm_new_token("a", run_id=run_id)
        handler.on_llm_new_token("b", run_id=run_id)
        handler.on_llm_end(None, run_id=run_id)
    assert texts == ["a", "a"]
    assert len(caplog.records) == 1


async def test_a_timeout_of_the_sinks_own_is_reported_as_its_error(model, caplog):
    async def bad(text):
        raise TimeoutError("mine")

    await drain(model.astream("x", config(StreamCallbackHandler(bad))))
    assert "mine" in caplog.text


async def test_cancelling_reaches_a_call_that_waits_for_its_sink(model):
    entered = asyncio.Event()

    async def stuck(text):
        entered.set()
        await asyncio.Event().wait()

    handler = StreamCallbackHandler(stuck, max_pause_s=30)
    task = asyncio.create_task(drain(model.astream("x", config(handler))))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_listeners_that_raise_break_nothing(caplog):
    def bad(value):
        raise OSError("gone")

    model = GenericFakeChatModel(messages=iter([AIMessage("a b")]))
    handler = StreamCallbackHandler(lambda _: None, on_first_token=bad, on_end=bad)
    assert "".join(c.content for c in model.stream("x", config(handler))) == "a b"
    assert len(caplog.records) == 1


def test_calls_that_never_end_are_forgotten_in_the_end(monkeypatch):
    home = "langchain_llmops.streaming.stream_callback_handler._MOST_CALLS"
    monkeypatch.setattr(home, 3)
    handler = StreamCallbackHandler(lambda _: None)
    for _ in range(10):
        handler.on_llm_start({}, [], run_id=uuid.uuid4())
    assert len(handler._calls) == 3
