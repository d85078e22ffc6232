"""Tool definitions: the figures that are known, and a bound for the rest."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.tools import tool
from pydantic import BaseModel

from langchain_llmops.tokens import TokenCounter
from langchain_llmops.tokens.tools import as_json, as_typescript

# OpenAI's cookbook, "How to count tokens with tiktoken", section 7.
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {
                    "type": "string",
                    "description": "The city and state, e.g. San Francisco, CA",
                },
                "unit": {
                    "type": "string",
                    "description": "The unit of temperature to return",
                    "enum": ["celsius", "fahrenheit"],
                },
            },
            "required": ["location"],
        },
    },
}
QUESTION = [
    (
        "system",
        "You are a helpful assistant that can answer to questions about the weather.",
    ),
    ("user", "What's the weather like in San Francisco?"),
]


@pytest.mark.parametrize(
    ("model", "billed"),
    [("gpt-3.5-turbo", 105), ("gpt-4", 105), ("gpt-4o", 101), ("gpt-4o-mini", 101)],
)
def test_the_cookbooks_tool_costs_what_openai_billed(model, billed):
    count = TokenCounter(model).measure_messages(QUESTION, tools=[WEATHER])
    assert count.tokens == billed
    assert count.upper_bound >= billed
    assert not count.exact


def function(name: str, properties: dict, description: str = "") -> dict:
    parameters = {"type": "object", "properties": properties}
    body = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": body}


NESTED = {
    "type": "object",
    "properties": {
        "bar": {"type": "string", "enum": ["a", "b", "c"]},
        "baz": {"type": "boolean"},
    },
}


@pytest.mark.parametrize(
    ("schema", "billed"),
    # gpt-3.5-turbo's bills for "hello", as measured by hmarr/openai-chat-tokens.
    [
        (function("foo", {}), 31),
        (function("foo", {}, "Do a foo"), 36),
        (function("bing_bong", {"foo": {"type": "string"}}, "Do a bing bong"), 49),
        (function("bing_bong", {"foo": NESTED}, "Do a bing bong"), 68),
    ],
)
def test_other_tools_cost_what_was_seen_on_bills(schema, billed):
    count = TokenCounter("gpt-3.5-turbo").measure_messages(
        [("user", "hello")], tools=[schema]
    )
    assert count.tokens == billed
    assert count.upper_bound >= billed


@tool
def search(query: str, limit: int = 5) -> str:
    """Search the index."""
    return query * limit


class Answer(BaseModel):
    """An answer with its sources."""

    text: str
    sources: list[str]


def test_whatever_bind_tools_takes_is_counted(counter):
    bare = counter.count_messages(QUESTION)
    for bound in (search, Answer, WEATHER, {"type": "web_search"}):
        assert counter.count_messages(QUESTION, tools=[bound]) > bare + 10


def test_typescript_of_a_schema():
    schema = function(
        "f",
        {
            "n": {"type": "integer", "description": "How many"},
            "list": {"type": "array", "items": {"type": "string"}},
            "any": {"type": "array"},
            "free": {},
            "either": {"anyOf": [{"type": "string"}, {"type": "null"}]},
            "other": {"$ref": "#/$defs/Other"},
        },
    )
    assert as_typescript([schema]).splitlines()[2:-2] == [
        "type f = (_: {",
        "// How many",
        "n?: number,",
        "list?: string[],",
        "any?: any[],",
        "free?: any,",
        "either?: string | null,",
        'other?: {"$ref": "#/$defs/Other"},',
        "}) => any;",
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "properties", "items", "enum", "required", "description", "x"]
            ),
            inner | st.sampled_from(["object", "array", "string"]),
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(parameters=json_values)
def test_no_schema_is_refused(counter, parameters):
    body = {"name": "f", "description": "", "parameters": parameters}
    for schema in ({"type": "function", "function": body}, parameters):
        count = counter.measure_messages([], tools=[schema])
        assert not count.exact
        assert 0 < count.tokens <= count.upper_bound


def test_a_schema_that_contains_itself_is_counted(counter):
    schema = function("f", {"a": {"type": "string"}})
    properties = schema["function"]["parameters"]["properties"]
    properties["a"] = {"type": "object", "properties": properties}
    assert counter.count_messages([], tools=[schema]) > 0


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no")

    __str__ = __repr__


def test_what_has_no_json_is_shown_as_python_shows_it():
    assert as_json({1}) == '"{1}"'
    assert as_json({(1, 2): 3}) == "{(1, 2): 3}"
    assert as_json(Hostile()) == "Hostile"


def test_other_providers_tools_are_bounded():
    count = TokenCounter("claude-sonnet-4-5").measure_messages(QUESTION, [WEATHER])
    # Anthropic adds a system prompt of 264 to 530 tokens, by model.
    assert 400 < count.tokens < count.upper_bound
    assert count.upper_bound > 700
