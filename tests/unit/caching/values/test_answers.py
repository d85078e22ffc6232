"""A hit costs nothing and says what it saved."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_llmops.caching.values.answers import replay, stored_answer
from langchain_llmops.caching.values.codec import StoredAnswer
from langchain_llmops.pricing import Prices, UsdPerMillion

USAGE = {
    "input_tokens": 1_000,
    "output_tokens": 100,
    "total_tokens": 1_100,
    "input_token_details": {"cache_read": 400},
}


@pytest.fixture(scope="module")
def prices() -> Prices:
    own = UsdPerMillion(input="1", output="10")
    return Prices({"house-model": own, "my-deployment": own})


def answer(prices: Prices, *messages: AIMessage, model: str | None = None) -> Any:
    generations = [ChatGeneration(message=message) for message in messages]
    return stored_answer(generations, model=model, prices=prices, now=50.0)


def test_usage_is_zeroed_and_set_aside(prices: Prices):
    message = AIMessage(
        "four",
        id="run-1",
        usage_metadata=USAGE,
        response_metadata={
            "model_name": "house-model",
            "token_usage": {"total_tokens": 1_100, "details": {"x": 3}, "tier": "y"},
            "usage": {"input_tokens": 1_000},
            "finish_reason": "stop",
        },
    )
    stored = answer(prices, message)
    assert (stored.input_tokens, stored.output_tokens) == (1_000, 100)
    assert stored.total_tokens == 1_100
    assert stored.usd == 0.002
    replayed = stored.generations[0].message
    assert replayed.usage_metadata == {
        "input_tokens": 0,
        "output_tokens": 0,
        "total_tokens": 0,
        "input_token_details": {"cache_read": 0},
    }
    assert replayed.response_metadata == {
        "model_name": "house-model",
        "token_usage": {"total_tokens": 0, "details": {"x": 0}, "tier": "y"},
        "usage": {"input_tokens": 0},
        "finish_reason": "stop",
    }
    assert replayed.id is None
    # The caller's own message is left alone.
    assert message.usage_metadata == USAGE
    assert message.id == "run-1"


def test_usage_is_never_missing(prices: Prices):
    stored = answer(prices, AIMessage("four"))
    assert stored.generations[0].message.usage_metadata == {
        "input_tokens": 0,
        "output_tokens": 0,
        "total_tokens": 0,
    }
    assert (stored.total_tokens, stored.usd) == (0, None)


def test_n_answers_cost_what_one_call_costs(prices: Prices):
    message = AIMessage(
        "four", usage_metadata=USAGE, response_metadata={"model_name": "house-model"}
    )
    stored = answer(prices, message, message.model_copy())
    assert (stored.total_tokens, stored.usd) == (1_100, 0.002)


def test_the_name_that_was_asked_for_prices_what_names_no_model(prices: Prices):
    message = AIMessage("four", usage_metadata=USAGE)
    assert answer(prices, message, model="my-deployment").usd == 0.002
    assert answer(prices, message).usd is None
    assert answer(prices, message, model="unheard-of").usd is None
    dated = message.model_copy(
        update={"response_metadata": {"model_name": "gpt-4o-2024-08-06"}}
    )
    # An own price for the deployment goes before the list price of its model.
    assert answer(prices, dated, model="my-deployment").usd == 0.002


def test_text_answers_have_no_usage_and_no_mark(prices: Prices):
    generations = [Generation(text="four", generation_info={"a": 1})]
    stored = stored_answer(generations, model="m", prices=prices, now=50.0)
    hit = replay(
        stored, kind="exact", tier="memory", similarity=None, hit_id="k", now=60.0
    )
    assert hit.generations == generations
    assert hit.mark["age_s"] == 10.0


def test_every_message_of_a_hit_is_marked(prices: Prices):
    messages = [AIMessage("four"), AIMessage("vier")]
    generations = [ChatGeneration(message=message) for message in messages]
    stored = StoredAnswer(
        generations=generations,
        stored_at=50.0,
        input_tokens=1_000,
        output_tokens=100,
        total_tokens=1_100,
        usd=0.002,
    )
    hit = replay(
        stored, kind="semantic", tier="sqlite", similarity=0.97, hit_id="k", now=40.0
    )
    assert hit.mark == {
        "hit": True,
        "kind": "semantic",
        "tier": "sqlite",
        "similarity": 0.97,
        "age_s": 0.0,  # a clock that was set back makes no negative ages
        "saved_tokens": 1_100,
        "saved_input_tokens": 1_000,
        "saved_output_tokens": 100,
        "saved_usd": 0.002,
        "hit_id": "k",
    }
    marks = [g.message.response_metadata["cache"] for g in hit.generations]
    assert marks == [hit.mark, hit.mark]
    marks[0]["hit"] = False
    assert marks[1]["hit"]
    assert hit.mark["hit"]


def test_a_mark_of_another_cache_is_not_stored(prices: Prices):
    marked = AIMessage("four", response_metadata={"cache": {"hit": True}})
    assert answer(prices, marked).generations[0].message.response_metadata == {}
