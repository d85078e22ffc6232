"""The same conversation has the same form, wherever its turns came from."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.load import dumps
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_llmops.caching.requests.messages import message_forms, question_of


def forms(*messages: BaseMessage) -> Any:
    return message_forms(map(vars, messages))


def call(call_id: str, name: str = "weather", **args: Any) -> dict[str, Any]:
    return {"name": name, "args": args, "id": call_id, "type": "tool_call"}


def test_ids_usage_and_response_metadata_do_not_count():
    plain = AIMessage("four")
    full = AIMessage(
        "four",
        id="run-1",
        usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        response_metadata={"model_name": "gpt-4o", "cache": {"hit": True}},
        additional_kwargs={"refusal": None, "parsed": object()},
    )
    assert forms(full) == forms(plain) == [["ai", "four"]]


def test_a_streamed_turn_equals_the_invoked_one():
    streamed = AIMessageChunk(content="four", chunk_position="last")
    assert forms(streamed) == forms(AIMessage("four"))


def test_a_lone_text_block_equals_its_text_and_its_place_does_not_count():
    block = {"type": "text", "text": "hi", "index": 3, "annotations": []}
    assert forms(HumanMessage([block])) == forms(HumanMessage("hi"))
    assert forms(HumanMessage(["hi"])) == forms(HumanMessage("hi"))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (HumanMessage("a"), SystemMessage("a")),
        (HumanMessage("a"), HumanMessage("b")),
        (HumanMessage("a"), HumanMessage("a", name="Ann")),
        (ChatMessage("a", role="x"), ChatMessage("a", role="y")),
        (HumanMessage(["a", "b"]), HumanMessage(["ab"])),
        (
            HumanMessage("a", additional_kwargs={"x": 1}),
            HumanMessage("a", additional_kwargs={"x": 2}),
        ),
        (
            SystemMessage("a"),
            SystemMessage("a", additional_kwargs={"__openai_role__": "developer"}),
        ),
        (
            HumanMessage([{"type": "image_url", "image_url": {"url": "u1"}}]),
            HumanMessage([{"type": "image_url", "image_url": {"url": "u2"}}]),
        ),
        (
            AIMessage("", tool_calls=[call("1", city="Rome")]),
            AIMessage("", tool_calls=[call("1", city="Oslo")]),
        ),
        (
            ToolMessage("a", tool_call_id="1"),
            ToolMessage("a", tool_call_id="1", status="error"),
        ),
        (
            AIMessage("", additional_kwargs={"function_call": {"name": "f"}}),
            AIMessage("", additional_kwargs={"function_call": {"name": "g"}}),
        ),
    ],
)
def test_what_changes_the_answer_counts(one: BaseMessage, other: BaseMessage):
    assert forms(one) != forms(other)


def test_unknown_fields_count():
    class Ranked(HumanMessage):
        rank: int = 0

    assert forms(Ranked("a", rank=1)) != forms(Ranked("a"))


def test_tool_call_ids_only_tie_results_to_calls():
    def turn(first: str, second: str, answered: tuple[str, str]) -> Any:
        return forms(
            AIMessage("", tool_calls=[call(first), call(second)]),
            ToolMessage("sun", tool_call_id=answered[0], artifact=object()),
            ToolMessage("rain", tool_call_id=answered[1]),
        )

    assert turn("a", "b", ("a", "b")) == turn("x", "y", ("x", "y"))
    assert turn("a", "b", ("a", "b")) != turn("a", "b", ("b", "a"))


def test_ids_inside_tool_blocks_are_ties_as_well():
    def turn(call_id: str) -> Any:
        use = {"type": "tool_use", "id": call_id, "name": "weather", "input": {}}
        result = {"type": "tool_result", "tool_use_id": call_id, "content": "sun"}
        return forms(
            AIMessage([use], tool_calls=[call(call_id)]), HumanMessage([result])
        )

    assert turn("toolu_1") == turn("toolu_2")


def test_raw_tool_calls_count_only_without_parsed_ones():
    raw = {"tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]}
    message = AIMessage("", tool_calls=[call("1", "f")])
    same = message.model_copy(update={"additional_kwargs": raw})
    assert forms(same) == forms(message)
    bare = AIMessage("x").model_copy(update={"additional_kwargs": raw})
    assert forms(bare) != forms(AIMessage("x"))


@pytest.mark.parametrize(
    "conversation",
    [
        [SystemMessage("s"), HumanMessage("q"), AIMessage("a"), HumanMessage("q2")],
        [
            HumanMessage("q", name="Ann"),
            AIMessage("", tool_calls=[call("1", city="Rome")]),
            ToolMessage("sun", tool_call_id="1"),
        ],
        [HumanMessage([{"type": "text", "text": "a"}, {"type": "image", "url": "u"}])],
        [AIMessageChunk(content="a"), ChatMessage("x", role="critic")],
    ],
)
def test_the_serialised_form_of_core_gives_the_same(conversation: list[BaseMessage]):
    serialised = json.loads(dumps(conversation))
    assert message_forms(m["kwargs"] for m in serialised) == forms(*conversation)


@pytest.mark.parametrize(
    ("message", "question"),
    [
        (HumanMessage("  What is 2 + 2? "), "What is 2 + 2?"),
        (HumanMessage(["What is", "it?"]), "What is\nit?"),
        (HumanMessage(""), None),
        (HumanMessage(" \n"), None),
        (HumanMessage("hi", name="Ann"), None),
        (HumanMessage([{"type": "image", "url": "u"}]), None),
        (AIMessage("hi"), None),
        (SystemMessage("hi"), None),
        (ToolMessage("hi", tool_call_id="1"), None),
    ],
)
def test_only_a_plain_human_turn_is_a_question(
    message: BaseMessage, question: str | None
):
    assert question_of(forms(message)[0]) == question
