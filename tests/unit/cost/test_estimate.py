"""Estimates count everything that a provider writes: text, tool calls, reasoning."""

from __future__ import annotations

import uuid

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    Generation,
    GenerationChunk,
    LLMResult,
)

from langchain_llmops.cost.estimate import answer_text, estimate, streamed_text
from langchain_llmops.cost.runs import OpenRun
from langchain_llmops.pricing import Usage
from langchain_llmops.tokens import TokenCounter

TOOL = {
    "type": "function",
    "function": {
        "name": "look_up",
        "description": "Look a word up.",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}},
    },
}


def chunk(content="", **parts):
    return ChatGenerationChunk(message=AIMessageChunk(content, **parts))


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["a", "b"], "ab"),  # tokens of a text model
        ([GenerationChunk(text="a"), GenerationChunk(text="b")], "ab"),
        ([chunk("a"), chunk("b")], "ab"),
        ([chunk([{"type": "text", "text": "a"}, "b"])], "ab"),
        ([chunk([{"type": "thinking", "thinking": "hm"}])], "hm"),
        ([chunk([{"type": "reasoning", "reasoning": "hm"}])], "hm"),
        ([chunk([{"type": "image", "url": "x"}])], ""),
        (
            [
                chunk(tool_call_chunks=[tool_call_chunk(name="f", args="", index=0)]),
                chunk(tool_call_chunks=[tool_call_chunk(args='{"x":1}', index=0)]),
            ],
            'f{"x":1}',
        ),
        ([[{"type": "text", "text": "a"}]], "a"),
        ([object(), None, 7], ""),
    ],
)
def test_streamed_text(pieces, text):
    assert streamed_text(pieces) == text


def test_text_of_protocol_events():
    events = [
        {"event": "message-start", "id": "1"},
        {"event": "content-block-start", "content": {"type": "text", "text": ""}},
        {"event": "content-block-delta", "delta": {"type": "text-delta", "text": "a"}},
        {"event": "content-block-start", "content": {"type": "tool", "name": "f"}},
        {"event": "content-block-start", "content": None},
        {
            "event": "content-block-delta",
            "delta": {"type": "tool-call-delta", "args": "{}"},
        },
        {"event": "content-block-delta", "delta": None},
        {"event": "message-finish"},
    ]
    assert streamed_text(events) == "af{}"


def test_text_of_all_answers_with_their_tool_calls():
    call = {"name": "f", "args": {"x": 1}, "id": "1"}
    messages = [AIMessage("a"), AIMessage("b", tool_calls=[call])]
    generations = [[ChatGeneration(message=message) for message in messages]]
    assert answer_text(LLMResult(generations=generations)) == 'abf{"x": 1}'
    assert answer_text(LLMResult(generations=[[Generation(text="c")]])) == "c"
    assert answer_text(None) == ""


def run_of(input_, *, is_chat=True, **parameters):
    details = {"invocation_params": parameters}
    return OpenRun(uuid.uuid4(), 0, input_, details, is_chat=is_chat)


def test_input_is_counted_with_the_tools_that_went_along():
    messages, counter = [HumanMessage("What is a mote?")], TokenCounter("gpt-4o")
    plain = estimate(run_of(messages), "gpt-4o", "Dust.", Usage())
    armed = estimate(run_of(messages, tools=[TOOL]), "gpt-4o", "Dust.", Usage())
    assert plain == Usage(counter.count_messages(messages), counter.count("Dust."))
    assert armed.input_tokens == counter.count_messages(messages, [TOOL])
    assert armed.input_tokens > plain.input_tokens


def test_a_text_models_prompt_is_counted():
    run = run_of("Once upon", is_chat=False)
    tokens = TokenCounter("gpt-4o").count("Once upon")
    assert estimate(run, "gpt-4o", None, Usage()) == Usage(tokens, 0)


def test_an_answer_that_began_is_at_least_one_token():
    assert estimate(run_of([]), None, "", Usage()).output_tokens == 1
    assert estimate(run_of([]), None, None, Usage()).output_tokens == 0


def test_what_the_provider_had_reported_is_kept():
    reported = Usage(50, 30, cache_read=20)
    run = run_of([HumanMessage("hi")])
    assert estimate(run, "gpt-4o", "word", reported) == reported
    longer = estimate(run, "gpt-4o", "word " * 100, reported)
    assert longer.cache_read == 20
    assert longer.output_tokens > 90
