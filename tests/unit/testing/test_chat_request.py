"""Whatever the body, it is parsed or refused with the parameter named."""

from __future__ import annotations

import contextlib
import random
import re
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langchain_llmops.testing.api_error import ApiError
from langchain_llmops.testing.chat_request import ChatRequest, parse_chat
from langchain_llmops.testing.completion import choices
from langchain_llmops.testing.encoder import encoder
from langchain_llmops.testing.token_count import count_chat

CODER = encoder("o200k_base")
USER = {"role": "user", "content": "Return JSON: who is Ada, 36?"}

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-3, 10)
    | st.floats(-2, 3)
    | st.sampled_from(["", "x", "auto", "required", "string", "object", "a", "user"])
)
KEYS = """type function name description parameters properties required items enum
    anyOf $ref $defs const minItems maxLength minimum role content tool_calls
    tool_call_id id text image_url url include_usage json_schema schema"""
OPTIONS = """tools tool_choice response_format n stop max_tokens temperature seed stream
    stream_options service_tier parallel_tool_calls"""
keys = st.sampled_from(re.split(r"\s+", KEYS))
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=4)
    ),
    max_leaves=12,
)
messages = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool"])},
    optional=dict.fromkeys(("content", "tool_calls", "tool_call_id", "name"), values),
)
bodies = st.fixed_dictionaries(
    {
        "model": st.just("gpt-4o"),
        "messages": st.just([USER]) | st.lists(messages, max_size=3) | values,
    },
    optional=dict.fromkeys(re.split(r"\s+", OPTIONS), values),
)


def parsed(**body: Any) -> ChatRequest:
    return parse_chat({"model": "gpt-4o", "messages": [USER], **body})


def function(parameters: Any) -> list[dict[str, Any]]:
    named = {"name": "who_is_ada", "parameters": parameters}
    return [{"type": "function", "function": named}]


@settings(max_examples=400)
@given(bodies)
@example({"model": "gpt-4o", "messages": [USER], "tools": function({"$ref": "#/x"})})
def test_any_body_is_answered_or_refused(body):
    with contextlib.suppress(ApiError):
        request = parse_chat(body)
        count_chat(request, CODER)
        answers = choices(request, CODER, rng=random.Random(0), limit=50)
        assert len(answers) == request.n


@given(values)
def test_any_tool_schema_is_filled_or_refused(parameters):
    with contextlib.suppress(ApiError):
        request = parsed(tools=function(parameters), tool_choice="required")
        assert choices(request, CODER, rng=random.Random(0), limit=None)[0].calls


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": None}, None),
        ({"tools": [{}]}, "tools[0].function.name"),
        ({"tools": function({"type": 3})}, "tools[0].function.parameters"),
        (
            {"tools": function({"properties": {"a": {"items": 1}}})},
            "tools[0].function.parameters.properties.a",
        ),
        (
            {"tools": function({"anyOf": [{"enum": 1}]})},
            "tools[0].function.parameters.anyOf",
        ),
        (
            {"tools": function({"items": {"maxItems": -1}})},
            "tools[0].function.parameters.items",
        ),
        ({"tools": function({}), "tool_choice": "x"}, "tool_choice"),
        ({"tools": function({}), "tool_choice": {"function": 1}}, "tool_choice"),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema.schema",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": 1}}},
            "response_format.json_schema.schema",
        ),
        ({"stop": 3}, "stop"),
        ({"n": 1.5}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 0}, "max_completion_tokens"),
        ({"seed": "x"}, "seed"),
        ({"service_tier": "gold"}, "service_tier"),
        ({"stream": True, "stream_options": []}, "stream_options"),
        (
            {"messages": [{"role": "assistant", "content": "", "tool_calls": [1]}]},
            "messages.[0].tool_calls",
        ),
    ],
)
def test_what_is_wrong_is_named(change, param):
    with pytest.raises(ApiError) as caught:
        parsed(**change)
    assert caught.value.status == 400
    assert caught.value.param == param


def test_defaults_are_openais():
    request = parsed()
    assert (request.n, request.stop, request.max_tokens) == (1, (), None)
    assert (request.tool_choice, request.parallel_tool_calls) == ("auto", True)
    assert not request.stream


def test_both_names_of_the_length_limit_work():
    assert parsed(max_tokens=5).max_tokens == 5
    assert parsed(max_tokens=5, max_completion_tokens=7).max_tokens == 7
