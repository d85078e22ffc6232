"""Each call is booked once and exactly, however it is made and however often seen."""

from __future__ import annotations

import asyncio
import copy
import threading
from decimal import Decimal

import pytest
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel

from langchain_llmops.cost import CostCallbackHandler, CostReport
from langchain_llmops.errors import ConfigurationError

ONE_CALL = Decimal("0.0002")  # 100 tokens at 1, 10 at 10 dollars per million


def figures(report):
    return report.calls, report.input_tokens, report.output_tokens, report.usd


def calls_of(number):
    return number, 100 * number, 10 * number, ONE_CALL * number


def invoke(model, config):
    model.invoke("hi", config)


def stream(model, config):
    list(model.stream("hi", config))


def v3_events(model, config):
    list(model.stream_events("hi", config, version="v3"))


async def ainvoke(model, config):
    await model.ainvoke("hi", config)


async def astream(model, config):
    assert [chunk async for chunk in model.astream("hi", config)]


async def v2_events(model, config):
    assert [event async for event in model.astream_events("hi", config, version="v2")]


async def v3_events_async(model, config):
    events = await model.astream_events("hi", config, version="v3")
    assert [event async for event in events]
    await asyncio.sleep(0)  # core's producer task ends the run after the last event


SYNC = [invoke, stream, v3_events]
ASYNC = [ainvoke, astream, v2_events, v3_events_async]
QUIET = pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning")


@QUIET
@pytest.mark.parametrize("call", SYNC)
def test_sync_calls(call, scripted, costs):
    call(scripted(), {"callbacks": [costs]})
    assert figures(costs.report()) == calls_of(1)


@QUIET
@pytest.mark.parametrize("call", ASYNC)
async def test_async_calls(call, scripted, costs):
    await call(scripted(), {"callbacks": [costs]})
    assert figures(costs.report()) == calls_of(1)


def test_batches_and_several_prompts(scripted, costs):
    scripted().batch(["a", "b", "c"], {"callbacks": [costs]})
    scripted().generate([[HumanMessage("a")], [HumanMessage("b")]], callbacks=[costs])
    assert figures(costs.report()) == calls_of(5)


async def test_async_batches_and_several_prompts(scripted, costs):
    await scripted().abatch(["a", "b", "c"], {"callbacks": [costs]})
    messages = [[HumanMessage("a")], [HumanMessage("b")]]
    await scripted().agenerate(messages, callbacks=[costs])
    assert figures(costs.report()) == calls_of(5)


@pytest.mark.parametrize("call", [invoke, stream])
def test_several_choices_are_one_call_and_one_model(call, scripted, costs):
    call(scripted(choices=3), {"callbacks": [costs]})
    report = costs.report()
    assert figures(report) == calls_of(1)
    assert list(report.by_model) == ["fake-1"]


@pytest.mark.parametrize("call", [invoke, stream, v3_events])
@QUIET
def test_a_handler_that_is_bound_and_passed_books_once(call, scripted, costs):
    model = scripted(callbacks=[costs]).with_config(callbacks=[costs])
    chain = RunnableLambda(lambda text: text) | model
    if call is v3_events:
        chain = scripted(callbacks=[costs])
    call(chain, {"callbacks": [costs, costs]})
    assert figures(costs.report()) == calls_of(1)


def test_chains_in_chains_book_each_call_once(scripted, costs):
    prompt = ChatPromptTemplate.from_messages([("human", "{text}")])
    inner = prompt | scripted() | StrOutputParser()
    outer = RunnableParallel(a=inner, b=inner) | RunnableLambda(
        lambda answers: inner.invoke({"text": answers["a"]})
    )
    outer.invoke({"text": "x"}, {"callbacks": [costs]})
    assert figures(costs.report()) == calls_of(3)


