"""Input tokens: against the figures that OpenAI's cookbook reports from its API."""

from __future__ import annotations

from typing import Any

import pytest

from langchain_llmops.testing.chat_request import parse_chat
from langchain_llmops.testing.encoder import encoder
from langchain_llmops.testing.token_count import count_chat

O200K, CL100K = encoder("o200k_base"), encoder("cl100k_base")
needs_ranks = pytest.mark.skipif(
    not (O200K.exact and CL100K.exact),
    reason="tiktoken's rank files are not on this machine: make setup",
)

# The conversation in "How to count tokens with tiktoken"; the API reports 124 input
# tokens for gpt-4o and 129 for gpt-4.
JARGON = """
system||You are a helpful, pattern-following assistant that translates corporate \
jargon into plain English.
system|example_user|New synergies will help drive top-line growth.
system|example_assistant|Things working well together will increase revenue.
system|example_user|Let's circle back when we have more bandwidth to touch base on \
opportunities for increased leverage.
system|example_assistant|Let's talk later when we're less busy about how to do better.
user||This late pivot means we don't have time to boil the ocean for the client \
deliverable.
"""

WEATHER_TOOL = {
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


def count(messages: list[dict[str, Any]], coder: Any = O200K, **body: Any) -> int:
    request = parse_chat({"model": "gpt-4o", "messages": messages, **body})
    return count_chat(request, coder)


@needs_ranks
@pytest.mark.parametrize(("coder", "tokens"), [(O200K, 124), (CL100K, 129)])
def test_the_cookbooks_conversation(coder, tokens):
    turns = [line.split("|") for line in JARGON.strip().splitlines()]
    messages = [
        {"role": role, "content": content} | ({"name": name} if name else {})
        for role, name, content in turns
    ]
    assert count(messages, coder) == tokens


@needs_ranks
def test_the_cookbooks_tool():
    messages = [
        {
            "role": "system",
            "content": "You are a helpful assistant that can answer to questions about "
            "the weather.",
        },
        {"role": "user", "content": "What's the weather like in San Francisco?"},
    ]
    assert count(messages, tools=[WEATHER_TOOL]) == 101


def test_an_empty_message_costs_its_frame():
    role = len(O200K.encode("user"))
    assert count([{"role": "user", "content": ""}]) == 3 + 3 + role


def test_text_parts_count_like_their_text():
    plain = count([{"role": "user", "content": "hello"}])
    part = {"type": "text", "text": "hello"}
    assert count([{"role": "user", "content": [part]}]) == plain


def test_calls_in_the_history_are_counted():
    call = {"id": "a", "function": {"name": "look_up", "arguments": '{"q": "x"}'}}
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    result = {"role": "tool", "tool_call_id": "a", "content": "y"}
    user = {"role": "user", "content": "hi"}
    bare = [{"role": "assistant", "content": ""}, {"role": "user", "content": "y"}]
    assert count([user, asked, result]) > count([user, *bare])


def test_special_tokens_are_plain_text():
    assert count([{"role": "user", "content": "<|endoftext|>"}]) > 8


def test_schemas_of_the_answer_are_counted():
    user = [{"role": "user", "content": "hi"}]
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert count(user, response_format=form) > count(user)


def test_nested_parameters_are_counted():
    user = [{"role": "user", "content": "hi"}]

    def tool(city: dict[str, Any]) -> list[dict[str, Any]]:
        parameters = {"type": "object", "properties": {"city": city}}
        return [
            {"type": "function", "function": {"name": "f", "parameters": parameters}}
        ]

    inner = {"name": {"type": "string", "description": "What people call it."}}
    flat = count(user, tools=tool({"type": "object"}))
    assert count(user, tools=tool({"type": "object", "properties": inner})) > flat
    items = {"type": "object", "properties": inner}
    assert count(user, tools=tool({"type": "array", "items": items})) > flat
