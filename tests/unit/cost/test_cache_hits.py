"""Cache hits cost nothing, are counted once, and say what they saved."""

from __future__ import annotations

from decimal import Decimal

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

from langchain_llmops.types import CACHE_KEY

ONE_CALL = Decimal("0.0002")
ASKED = [HumanMessage("hi")]


def shape(report):
    return report.calls, report.cache_hits, report.usd, report.saved_usd


@pytest.mark.parametrize("message_id", [None, "msg_1"])
@pytest.mark.parametrize("envelope", [True, False])
def test_a_hit_of_langchains_cache(message_id, envelope, scripted, costs):
    model = scripted(cache=InMemoryCache(), message_id=message_id, envelope=envelope)
    for _ in range(3):
        model.invoke("hi", {"callbacks": [costs], "metadata": {"feature": "faq"}})
    report = costs.report()
    assert shape(report) == (1, 2, ONE_CALL, 2 * ONE_CALL)
    assert (report.input_tokens, report.output_tokens) == (100, 10)
    assert shape(report.by_model["fake-1"]) == shape(report.by_feature["faq"])
    assert report.by_model["fake-1"].cache_hits == 2


async def test_an_async_hit_of_langchains_cache(scripted, costs):
    model = scripted(cache=InMemoryCache())
    for _ in range(2):
        await model.ainvoke("hi", {"callbacks": [costs]})
    assert shape(costs.report()) == (1, 1, ONE_CALL, ONE_CALL)


@pytest.mark.parametrize("message_id", [None, "msg_1"])
def test_the_same_prompt_twice_in_one_generate(message_id, scripted, costs):
    # The hit's stamp of zero cost lands on the paid call's message as well.
    model = scripted(cache=InMemoryCache(), message_id=message_id)
    model.generate([ASKED, ASKED], callbacks=[costs])
    assert shape(costs.report()) == (1, 1, ONE_CALL, ONE_CALL)


def test_the_same_prompt_twice_in_one_generate_of_a_streaming_model(scripted, costs):
    class Streaming(scripted):
        streaming: bool = True

    model = Streaming(cache=InMemoryCache(), message_id="msg_1", streaming=True)
    model.generate([ASKED, ASKED], callbacks=[costs])
    assert shape(costs.report()) == (1, 1, ONE_CALL, ONE_CALL)


def test_a_hit_whose_usage_was_never_known_saves_nothing_known(scripted, costs):
    model = scripted(cache=InMemoryCache(), usage=None)
    for _ in range(2):
        model.invoke("hi", {"callbacks": [costs]})
    report = costs.report()
    assert (report.calls, report.cache_hits, report.saved_usd) == (1, 1, 0)


def test_a_hit_of_an_unpriced_model_saves_no_known_amount(scripted, costs):
    model = scripted(cache=InMemoryCache(), model="fake-2")
    for _ in range(2):
        model.invoke("hi", {"callbacks": [costs]})
    report = costs.report()
    assert (report.cache_hits, report.saved_usd, report.unpriced) == (1, 0, 1)


def test_a_paid_call_that_reports_its_own_cost_is_no_hit(scripted, costs):
    usage = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
    scripted(usage={**usage, "total_cost": 0.3}).invoke("hi", {"callbacks": [costs]})
    assert shape(costs.report()) == (1, 0, ONE_CALL, 0)


def mark(**saved):
    figures = {
        "saved_tokens": 110,
        "saved_input_tokens": 100,
        "saved_output_tokens": 10,
    }
    return {
        "hit": True,
        "kind": "exact",
        "tier": "memory",
        "similarity": None,
        "age_s": 1.0,
        **figures,
        "saved_usd": 0.0003,
        "hit_id": "1",
        **saved,
    }


NOTHING = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


def replaying(scripted, cache_mark, *, on_first=True):
    """A model whose answers a layer of ours took out of a cache."""
    said = {"model_name": "fake-1", CACHE_KEY: cache_mark}

    class Replaying(scripted):
        def _generate(self, *args, **kwargs):
            message = AIMessage("x", usage_metadata=NOTHING, response_metadata=said)
            return ChatResult(generations=[ChatGeneration(message=message)])

        def _chunks(self):
            texts = {"first": "x", "last": "y"}
            marked = "first" if on_first else "last"
            for place, text in texts.items():
                yield ChatGenerationChunk(
                    message=AIMessageChunk(
                        text,
                        usage_metadata=NOTHING,
                        response_metadata=said if place == marked else {},
                    )
                )

    return Replaying()


@pytest.mark.parametrize("mode", ["invoke", "stream"])
@pytest.mark.parametrize(
    ("saved", "usd"),
    [
        ({}, "0.0003"),
        ({"saved_usd": None}, "0.0002"),  # priced here, from the tokens
        ({"saved_usd": None, "saved_input_tokens": None}, "0.0001"),
        ({"saved_usd": float("nan")}, "0.0002"),
        ({"saved_usd": -1}, "0.0002"),
    ],
)
def test_a_marked_answer_is_a_hit(mode, saved, usd, scripted, costs):
    model = replaying(scripted, mark(**saved))
    if mode == "invoke":
        model.invoke("hi", {"callbacks": [costs]})
    else:
        list(model.stream("hi", {"callbacks": [costs]}))
    assert shape(costs.report()) == (0, 1, 0, Decimal(usd))


def test_a_replay_that_its_reader_leaves_is_a_hit(scripted, costs):
    stream = replaying(scripted, mark()).stream("hi", {"callbacks": [costs]})
    next(stream)
    stream.close()
    assert shape(costs.report()) == (0, 1, 0, Decimal("0.0003"))


def test_a_mark_of_a_miss_is_no_hit(scripted, costs):
    model = replaying(scripted, {"hit": False})
    model.invoke("hi", {"callbacks": [costs]})
    report = costs.report()
    assert (report.calls, report.cache_hits) == (1, 0)
