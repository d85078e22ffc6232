"""Calls that end early are estimated, refused ones cost nothing, none is lost."""

from __future__ import annotations

import asyncio

import httpx
import openai
import pytest
from langchain_core.exceptions import ModelRateLimitError, ModelTimeoutError
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.runnables import RunnableLambda

from langchain_llmops.tokens import TokenCounter

QUIET = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")
COUNTER = TokenCounter("fake-1")
INPUT = COUNTER.count_messages([HumanMessage("hi")])
MODES = {
    "invoke": lambda model, config: model.invoke("hi", config),
    "stream": lambda model, config: list(model.stream("hi", config)),
}
REQUEST = httpx.Request("POST", "http://localhost/v1")


def shape(report):
    return report.calls, report.estimated, report.unsettled, report.unpriced


def test_a_stream_that_its_reader_leaves_is_counted_up_to_there(scripted, costs):
    stream = scripted().stream("hi", {"callbacks": [costs]})
    seen = next(stream).content + next(stream).content
    stream.close()
    report = costs.report()
    assert shape(report) == (1, 1, 0, 0)
    assert report.input_tokens == INPUT
    assert report.output_tokens == COUNTER.count(seen)
    assert report.usd > 0


async def test_an_async_stream_that_its_reader_leaves(scripted, costs):
    stream = scripted().astream("hi", {"callbacks": [costs]})
    seen = (await anext(stream)).content
    await stream.aclose()
    report = await costs.areport()
    assert shape(report) == (1, 1, 0, 0)
    assert report.output_tokens == COUNTER.count(seen)


@QUIET
def test_v3_events_that_break_off(scripted, costs):
    model = scripted(fails_after=2, error=RuntimeError("cut"))
    with pytest.raises(RuntimeError, match="cut"):
        list(model.stream_events("hi", {"callbacks": [costs]}, version="v3"))
    report = costs.report()
    assert shape(report) == (1, 1, 0, 0)
    assert report.output_tokens == COUNTER.count("Hello there")


def test_a_stream_that_fails_midway_and_its_fallback_are_two_calls(scripted, costs):
    broken = scripted(fails_after=2, error=RuntimeError("cut"))
    config = {"callbacks": [costs]}
    with pytest.raises(RuntimeError, match="cut"):
        list(broken.stream("hi", config))
    scripted().invoke("hi", config)
    report = costs.report()
    assert shape(report) == (2, 1, 0, 0)
    assert report.input_tokens == INPUT + 100
    assert report.output_tokens == COUNTER.count("Hello there") + 10


def test_an_invoke_that_streams_and_fails_midway_is_estimated(scripted, costs):
    class Streaming(scripted):
        streaming: bool = True

    broken = Streaming(fails_after=1, error=RuntimeError("cut"), streaming=True)
    with pytest.raises(RuntimeError, match="cut"):
        broken.invoke("hi", {"callbacks": [costs]})
    assert costs.report().output_tokens == COUNTER.count("Hello")


def test_a_handler_attached_twice_sees_each_chunk_once(scripted, costs):
    model = scripted(callbacks=[costs], fails_after=2, error=RuntimeError("cut"))
    bound = model.with_config(callbacks=[costs])
    with pytest.raises(RuntimeError, match="cut"):
        list(bound.stream("hi", {"callbacks": [costs]}))
    assert costs.report().output_tokens == COUNTER.count("Hello there")


def test_a_reader_that_leaves_before_the_first_token_leaves_the_input(scripted, costs):
    model = scripted(error=GeneratorExit())
    with pytest.raises(GeneratorExit):
        list(model.stream("hi", {"callbacks": [costs]}))
    report = costs.report()
    assert shape(report) == (1, 1, 0, 0)
    assert (report.input_tokens, report.output_tokens) == (INPUT, 0)


@pytest.mark.parametrize("mode", MODES)
def test_an_answer_without_usage_is_estimated(mode, scripted, costs):
    MODES[mode](scripted(usage=None), {"callbacks": [costs]})
    report = costs.report()
    assert shape(report) == (1, 1, 0, 0)
    assert report.output_tokens == COUNTER.count("Hello there world")
    assert report.usd > 0