@pytest.mark.parametrize("call", [invoke, stream])
@pytest.mark.parametrize("message_id", [None, "msg_1"])
def test_a_model_that_wraps_a_model_books_the_call_once(
    call, message_id, scripted, costs
):
    inner = scripted(message_id=message_id, callbacks=[costs])

    class Wrapper(scripted):
        def _generate(self, messages, *args, **kwargs):
            message = inner.invoke(messages)
            return ChatResult(generations=[ChatGeneration(message=message)])

        def _stream(self, messages, *args, **kwargs):
            for chunk in inner.stream(messages):
                yield ChatGenerationChunk(message=chunk)

    for _ in range(2):
        call(Wrapper(), {"callbacks": [costs]})
    assert figures(costs.report()) == calls_of(2)


def test_a_message_that_a_fake_hands_out_again_is_another_call(costs):
    usage = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
    said = {"model_name": "fake-1"}
    message = AIMessage("x", usage_metadata=usage, response_metadata=said)
    model = FakeMessagesListChatModel(responses=[message])
    for _ in range(2):
        model.invoke("hi", {"callbacks": [costs]})
    model.batch(["hi"] * 4, {"callbacks": [costs]})
    assert figures(costs.report()) == calls_of(6)


def test_fifty_threads_on_one_handler(scripted, costs):
    model = scripted(callbacks=[costs])
    threads = [threading.Thread(target=model.invoke, args=("hi",)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert figures(costs.report()) == calls_of(50)


def test_features_come_from_the_metadata(scripted, costs):
    config = {"callbacks": [costs], "metadata": {"feature": "search", "tenant": "a"}}
    (RunnableLambda(lambda text: text) | scripted()).invoke("hi", config)
    scripted().invoke("hi", {"callbacks": [costs], "metadata": {"feature": 7}})
    scripted().invoke("hi", {"callbacks": [costs], "metadata": {"feature": ["x"]}})
    parts = costs.report().by_feature
    assert {name: part.calls for name, part in parts.items()} == {
        "search": 1,
        "7": 1,
        "(none)": 1,
    }
    assert parts["search"] == CostReport(
        calls=1, input_tokens=100, output_tokens=10, usd=ONE_CALL
    )


def test_an_unknown_model_is_unpriced_and_not_free(scripted, costs):
    scripted(model="fake-2").invoke("hi", {"callbacks": [costs]})
    report = costs.report()
    assert (report.calls, report.unpriced, report.usd) == (1, 1, 0)
    assert report.by_model["fake-2"].input_tokens == 100


def test_the_tier_that_served_sets_the_price(scripted):
    costs = CostCallbackHandler()
    model = scripted(model="gpt-5", tier="flex")
    model.invoke("hi", {"callbacks": [costs]})
    list(model.stream("hi", {"callbacks": [costs]}))
    half = (Decimal("0.625") * 100 + 5 * 10) / 1_000_000
    assert costs.report().usd == 2 * half


def test_hour_long_cache_writes_of_a_stream_are_told_by_the_request(scripted):
    costs = CostCallbackHandler()
    written = {"cache_creation": 1_000}
    model = scripted(
        model="claude-haiku-4-5",
        usage={
            "input_tokens": 1_000,
            "output_tokens": 0,
            "total_tokens": 1_000,
            "input_token_details": written,
        },
    )
    for ttl in ("5m", "1h"):
        control = {"type": "ephemeral", "ttl": ttl}
        text = {"type": "text", "text": "long", "cache_control": control}
        list(model.stream([HumanMessage([text])], {"callbacks": [costs]}))
    assert costs.report().usd == Decimal("0.00125") + Decimal("0.002")


def test_a_copied_model_reports_to_the_same_handler(scripted, costs):
    copied = copy.deepcopy(scripted(callbacks=[costs]))
    copied.invoke("hi")
    assert figures(costs.report()) == calls_of(1)


def test_prices_of_the_wrong_type_are_refused_by_name():
    with pytest.raises(ConfigurationError, match=r"prices={'m': 1} are none"):
        CostCallbackHandler(prices={"m": 1})
