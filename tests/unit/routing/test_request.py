from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing import Usage
from langchain_llmops.routing import prompt_text, routing_request

SYSTEM = SystemMessage("Be brief.")


def request(*messages, **arguments):
    return routing_request(
        messages or (HumanMessage("Hi"),), input_tokens=5, **arguments
    )


def test_who_and_what_for_come_from_metadata_switches_from_configurable():
    made = request(
        output_tokens=7,
        config={
            "metadata": {
                "tenant": "acme",
                "user": 7,
                "feature": "chat",
                "task": "code",
            },
            "configurable": {"region": "eu", "max_usd": "0.02", "deadline_s": 3},
        },
    )
    assert (made.tenant, made.user, made.feature) == ("acme", "7", "chat")
    assert (made.task, made.region, made.max_usd) == ("code", "eu", Decimal("0.02"))
    assert made.deadline_s == 3.0
    assert made.usage == Usage(5, 7)


def test_a_bare_call_says_nothing():
    made = request()
    assert made.needs == frozenset()
    assert made.tenant is made.region is made.max_usd is made.deadline_s is None


@pytest.mark.parametrize(
    ("kwargs", "needs"),
    [
        ({"tools": [{"name": "t"}]}, {"tool_calling"}),
        ({"tools": [{"name": "t"}], "tool_choice": "auto"}, {"tool_calling"}),
        (
            {"tools": [{"name": "t"}], "tool_choice": "any"},
            {"tool_calling", "tool_choice"},
        ),
        ({"response_format": {"type": "json_schema"}}, {"structured_output"}),
        ({"tools": []}, set()),
    ],
)
def test_what_is_bound_shows_what_is_needed(kwargs, needs):
    assert request(kwargs=kwargs).needs == needs


def test_blocks_and_names_show_what_is_needed():
    image = HumanMessage(
        [{"type": "image_url", "image_url": {"url": "http://a/b"}}, "x"]
    )
    assert request(image).needs == {"image_inputs"}
    named = {"metadata": {"capabilities": ["legal", "tools"]}}
    assert request(config=named).needs == {"legal", "tool_calling"}
    assert request(config={"metadata": {"capabilities": "vision"}}).needs == {
        "image_inputs"
    }


@pytest.mark.parametrize("name", ["max_usd", "deadline_s"])
@pytest.mark.parametrize("value", [0, -1, "much", float("nan"), float("inf")])
def test_switches_that_are_no_positive_number_are_refused(name, value):
    with pytest.raises(ConfigurationError, match=name):
        request(config={"configurable": {name: value}})


def test_a_conversation_keeps_its_affinity_as_it_grows():
    begun = (SYSTEM, HumanMessage("Hi"))
    grown = (*begun, AIMessage("Hello"), HumanMessage("Why?"))
    assert request(*begun).affinity == request(*grown).affinity
    assert request(*begun).affinity != request(SYSTEM, HumanMessage("Ho")).affinity
    assert request(*begun).affinity != request(begun[1]).affinity
    tools = {"tools": [{"name": "t"}]}
    assert request(*begun).affinity != request(*begun, kwargs=tools).affinity
    assert routing_request([], input_tokens=0).affinity is None


@pytest.mark.parametrize("key", ["thread_id", "session_id"])
def test_a_thread_is_one_conversation_whatever_is_said(key):
    config = {"configurable": {key: "t1"}}
    other = {"configurable": {key: "t2"}}
    one = request(HumanMessage("Hi"), config=config).affinity
    assert one == request(HumanMessage("Ho"), config=config).affinity
    assert one != request(HumanMessage("Hi"), config=other).affinity


def test_the_estimated_text_is_the_last_question():
    talk = [SYSTEM, HumanMessage("Hi"), AIMessage("Hello"), HumanMessage("Why?")]
    assert prompt_text(talk) == "Why?"
    assert prompt_text(talk[:3]) == "Hi"
    assert prompt_text([SYSTEM]) == "Be brief."
    assert prompt_text([]) == ""


@given(st.text(), st.dictionaries(st.text(), st.none() | st.text() | st.integers()))
def test_no_text_and_no_metadata_raises(text, metadata):
    made = request(HumanMessage(text), config={"metadata": metadata})
    assert made == request(HumanMessage(text), config={"metadata": metadata})
