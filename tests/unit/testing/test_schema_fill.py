"""Whatever the schema, what is filled in fits it; values come from the text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter

from langchain_llmops.testing.schema_fill import fill, object_schema


def string(**more):
    return {"type": "object", "properties": {"value": {"type": "string", **more}}}


def one(schema, text):
    return fill({"type": "object", "properties": {"value": schema}}, text)["value"]


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        ({"type": "integer"}, "There are 42 walruses.", 42),
        ({"type": "number"}, "It is 2.5 m long.", 2.5),
        ({"type": "integer"}, "It fell to -3 degrees.", -3),
        ({"type": "integer"}, "no number", 0),
        ({"type": "integer", "minimum": 1}, "no number", 1),
        ({"type": "number", "minimum": 1}, "no number", 1),
        ({"type": "integer", "exclusiveMaximum": 5}, "Take 9.", 4),
        ({"type": "integer", "exclusiveMinimum": 0}, "no number", 1),
        ({"type": "integer", "maximum": 5}, "Take 9.", 5),
        ({"type": "string"}, "The weather in San Francisco?", "San Francisco"),
        ({"type": "string"}, "Search for 'blue whales' now", "blue whales"),
        ({"type": "string"}, "tell me a story about red goats.", "red goats"),
        ({"type": "string", "maxLength": 3}, "Search for 'whales'", "wha"),
        ({"enum": ["low", "high"]}, "The risk is high.", "high"),
        ({"enum": ["low", "high"]}, "The risk is unknown.", "low"),
        ({"const": "x"}, "anything", "x"),
        ({"type": "boolean"}, "It works.", True),
        ({"type": "boolean"}, "It does not work.", False),
        ({"type": "null"}, "anything", None),
        ({"type": ["null", "integer"]}, "It is 7.", 7),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "It is 7.", 7),
        ({"type": "array", "items": {"type": "integer"}}, "1, 2 and 3", [1, 2, 3]),
        (
            {"type": "array", "items": {"type": "integer"}, "maxItems": 2},
            "1, 2 and 3",
            [1, 2],
        ),
    ],
)
def test_values_are_read_from_the_text(schema, text, value):
    assert one(schema, text) == value


def test_each_number_serves_one_property():
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    }
    assert fill(schema, "Multiply 6 by 7.") == {"a": 6, "b": 7}


def test_optional_properties_are_left_out():
    schema = {**string(), "required": []}
    assert fill(schema, "anything") == {}


class Node(BaseModel):
    """Refers to itself."""

    name: str
    children: list[Node] = Field(default_factory=list)
    parent: Node | None = None


def test_recursive_schemas_come_to_an_end():
    schema = Node.model_json_schema()
    schema["$defs"]["Node"]["required"] = ["name", "children", "parent"]
    filled = fill(schema, "called Ada")
    assert json.dumps(filled)
    assert filled["name"] == "Ada"


class Order(BaseModel):
    """What shops know."""

    customer: str
    items: list[str]
    amount: float
    paid: bool
    address: dict[str, str] | None


@given(st.text(max_size=200))
def test_any_text_fills_a_schema_validly(text):
    order = fill(TypeAdapter(Order).json_schema(), text)
    assert Order.model_validate(order)
    assert json.loads(json.dumps(order)) == order


@pytest.mark.parametrize(
    ("prompt", "keys"),
    [
        ("Return JSON with 'setup' and 'punchline' keys.", ["setup", "punchline"]),
        ('Give "name", "age" and "city" as fields in JSON', ["name", "age", "city"]),
        ("JSON with keys: `a`, `b`", ["a", "b"]),
        ("Answer in JSON.", ["answer"]),
    ],
)
def test_keys_that_a_prompt_names_are_used(prompt, keys):
    assert list(object_schema(prompt)["properties"]) == keys
