"""LangChain's two strings say enough for a key, or there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models import FakeListLLM
from langchain_core.load import dumps
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.runnables import RunnableLambda
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from langchain_llmops.caching.requests.canonical import NotCanonicalError
from langchain_llmops.caching.requests.strings import StringRequests

if TYPE_CHECKING:
    from langchain_llmops.caching.base import CacheRequest

TURNS = [SystemMessage("Be brief."), HumanMessage("What is 2 + 2?")]


def openai(**fields: Any) -> ChatOpenAI:
    return ChatOpenAI(**{"model": "gpt-4o-mini", "api_key": "sk-1", **fields})


def request(
    turns: list[Any] | None = None, model: ChatOpenAI | None = None, **kwargs: Any
) -> CacheRequest:
    llm_string = (model or openai())._get_llm_string(**kwargs)
    return StringRequests().request(dumps(turns or TURNS), llm_string)


def test_prompt_and_model_are_understood():
    made = request()
    assert made.question == "What is 2 + 2?"
    assert made.model == "gpt-4o-mini"
    assert request(model=openai(temperature=0.5)).partition != made.partition


@pytest.mark.parametrize(
    "fields", [{"max_retries": 7}, {"timeout": 3}, {"streaming": True}]
)
def test_settings_of_the_transport_do_not_count(fields: dict[str, Any]):
    assert request(model=openai(**fields)) == request()


def test_usage_and_ids_of_earlier_turns_do_not_count():
    # Core adds `total_cost` to a cached turn: without this the next turn would miss.
    fresh = AIMessage("4", id="run-1")
    cached = AIMessage(
        "4",
        usage_metadata={  # type: ignore[typeddict-unknown-key]
            "input_tokens": 0,
            "output_tokens": 0,
            "total_tokens": 0,
            "total_cost": 0,
        },
        response_metadata={"cache": {"hit": True}},
    )
    more = HumanMessage("And 3 + 3?")
    assert request([*TURNS, fresh, more]) == request([*TURNS, cached, more])


@pytest.mark.parametrize(
    "kwargs",
    [{"temperature": 0.5}, {"stop": ["x"]}, {"tools": [{"name": "f"}]}, {"n": 2}],
)
def test_arguments_count(kwargs: dict[str, Any]):
    assert request(**kwargs).partition != request().partition


def test_heat_tools_and_several_answers_bypass_the_semantic_step():
    assert request(temperature=1.5).question is None
    assert request(tools=[{"name": "f"}]).question is None
    assert request(model=openai(n=2)).question is None


class Person(BaseModel):
    name: str


@pytest.mark.parametrize(
    "kwargs",
    [{"response_format": Person}, {"hook": object()}, {"hook": print}],
)
def test_an_argument_that_the_string_cannot_show_is_refused(kwargs: dict[str, Any]):
    # Its repr holds a class name or an address; both may come back for another object.
    with pytest.raises(NotCanonicalError, match="CacheLayer"):
        request(**kwargs)


def test_a_setting_that_core_cannot_serialise_is_refused():
    with pytest.raises(NotCanonicalError):
        request(model=openai(extra_body={"hook": object()}))


def test_a_message_that_core_cannot_serialise_is_refused():
    odd = HumanMessage("hi", additional_kwargs={"handle": object()})
    with pytest.raises(NotCanonicalError, match="cannot serialise"):
        request([odd])


def test_text_that_looks_like_an_unserialised_object_is_only_text():
    assert request([HumanMessage('"type":"not_implemented"')]).question


def test_a_text_prompt_is_taken_literally():
    strings = StringRequests()
    llm_string = str(sorted(FakeListLLM(responses=["a"]).asdict().items()))
    one = strings.request('[{"kwargs": {"content": "x"}, "note": 1}]', llm_string)
    other = strings.request('[{"kwargs": {"content": "x"}, "note": 2}]', llm_string)
    assert one.key != other.key
    assert one.question is None
    assert one.partition == other.partition


@pytest.mark.parametrize("prompt", ["[", "[1, 2]", "[]", "", "[[]]", '["a"]'])
def test_odd_prompts_have_keys_of_their_own(prompt: str):
    strings = StringRequests()
    assert strings.request(prompt, "m").key != strings.request(prompt + " ", "m").key


@pytest.mark.parametrize(
    "llm_string", ["", "any text", "{", "{}---", "<object at 0x1>"]
)
def test_a_description_that_is_not_langchains_is_taken_literally(llm_string: str):
    strings = StringRequests()
    if llm_string == "{":
        with pytest.raises(NotCanonicalError):
            strings.request("p", llm_string)
        return
    assert strings.request("p", llm_string).key != strings.request("p", "other").key


def test_the_config_of_the_running_chain_gives_the_scope():
    strings = StringRequests()
    seen = RunnableLambda(lambda _: strings.request("p", "m"))
    plain = strings.request("p", "m")
    acme = seen.invoke("", {"metadata": {"tenant": "acme"}})
    again = seen.invoke("", {"configurable": {"cache_scope": "acme"}})
    assert acme.key == again.key != plain.key
    switched = seen.invoke(
        "", {"configurable": {"cache_bypass": True, "cache_no_store": True}}
    )
    assert switched.key == plain.key
    assert (switched.read, switched.store) == (False, False)
    assert (plain.read, plain.store) == (True, True)


def test_remembered_requests_are_the_parsed_ones_and_bounded():
    strings = StringRequests(remembered=2)
    prompts = [dumps([HumanMessage(text)]) for text in "abc"]
    first = [strings.request(prompt, "m") for prompt in prompts]
    assert [strings.request(prompt, "m") for prompt in prompts] == first
    assert len(strings._requests) == 2
    strings.request(dumps([HumanMessage("long " * 2_000)]), openai()._get_llm_string())
    assert len(strings._requests) == 2
