"""Requests differ exactly where answers may."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import BaseModel

from langchain_llmops.caching.requests.canonical import NotCanonicalError
from langchain_llmops.caching.requests.keys import asks_for_several, request_from_call
from langchain_llmops.models import ModelCall

if TYPE_CHECKING:
    from langchain_llmops.caching.base import CacheRequest

TOOL = {"type": "function", "function": {"name": "weather", "parameters": {}}}


@pytest.fixture
def call(counting: Any) -> ModelCall:
    return ModelCall(
        model=counting(),
        messages=[SystemMessage("Be brief."), HumanMessage("What is 2 + 2?")],
        stop=None,
        kwargs={},
        config={},
        run_manager=None,
    )


def request(call: ModelCall, **changes: Any) -> CacheRequest:
    return request_from_call(replace(call, **changes))


def configured(call: ModelCall, **switches: Any) -> CacheRequest:
    return request(call, config={"configurable": switches})


# --- scope and switches


def test_scopes_do_not_share(call: ModelCall):
    keys = {
        request(call).key,
        configured(call, cache_scope="a").key,
        configured(call, cache_scope="b").key,
        configured(call, cache_scope=("a", "b")).key,
        configured(call, cache_scope="").key,
        configured(call, cache_scope=0).key,
    }
    assert len(keys) == 6
    assert configured(call, cache_scope="a").partition != request(call).partition


def test_the_tenant_is_the_scope_unless_one_is_given(call: ModelCall):
    tenant = request(call, config={"metadata": {"tenant": "acme"}})
    assert tenant.key == configured(call, cache_scope="acme").key
    both = {"metadata": {"tenant": "acme"}, "configurable": {"cache_scope": "team"}}
    assert request(call, config=both).key == configured(call, cache_scope="team").key


def test_other_metadata_does_not_count(call: ModelCall):
    config = {"metadata": {"user": "u"}, "tags": ["t"], "run_id": "r", "callbacks": []}
    assert request(call, config=config) == request(call)


def test_switches_leave_the_key_alone(call: ModelCall):
    bypass = configured(call, cache_bypass=True)
    no_store = configured(call, cache_no_store=True)
    assert bypass.key == no_store.key == request(call).key
    assert (bypass.read, bypass.store) == (False, True)
    assert (no_store.read, no_store.store) == (True, False)


def test_a_scope_without_a_text_is_refused(call: ModelCall):
    with pytest.raises(NotCanonicalError):
        configured(call, cache_scope=object())


def test_an_answer_about_a_failed_tool_is_not_stored(call: ModelCall):
    used = AIMessage("", tool_calls=[{"name": "w", "args": {}, "id": "1"}])
    failed = ToolMessage("timeout", tool_call_id="1", status="error")
    worked = ToolMessage("sun", tool_call_id="1")
    ask, more = HumanMessage("weather?"), HumanMessage("and tomorrow?")
    assert not request(call, messages=[ask, used, failed]).store
    assert not request(call, messages=[ask, used, failed, worked]).store
    assert request(call, messages=[ask, used, worked]).store
    assert request(call, messages=[ask, used, failed, AIMessage("hm"), more]).store


# --- the semantic step


def test_the_question_is_the_last_human_turn_alone(call: ModelCall):
    turns = [*call.messages, AIMessage("4"), HumanMessage(" And 3 + 3? ")]
    assert request(call, messages=turns).question == "And 3 + 3?"


def test_questions_of_one_partition_have_keys_of_their_own(call: ModelCall):
    one = request(call)
    other = request(call, messages=[call.messages[0], HumanMessage("What is 3 + 3?")])
    assert one.partition == other.partition
    assert one.key != other.key


@pytest.mark.parametrize(
    "kwargs",
    [
        {"tools": [TOOL]},
        {"functions": [{"name": "f"}]},
        {"n": 2},
        {"temperature": 1.2},
        {"temperature": "hot"},
    ],
)
def test_tools_several_answers_and_heat_bypass_it(
    call: ModelCall, kwargs: dict[str, Any]
):
    assert request(call).question is not None
    assert request(call, kwargs=kwargs).question is None


def test_a_hot_model_bypasses_it(call: ModelCall, counting: Any):
    assert request(call, model=counting(temperature=1.1)).question is None
    assert request(call, model=counting(temperature=1.0)).question is not None


def test_the_model_is_the_one_asked_for(call: ModelCall):
    assert request(call).model == "gpt-4o-mini"
    assert request(call, kwargs={"model": "gpt-4o"}).model == "gpt-4o"


def test_several_answers_may_be_asked_for_in_two_ways(call: ModelCall, counting: Any):
    assert not asks_for_several(call)
    assert asks_for_several(replace(call, kwargs={"n": 3}))
    assert asks_for_several(replace(call, model=counting(n=2)))


# --- never a wrong partition

SYSTEMS = ["", "Be brief.", "Be  brief.", "You are a pirate."]
TEXTS = ["What is 2 + 2?", "What is 2+2?", "", "x", "Why?", '["x"]', "x\x00", "é"]
SCOPES = [None, "", "a", "b", 0, ["a"], "a\n"]
MODELS = ["gpt-4o", "gpt-4o-mini"]
TOOLS = [None, [], [TOOL], [TOOL, TOOL], [{**TOOL, "strict": True}]]
STOPS = [None, [], ["\n"], ["a", "b"], ["ab"]]
HEATS = [None, 0.0, 0.5, 1.0]


class One(BaseModel):
    a: int


class Two(BaseModel):
    a: int
    b: int


FORMATS = [None, {"type": "json_object"}, One, Two]


def draw_case(rng: random.Random) -> dict[str, Any]:
    """Return a request, as the plain values that make it."""
    return {
        "scope": rng.choice(SCOPES),
        "model": rng.choice(MODELS),
        "temperature": rng.choice(HEATS),
        "system": rng.choice(SYSTEMS),
        "history": tuple(rng.choices(TEXTS, k=rng.randrange(4))),
        "question": rng.choice(TEXTS),
        "tools": rng.choice(TOOLS),
        "stop": rng.choice(STOPS),
        "format": rng.choice(FORMATS),
    }


def key_of(case: dict[str, Any], counting: Any, noise: random.Random) -> CacheRequest:
    """Return the request of a case, with noise in all that must not count."""
    turns: list[BaseMessage] = [SystemMessage(case["system"], id=str(noise.random()))]
    for index, text in enumerate(case["history"]):
        said = {"id": str(noise.random())}
        if index % 2:
            used = {"input_tokens": noise.randrange(9), "output_tokens": 1}
            said["usage_metadata"] = {**used, "total_tokens": 10}
            said["response_metadata"] = {"latency": noise.random()}
            turns.append(AIMessage(text, **said))
        else:
            turns.append(HumanMessage(text, **said))
    turns.append(HumanMessage(case["question"]))
    kwargs = {
        name: case[field]
        for name, field in (("tools", "tools"), ("response_format", "format"))
        if case[field] is not None
    }
    noisy = {"timeout": noise.random(), "stream": noise.random() < 0.5}
    return request_from_call(
        ModelCall(
            model=counting(
                model_name=case["model"],
                temperature=case["temperature"],
                timeout=noise.random(),
                tags=[str(noise.random())],
            ),
            messages=turns,
            stop=case["stop"],
            kwargs={**kwargs, **noisy},
            config={
                "configurable": {"cache_scope": case["scope"]},
                "metadata": {"run": noise.random()},
            },
            run_manager=None,
        )
    )


def test_ten_thousand_pairs_that_differ_never_share(counting: Any):
    rng, noise = random.Random(2), random.Random(3)
    seen: dict[str, dict[str, Any]] = {}
    partitions: dict[str, dict[str, Any]] = {}
    shared = 0
    for _ in range(5_000):
        case = draw_case(rng)
        changed = dict(case)
        field = rng.choice(list(case))
        changed[field] = draw_case(rng)[field]
        for variant in (case, changed):
            made = key_of(variant, counting, noise)
            # Each request is compared with every earlier one, not with its twin only.
            shared += made.key in seen
            assert seen.setdefault(made.key, variant) == variant
            context = {**variant, "question": None}
            assert partitions.setdefault(made.partition, context) == context
    assert shared > 100  # equal cases met again, with other noise, have equal keys


@settings(max_examples=60, deadline=None)
@given(
    texts=st.lists(st.text(max_size=12), min_size=1, max_size=4),
    cut=st.integers(min_value=0, max_value=3),
)
def test_where_one_turn_ends_counts(counting: Any, texts: list[str], cut: int):
    noise = random.Random(1)
    case = {**draw_case(random.Random(1)), "history": tuple(texts)}
    joined = (*texts[:cut], "".join(texts[cut:]))
    other = {**case, "history": joined}
    same = key_of(case, counting, noise).key == key_of(other, counting, noise).key
    assert same == (tuple(texts) == joined)
