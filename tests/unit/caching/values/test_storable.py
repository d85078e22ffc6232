"""Only complete answers that say something are remembered."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import AIMessage, ChatMessage, InvalidToolCall
from langchain_core.outputs import ChatGeneration, Generation

from langchain_llmops.caching.values.storable import finish_reason, flaw_of

CALL = {"name": "weather", "args": {}, "id": "1"}


def chat(*content: Any, info: dict[str, Any] | None = None, **fields: Any) -> Any:
    message = AIMessage(*content, **fields)
    return [ChatGeneration(message=message, generation_info=info)]


@pytest.mark.parametrize(
    "answer",
    [
        chat("four"),
        chat("four", info={"finish_reason": "stop"}),
        chat("four", response_metadata={"stop_reason": "end_turn"}),
        chat("four", response_metadata={"status": "completed"}),
        chat("", tool_calls=[CALL]),
        chat("", additional_kwargs={"audio": {"id": "a"}}),
        chat("", additional_kwargs={"function_call": {"name": "f"}}),
        chat([{"type": "text", "text": "four"}]),
        chat([{"type": "image", "url": "u"}]),
        chat(["four"]),
        [Generation(text="four")],
        [Generation(text="a"), Generation(text="b")],
    ],
)
def test_good_answers_are(answer: Any):
    assert flaw_of(answer) is None


@pytest.mark.parametrize(
    "answer",
    [
        [],
        chat(""),
        chat("  \n"),
        chat([]),
        chat([{"type": "text", "text": ""}]),
        chat([" "]),
        chat("", additional_kwargs={"refusal": "I will not"}),
        chat("four", info={"finish_reason": "length"}),
        chat("four", info={"finish_reason": "content_filter"}),
        chat("four", response_metadata={"finish_reason": "SAFETY"}),
        chat("four", response_metadata={"finish_reason": "MAX_TOKENS"}),
        chat("four", response_metadata={"stop_reason": "max_tokens"}),
        chat("four", response_metadata={"stopReason": "guardrail_intervened"}),
        chat("four", response_metadata={"status": "incomplete"}),
        chat("four", response_metadata={"done_reason": "length"}),
        chat(
            "",
            invalid_tool_calls=[InvalidToolCall(name="f", args="{", id="1", error="")],
        ),
        [ChatGeneration(message=ChatMessage("four", role="x"))],
        [Generation(text=" ")],
        [Generation(text="four", generation_info={"finish_reason": "length"})],
        [*chat("four"), *chat("")],
    ],
)
def test_empty_cut_withheld_and_broken_ones_are_not(answer: Any):
    assert flaw_of(answer)


def test_a_finish_reason_is_found_under_any_of_its_names():
    assert finish_reason({"finish_reason": "STOP"}) == "stop"
    assert finish_reason({"finish_reason": None, "stop_reason": "x"}) == "x"
    assert finish_reason({"status": 200}) is None