def test_an_estimate_of_an_unknown_model_is_unpriced(scripted, costs):
    scripted(usage=None, model="fake-2").invoke("hi", {"callbacks": [costs]})
    assert shape(costs.report()) == (1, 1, 0, 1)


def test_usage_that_came_before_the_break_is_kept(scripted, costs):
    usage = {"input_tokens": 77, "output_tokens": 2, "total_tokens": 79}

    class Early(scripted):
        def _chunks(self):
            yield ChatGenerationChunk(message=AIMessageChunk("", usage_metadata=usage))
            yield from super()._chunks()

    stream = Early().stream("hi", {"callbacks": [costs]})
    for _ in range(4):
        next(stream)
    stream.close()
    report = costs.report()
    assert report.input_tokens == 77
    assert report.output_tokens == COUNTER.count("Hello there world")


def status_error(code):
    response = httpx.Response(code, request=REQUEST)
    return openai.APIStatusError("no", response=response, body=None)


def connection_error(cause):
    error = openai.APIConnectionError(request=REQUEST)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        status_error(400),
        status_error(401),
        status_error(429),
        status_error(503),
        ModelRateLimitError("slow down"),
        connection_error(httpx.ConnectError("refused")),
        connection_error(httpx.PoolTimeout("full")),
        ConnectionRefusedError(),
    ],
    ids=repr,
)
@pytest.mark.parametrize("mode", MODES)
def test_a_refused_request_is_no_call(error, mode, scripted, costs):
    model = scripted(error=error)
    with pytest.raises(type(error)):
        MODES[mode](model, {"callbacks": [costs]})
    assert costs.report().calls == 0


@pytest.mark.parametrize(
    "error",
    [
        ModelTimeoutError("late"),
        openai.APITimeoutError(REQUEST),
        connection_error(httpx.ReadError("cut")),
        ValueError("no JSON"),
        KeyboardInterrupt(),
    ],
    ids=repr,
)
def test_a_request_of_unknown_end_is_unsettled(error, scripted, costs):
    with pytest.raises(type(error)):
        scripted(error=error).invoke("hi", {"callbacks": [costs]})
    report = costs.report()
    assert shape(report) == (1, 0, 1, 0)
    assert (report.input_tokens, report.usd) == (0, 0)
    assert report.by_model["fake-1"].unsettled == 1


async def test_a_cancelled_call_is_unsettled(scripted, costs):
    started = asyncio.Event()

    class Hanging(scripted):
        async def _agenerate(self, *args, **kwargs):
            started.set()
            await asyncio.Event().wait()

    config = {"callbacks": [costs], "metadata": {"feature": "chat"}}
    task = asyncio.create_task(Hanging().ainvoke("hi", config))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    report = await costs.areport()
    assert shape(report) == (1, 0, 1, 0)
    assert report.by_feature["chat"].unsettled == 1


def test_a_call_under_way_is_unsettled_until_it_ends(scripted, costs):
    seen = []

    class Looking(scripted):
        def _generate(self, *args, **kwargs):
            seen.append(costs.report())
            return super()._generate(*args, **kwargs)

    (Looking() | RunnableLambda(str)).invoke("hi", {"callbacks": [costs]})
    assert shape(seen[0]) == (1, 0, 1, 0)
    assert shape(costs.report()) == (1, 0, 0, 0)


def test_siblings_of_a_failing_prompt_are_unsettled(scripted, costs):
    class Second(scripted):
        def _generate(self, messages, *args, **kwargs):
            if messages[0].content == "bad":
                raise status_error(400)
            return super()._generate(messages, *args, **kwargs)

    with pytest.raises(openai.APIStatusError):
        Second().generate(
            [[HumanMessage("ok")], [HumanMessage("bad")]], callbacks=[costs]
        )
    assert shape(costs.report()) == (1, 0, 1, 0)
