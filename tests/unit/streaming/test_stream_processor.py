from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import StrOutputParser
from langchain_core.runnables import RunnableGenerator

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.streaming import StreamProcessor, StreamTimeoutError

LIMIT = 0.02


async def stream_of(*items):
    for item in items:
        yield item


async def hanging(*items, closed=None):
    try:
        for item in items:
            yield item
        await asyncio.Event().wait()
    finally:
        if closed is not None:
            closed.set()


async def all_of(stream):
    return [item async for item in stream]


async def until_error(stream):
    seen = []
    try:
        async for item in stream:
            seen.append(item)  # noqa: PERF401 # kept when it raises
    except Exception as error:  # noqa: BLE001 # the caller looks at it
        return seen, error
    return seen, None


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("flush_chars", 0),
        ("flush_ms", -1),
        ("first_token_timeout_s", 0),
        ("idle_timeout_s", -0.5),
        ("total_timeout_s", float("nan")),
        ("boundary", "paragraph"),
    ],
)
def test_a_wrong_argument_is_named_with_its_value(argument, value):
    with pytest.raises(ConfigurationError, match=f"{argument}={value!r}"):
        StreamProcessor(**{argument: value})


def test_a_chain_streams_sentences_of_the_models_own_chunk_type():
    model = FakeListChatModel(responses=["Tea is hot. Drink it slowly."])
    chunks = list((model | StreamProcessor(boundary="sentence")).stream("Hi"))
    assert all(type(chunk) is AIMessageChunk for chunk in chunks)
    texts = [chunk.content for chunk in chunks if chunk.content]
    assert texts == ["Tea is hot. ", "Drink it slowly."]
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].chunk_position == "last"


async def test_async_and_sync_give_the_same_pieces():
    model = FakeListChatModel(responses=["One two three.\nFour five six. " * 5])
    for settings in (
        {},
        {"boundary": "word"},
        {"boundary": "line"},
        {"flush_chars": 7},
        {"flush_chars": 9, "boundary": "word", "idle_timeout_s": 20},
    ):
        chain = model | StrOutputParser() | StreamProcessor(**settings)
        sync = await asyncio.to_thread(lambda chain=chain: list(chain.stream("Hi")))
        assert await all_of(chain.astream("Hi")) == sync
        assert "".join(sync) == model.responses[0]


async def test_a_whole_answer_passes_as_the_object_it_is():
    answer = AIMessage("Hello")
    processor = StreamProcessor(boundary="word", idle_timeout_s=1)
    assert processor.invoke(answer) is answer
    assert await processor.ainvoke(answer) is answer
    assert list(processor.stream("a b")) == ["a ", "b"]
    assert await all_of(processor.astream("a b")) == ["a ", "b"]


async def test_no_first_token_in_time():
    processor = StreamProcessor(first_token_timeout_s=LIMIT)
    closed = asyncio.Event()
    seen, error = await until_error(processor.atransform(hanging("", closed=closed)))
    assert seen == [""]
    assert isinstance(error, StreamTimeoutError)
    assert isinstance(error, TimeoutError)
    assert (error.kind, error.limit_s, error.partial_text) == ("first_token", LIMIT, "")
    assert closed.is_set()


async def test_a_stream_that_stops_gives_what_it_brought_and_then_the_error():
    processor = StreamProcessor(idle_timeout_s=LIMIT, boundary="line")
    closed = asyncio.Event()
    seen, error = await until_error(
        processor.atransform(hanging("one\ntw", "o", closed=closed))
    )
    assert seen == ["one\n", "two"]
    assert (error.kind, error.partial_text) == ("idle", "one\ntwo")
    assert "7 characters" in str(error)
    assert closed.is_set()


async def test_the_total_limit_holds_for_a_stream_that_never_stops():
    async def endless():
        while True:
            yield "x"
            await asyncio.sleep(0)

    processor = StreamProcessor(total_timeout_s=LIMIT, idle_timeout_s=30)
    _, error = await until_error(processor.atransform(endless()))
    assert error.kind == "total"
    assert set(error.partial_text) == {"x"}


