"""One text per value, and none where a value has no deterministic one."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field, SecretStr

from langchain_llmops.caching.requests.canonical import (
    NotCanonicalError,
    answer_arguments,
    canonical_json,
    model_form,
)

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


class Colour(Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    y: int


class Person(BaseModel):
    name: str
    age: int = 0


def openai(**fields: Any) -> ChatOpenAI:
    return ChatOpenAI(**{"model": "gpt-4o-mini", "api_key": "sk-1", **fields})


def form_text(model: BaseChatModel) -> str:
    return canonical_json(model_form(model))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((1, 2), "[1,2]"),
        ({"b": 1, "a": 2}, '{"b":1,"a":2}'),
        (Colour.RED, '"red"'),
        ({3, 1, 2}, '{"__set__":["1","2","3"]}'),
        (b"\x01", '{"__bytes__":"01"}'),
        (Decimal("1.50"), '{"__Decimal__":"1.50"}'),
        (dt.date(2026, 1, 2), '{"__date__":"2026-01-02"}'),
        (MappingProxyType({"a": 1}), '{"a":1}'),
        (SecretStr("hush"), "null"),
        ("é\ud800", '"é\ud800"'),
    ],
)
def test_values_have_one_text(value: Any, text: str):
    assert canonical_json(value) == text


def test_objects_are_told_apart_by_class_and_fields():
    assert canonical_json(Point(1, 2)) == canonical_json(Point(1, 2))
    assert canonical_json(Point(1, 2)) != canonical_json(Point(1, 3))
    assert canonical_json(Person(name="a")) != canonical_json({"name": "a", "age": 0})


def test_a_schema_class_counts_by_its_schema_not_by_its_name():
    first = type("Answer", (Person,), {"__annotations__": {"extra": int}})
    second = type("Answer", (Person,), {"__annotations__": {"extra": str}})
    assert canonical_json(first) != canonical_json(second)
    again = type("Answer", (Person,), {"__annotations__": {"extra": int}})
    assert canonical_json(first) == canonical_json(again)


def test_the_order_of_schema_properties_counts():
    # A model writes the fields in this order: reasoning first is another answer.
    thinking_first = {"properties": {"why": {}, "answer": {}}}
    answer_first = {"properties": {"answer": {}, "why": {}}}
    assert canonical_json(thinking_first) != canonical_json(answer_first)


@pytest.mark.parametrize(
    "value",
    [object(), len, int, Point, {"f": lambda: None}, {("a", 1): 2}, {"s": {object()}}],
)
def test_what_has_no_deterministic_text_is_refused(value: Any):
    with pytest.raises(NotCanonicalError):
        canonical_json(value)


class Unschematic(BaseModel, arbitrary_types_allowed=True):
    handle: FunctionType


def test_a_class_without_a_schema_is_refused():
    with pytest.raises(NotCanonicalError, match="Unschematic has no JSON schema"):
        canonical_json(Unschematic)


def test_circles_and_bottomless_values_are_refused():
    circle: list[Any] = []
    circle.append(circle)
    for value in (circle, _deep(100_000)):
        with pytest.raises(NotCanonicalError):
            canonical_json(value)


def _deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


# --- models


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.5},
        {"model": "gpt-4o"},
        {"seed": 7},
        {"max_tokens": 5},
        {"top_p": 0.1},
        {"base_url": "http://127.0.0.1:1/v1"},
        {"logit_bias": {50256: -100}},
        {"model_kwargs": {"made_up": 1}},
        {"reasoning_effort": "low"},
        {"stop": ["\n"]},
        {"extra_body": {"top_k": 5}},
        {"n": 2},
    ],
)
def test_settings_that_change_the_answer_count(change: dict[str, Any]):
    assert form_text(openai(**change)) != form_text(openai())


@pytest.mark.parametrize(
    "change",
    [
        {"api_key": "sk-2"},
        {"max_retries": 9},
        {"timeout": 3},
        {"streaming": True},
        {"stream_usage": True},
        {"tags": ["a"], "metadata": {"b": 1}, "verbose": True},
        {"cache": False},
        {"name": "mine"},
    ],
)
def test_settings_of_the_transport_do_not(change: dict[str, Any]):
    assert form_text(openai(**change)) == form_text(openai())


def test_a_setting_changed_later_is_seen():
    model = openai(temperature=0)
    model._get_llm_string()  # core remembers its serialised form from here on
    before = form_text(model)
    model.temperature = 0.9
    assert form_text(model) != before


def test_models_of_two_classes_differ(counting: Any):
    class Other(counting):
        pass

    assert form_text(counting()) != form_text(Other())


def test_a_model_inside_a_setting_counts_by_its_own_settings(counting: Any):
    cold, warm = counting(temperature=0.0), counting(temperature=1.0)
    assert canonical_json({"judge": cold}) != canonical_json({"judge": warm})


def test_fields_that_an_author_excludes_are_no_settings():
    class WithClient(ChatOpenAI):
        session: Any = Field(default=None, exclude=True)

    assert form_text(WithClient(model="m", api_key="k", session=object())) == (
        form_text(WithClient(model="m", api_key="k"))
    )


def test_an_unknown_setting_counts_and_an_opaque_one_is_refused():
    class Custom(ChatOpenAI):
        mood: Any = None

    assert form_text(Custom(model="m", api_key="k", mood="glad")) != (
        form_text(Custom(model="m", api_key="k", mood="sad"))
    )
    with pytest.raises(NotCanonicalError, match="'object'"):
        form_text(Custom(model="m", api_key="k", mood=object()))


def test_arguments_are_sorted_and_a_given_none_stays():
    assert list(answer_arguments({"seed": 1, "n": 2, "timeout": 3})) == ["n", "seed"]
    assert answer_arguments({"temperature": None}) == {"temperature": None}
