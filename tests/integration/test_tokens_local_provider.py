"""What the counter says is what a provider, counting by itself, puts on the invoice."""

from __future__ import annotations

import base64
import struct
from itertools import pairwise

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

from langchain_llmops.tokens import TokenCounter

PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1500, 900) + bytes(9)
).decode()
CALLS = [
    {"name": "look_up", "args": {"word": "Straße"}, "id": "call_1"},
    {"name": "look_up", "args": {"word": "橋"}, "id": "call_2"},
]
CONVERSATIONS = {
    "one question": [HumanMessage("When does the night train leave?")],
    "a system prompt": [SystemMessage("Be brief."), HumanMessage("Where is it?")],
    "names": [
        HumanMessage("Hi, I am here.", name="Ada"),
        AIMessage("Hello!", name="bot"),
        HumanMessage("Me too.", name="Grace"),
    ],
    "scripts and special tokens": [
        HumanMessage("夜行列車は九時十分に港を出た。 <|endoftext|> 🎉 رحلة"),
    ],
    "tool calls and results": [
        HumanMessage("Translate both."),
        AIMessage("Looking them up.", tool_calls=CALLS),
        ToolMessage("street", tool_call_id="call_1"),
        ToolMessage("bridge", tool_call_id="call_2"),
        HumanMessage("Thanks!"),
    ],
    "an image": [
        HumanMessage(
            [
                {"type": "text", "text": "What is this?"},
                {
                    "type": "image_url",
                    "image_url": {"url": f"data:image/png;base64,{PNG}"},
                },
            ]
        )
    ],
}


@pytest.fixture
def model(provider):
    """Build a chat model on the local provider."""

    def build(name: str) -> ChatOpenAI:
        return ChatOpenAI(base_url=provider.base_url, api_key="x", model=name)

    return build


@pytest.mark.parametrize("name", ["gpt-4o", "gpt-4o-mini", "gpt-4", "gpt-4.1"])
@pytest.mark.parametrize("messages", CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_a_request_is_billed_what_was_counted(model, name, messages):
    billed = model(name).invoke(messages).usage_metadata["input_tokens"]
    count = TokenCounter(name).measure_messages(messages)
    assert count.tokens == billed
    assert count.upper_bound >= billed


@tool
def look_up(word: str, languages: list[str] | None = None) -> str:
    """Look a word up in the dictionary."""
    return f"{word} {languages}"


def test_tools_are_billed_about_what_was_counted_and_within_the_bound(model):
    messages = CONVERSATIONS["a system prompt"]
    bound = model("gpt-4o").bind_tools([look_up])
    billed = bound.invoke(messages).usage_metadata["input_tokens"]
    count = TokenCounter("gpt-4o").measure_messages(messages, tools=[look_up])
    assert not count.exact
    assert count.tokens == pytest.approx(billed, rel=0.2)
    assert count.upper_bound >= billed


def test_a_running_count_is_right_turn_by_turn(model):
    chat = model("gpt-4o")
    running = TokenCounter("gpt-4o").running()
    messages, totals = [], []
    for question in ("What is a bridge?", "And a tunnel?", "Which is longer?"):
        messages.append(HumanMessage(question))
        running.append(messages[-1])
        answer = chat.invoke(messages)
        assert running.total == answer.usage_metadata["input_tokens"]
        totals.append(running.total)
        messages.append(answer)
        running.append(answer)
    assert all(later > earlier for earlier, later in pairwise(totals))
    messages[0] = HumanMessage("What, in one word, is a bridge?")
    running[0] = messages[0]
    edited = chat.invoke([*messages, HumanMessage("Go on.")])
    running.append(HumanMessage("Go on."))
    assert running.total == edited.usage_metadata["input_tokens"]