async def test_held_back_text_comes_out_in_time_while_the_stream_is_silent():
    processor = StreamProcessor(flush_ms=5, boundary="sentence")
    async with aclosing(processor.atransform(hanging("No full st"))) as pieces:
        assert await anext(pieces) == "No full st"


def test_a_sync_stream_that_hangs_ends_in_time_all_the_same():
    go_on = threading.Event()

    def upstream():
        yield "abc"
        go_on.wait(10)

    seen = []
    processor = StreamProcessor(idle_timeout_s=LIMIT, flush_chars=10)
    with pytest.raises(StreamTimeoutError) as caught:
        seen.extend(processor.transform(upstream()))
    go_on.set()
    assert caught.value.partial_text == "abc"


def test_a_sync_stream_flushes_in_time_and_closes_when_left():
    closed, go_on = threading.Event(), threading.Event()

    def upstream():
        try:
            yield "abc"
            go_on.wait(10)
            yield from "x" * 100
        finally:
            closed.set()

    pieces = StreamProcessor(flush_ms=5, boundary="line").transform(upstream())
    assert next(pieces) == "abc"
    pieces.close()
    go_on.set()
    assert closed.wait(5)


@pytest.mark.parametrize("settings", [{}, {"idle_timeout_s": 30.0}])
async def test_an_error_is_the_same_object_and_comes_after_the_text(settings):
    failure = ConnectionError("cut")
    processor = StreamProcessor(boundary="line", **settings)

    def cut():
        yield "half a li"
        raise failure

    async def acut():
        yield "half a li"
        raise failure

    seen, error = await until_error(processor.atransform(acut()))
    assert seen == ["half a li"]
    assert error is failure
    got = []
    with pytest.raises(ConnectionError) as caught:
        await asyncio.to_thread(lambda: got.extend(processor.transform(cut())))
    assert caught.value is failure


@pytest.mark.parametrize("settings", [{}, {"idle_timeout_s": 30.0}])
async def test_leaving_a_stream_closes_its_source(settings):
    closed = asyncio.Event()
    processor = StreamProcessor(**settings)
    async with aclosing(processor.atransform(hanging("a", closed=closed))) as pieces:
        assert await anext(pieces) == "a"
    assert closed.is_set()


async def test_cancelling_a_chain_closes_the_source():
    closed, begun = asyncio.Event(), asyncio.Event()

    async def upstream(_):
        async with aclosing(hanging("a", closed=closed)) as items:
            async for item in items:
                yield item

    source = RunnableGenerator(upstream)

    async def consume():
        async for _ in (source | StreamProcessor()).astream("x"):
            begun.set()

    task = asyncio.create_task(consume())
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    del task  # core leaves a generator to the collector; the task's error may hold it
    async with asyncio.timeout(5):
        await closed.wait()


async def test_a_swallowed_cancellation_is_not_lost():
    begun, closed = asyncio.Event(), asyncio.Event()

    async def swallowing():
        # What asyncio.wait_for of Python 3.11 does when a chunk comes just then.
        try:
            for _ in range(100):
                try:
                    yield "x"
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    continue
        finally:
            closed.set()

    async def consume():
        async for _ in StreamProcessor().atransform(swallowing()):
            begun.set()

    task = asyncio.create_task(consume())
    await begun.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert closed.is_set()


async def test_a_slow_consumer_holds_the_stream_up():
    made = 0

    async def source():
        nonlocal made
        for _ in range(1000):
            made += 1
            yield "x"

    processor = StreamProcessor()
    async with aclosing(processor.atransform(source())) as pieces:
        await anext(pieces)
        for _ in range(50):
            await asyncio.sleep(0)
        assert made <= 20
        rest = [piece async for piece in pieces]
    assert len(rest) == 999


async def test_the_consumers_own_time_is_not_idle():
    processor = StreamProcessor(idle_timeout_s=LIMIT)
    seen = []
    async for piece in processor.atransform(stream_of("a", "b")):
        seen.append(piece)
        await asyncio.sleep(LIMIT * 2)
    assert seen == ["a", "b"]
