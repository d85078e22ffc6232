"""What a router does when a stream breaks off, and what its streams look like."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ModelConnectionError
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.tracers._streaming import _V2StreamingCallbackHandler

from langchain_llmops import FailoverPolicy, ModelRouter
from langchain_llmops.routing import partial_message
from langchain_llmops.routing.catalog import default_catalog
from langchain_llmops.types import FAILOVER_EVENT

default_catalog()  # list prices are read from disk, once


def cut():
    return [ModelConnectionError("cut")]


def read(router, how, prompt="hi", config=None):
    """Return the chunks of a stream, and the error that ended it."""
    chunks, error = [], None

    async def aread():
        async with aclosing(router.astream(prompt, config)) as stream:
            async for chunk in stream:
                chunks.append(chunk)  # noqa: PERF401 - what came before an error counts

    try:
        if how == "astream":
            asyncio.run(aread())
        else:
            for chunk in router.stream(prompt, config):
                chunks.append(chunk)  # noqa: PERF402 - what came before an error counts
    except ModelConnectionError as raised:
        error = raised
    return chunks, error


def merged(chunks):
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    return whole


@pytest.mark.parametrize("how", ["stream", "astream"])
class TestMidStream:
    def test_raise_carries_what_had_been_handed_out(self, how, fake, timing):
        fails = cut()
        a, b = fake("a", fails=fails[:], breaks_after=2), fake("b")
        chunks, error = read(ModelRouter([a, b], timing=timing), how)
        assert error is fails[0]
        assert [chunk.text for chunk in chunks] == ["a", " says"]
        assert partial_message(error).text == "a says"
        assert b.model.calls == 0

    def test_a_break_before_the_first_word_is_not_seen(self, how, fake, timing):
        words = [AIMessageChunk(content=""), "a", " says"]
        a = fake("a", fails=cut(), breaks_after=1, words=words)
        chunks, error = read(ModelRouter([a, fake("b")], timing=timing), how)
        assert error is None
        whole = merged(chunks)
        assert whole.text == "b says hi"
        assert whole.response_metadata["routing_events"] == [
            {"event": "start", "model": "b"}
        ]

    def test_restart_tells_that_what_came_before_is_void(self, how, fake, timing):
        a, b = fake("a", fails=cut(), breaks_after=2), fake("b")
        policy = FailoverPolicy(mid_stream="restart")
        chunks, error = read(ModelRouter([a, b], None, policy, timing=timing), how)
        assert error is None
        [mark] = [
            place
            for place, chunk in enumerate(chunks)
            for event in chunk.response_metadata.get("routing_events", ())
            if event == {"event": "restart", "model": "b"}
        ]
        assert merged(chunks[mark:]).text == "b says hi"
        assert merged(chunks).response_metadata["routing"]["attempts"] == 2

    def test_continue_asks_to_go_on_and_marks_the_seam(self, how, fake, timing):
        a = fake("a", fails=cut(), breaks_after=2)
        b = fake("b", words=[" hello", "."])
        policy = FailoverPolicy(mid_stream="continue")
        chunks, _ = read(ModelRouter([a, b], None, policy, timing=timing), how)
        whole = merged(chunks)
        assert whole.text == "a says hello."
        assert whole.response_metadata["routing_events"] == [
            {"event": "start", "model": "a"},
            {"event": "continue", "model": "b"},
        ]
        [prompt] = b.model.prompts
        assert [(m.type, m.text) for m in prompt] == [("human", "hi"), ("ai", "a says")]

    def test_continue_refuses_half_a_tool_call(self, how, fake, timing):
        half = {"name": "look", "args": '{"a": ', "id": "1", "index": 0}
        piece = AIMessageChunk(content="", tool_call_chunks=[half])
        a = fake("a", fails=cut(), breaks_after=1, words=[piece, "x"])
        policy = FailoverPolicy(mid_stream="continue")
        router = ModelRouter([a, fake("b")], None, policy, timing=timing)
        chunks, error = read(router, how)
        assert len(chunks) == 1
        assert partial_message(error).tool_call_chunks[0]["name"] == "look"

    def test_a_second_break_is_met_in_the_same_way(self, how, fake, timing):
        a = fake("a", fails=cut(), breaks_after=2)
        b = fake("b", fails=cut(), breaks_after=1)
        c = fake("c", words=["!"])
        policy = FailoverPolicy(mid_stream="continue")
        chunks, _ = read(ModelRouter([a, b, c], None, policy, timing=timing), how)
        assert merged(chunks).text == "a saysb!"
        assert [m.text for m in c.model.prompts[0]] == ["hi", "a saysb"]


class Shown(BaseCallbackHandler, _V2StreamingCallbackHandler):
    """A graph that streams: tokens reach it while the router is in `invoke`."""

    run_inline = True

    def __init__(self):
        self.text = ""
        self.events = []

    def on_stream_event(self, event, **kwargs):
        if event["event"] == "content-block-delta":
            self.text += event["delta"]["text"]

    def on_custom_event(self, name, data, **kwargs):
        self.events.append((name, data["model"], data["next"], data["kind"]))


@pytest.mark.parametrize("how", ["invoke", "ainvoke"])
class TestTokensShownByHandlers:
    """An `invoke` whose tokens a handler shows is a stream to whoever watches."""

    def run(self, router, how, handler):
        config = {"callbacks": [handler]}
        if how == "invoke":
            return router.invoke("hi", config)
        return asyncio.run(router.ainvoke("hi", config))

    def test_raise_does_not_show_a_second_answer(self, how, fake, timing):
        a, b = fake("a", fails=cut(), breaks_after=2), fake("b")
        shown = Shown()
        with pytest.raises(ModelConnectionError) as raised:
            self.run(ModelRouter([a, b], timing=timing), how, shown)
        assert partial_message(raised.value).text == shown.text == "a says"

    def test_restart_is_told_by_an_event(self, how, fake, timing):
        a, b = fake("a", fails=cut(), breaks_after=2), fake("b")
        policy = FailoverPolicy(mid_stream="restart")
        shown = Shown()
        answer = self.run(ModelRouter([a, b], None, policy, timing=timing), how, shown)
        assert answer.text == "b says hi"
        assert shown.events == [(FAILOVER_EVENT, "a", "b", "connection")]

    def test_continue_returns_both_parts(self, how, fake, timing):
        a = fake("a", fails=cut(), breaks_after=2)
        b = fake("b", words=[" hello"])
        policy = FailoverPolicy(mid_stream="continue")
        shown = Shown()
        answer = self.run(ModelRouter([a, b], None, policy, timing=timing), how, shown)
        assert answer.text == shown.text == "a says hello"


class Log(BaseCallbackHandler):
    run_inline = True

    def __init__(self):
        self.log = []
        self.answer = None

    def on_chain_start(self, serialized, inputs, **kwargs):
        self.log.append("chain start")

    def on_chain_end(self, outputs, **kwargs):
        self.log.append("chain end")
        self.answer = outputs

    def on_chain_error(self, error, **kwargs):
        self.log.append(f"chain {type(error).__name__}")

    def on_chat_model_start(self, *args, **kwargs):
        self.log.append("llm start")

    def on_llm_end(self, response, **kwargs):
        self.log.append("llm end")

    def on_llm_error(self, error, **kwargs):
        self.log.append(f"llm {type(error).__name__}")


@pytest.mark.parametrize("how", ["stream", "astream"])
def test_the_run_says_what_holds_after_a_restart(how, fake, timing):
    a, b = fake("a", fails=cut(), breaks_after=2), fake("b")
    policy, log = FailoverPolicy(mid_stream="restart"), Log()
    router = ModelRouter([a, b], None, policy, timing=timing)
    read(router, how, config={"callbacks": [log]})
    assert log.answer.text == "b says hi"
    assert log.log == [
        "chain start",
        "llm start",
        "llm ModelConnectionError",
        "llm start",
        "llm end",
        "chain end",
    ]


def test_a_reader_who_leaves_ends_the_runs_from_the_inside_out(fake):
    log = Log()
    stream = ModelRouter([fake("a")]).stream("hi", {"callbacks": [log]})
    next(stream)
    stream.close()
    assert log.log == ["chain start", "llm start", "llm GeneratorExit", "chain end"]


async def test_a_cancelled_ainvoke_leaves_no_run_open(fake):
    log, a = Log(), fake("a", hangs=True)
    router = ModelRouter([a])
    task = asyncio.create_task(router.ainvoke("hi", {"callbacks": [log]}))
    while not a.model.calls:  # noqa: ASYNC110 - a step of the loop or two
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert log.log == [
        "chain start",
        "llm start",
        "llm CancelledError",
        "chain CancelledError",
    ]
    assert a.model.cancelled == 1
    assert router._desk.board.snapshot()["a"].outstanding == 0


async def test_a_loser_of_a_hedge_leaves_no_run_open(fake):
    log = Log()
    router = ModelRouter(
        [fake("a", hangs=True), fake("b")], failover=FailoverPolicy(hedge_after=0.01)
    )
    await router.ainvoke("hi", {"callbacks": [log]})
    assert sorted(log.log) == [
        "chain end",
        "chain start",
        "llm CancelledError",
        "llm end",
        "llm start",
        "llm start",
    ]


def test_a_model_that_cannot_stream_gives_one_chunk(fake):
    a = fake("a")
    a.model.disable_streaming = True
    [chunk] = ModelRouter([a]).stream([HumanMessage("hi")])
    assert isinstance(chunk, AIMessageChunk)
    assert chunk.text == "a says hi"
    assert chunk.response_metadata["routing"]["model"] == "a"


def test_a_router_told_not_to_stream_does_not(fake):
    [chunk] = ModelRouter([fake("a")], disable_streaming=True).stream("hi")
    assert chunk.text == "a says hi"


@pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"
)
class TestEventsV3:
    def test_a_failed_stream_raises_and_closes_its_run(self, fake, timing):
        log = Log()
        a = fake("a", fails=cut(), breaks_after=2)
        router = ModelRouter([a], timing=timing)
        stream = router.stream_events("hi", {"callbacks": [log]}, version="v3")
        assert "".join(_until(stream.text)) == "a says"
        assert log.log[-1] == "chain ModelConnectionError"

    async def test_an_asynchronous_one_too(self, fake, timing):
        log = Log()
        a = fake("a", fails=cut(), breaks_after=2)
        router = ModelRouter([a], timing=timing)
        stream = await router.astream_events("hi", {"callbacks": [log]}, version="v3")
        with pytest.raises(ModelConnectionError):
            await stream.output
        assert log.log[-1] == "chain ModelConnectionError"

    async def test_closing_one_cancels_the_call(self, fake):
        log, a = Log(), fake("a", hangs=True)
        router = ModelRouter([a])
        async with await router.astream_events(
            "hi", {"callbacks": [log]}, version="v3"
        ) as stream:
            reading = asyncio.create_task(anext(aiter(stream.text)))
            while not a.model.calls:  # noqa: ASYNC110 - a step of the loop or two
                await asyncio.sleep(0)
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert a.model.cancelled == 1
        assert log.log[-1] == "chain CancelledError"


def _until(deltas):
    try:
        yield from deltas
    except ModelConnectionError:
        return
