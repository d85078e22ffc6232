"""The bytes of a completion: valid JSON, one event per token, nothing lost."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.testing.chat_wire import streamed, whole
from langchain_llmops.testing.completion import Choice, Completion, WrittenCall

texts = st.lists(st.text(max_size=8), max_size=6).map(tuple)
calls = st.builds(
    WrittenCall,
    id=st.just("call_1"),
    name=st.sampled_from(["f", "look_up"]),
    name_tokens=st.integers(1, 5),
    pieces=texts,
)
answers = st.one_of(
    st.builds(Choice, pieces=texts),
    st.builds(
        Choice,
        calls=st.lists(calls, min_size=1, max_size=3).map(tuple),
        finish_reason=st.just("tool_calls"),
    ),
)
completions = st.builds(
    Completion,
    id=st.just("chatcmpl-1"),
    created=st.just(0),
    model=st.just("gpt-4o"),
    choices=st.lists(answers, min_size=1, max_size=3).map(tuple),
    input_tokens=st.just(7),
    reasoning_tokens=st.integers(0, 3),
)


def messages_of(data: bytes) -> dict[int, dict[str, Any]]:
    """Put the events of a stream together again, as a client would."""
    events = data.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    found: dict[int, dict[str, Any]] = {}
    for event in events[:-2]:
        for choice in json.loads(event.removeprefix("data: "))["choices"]:
            message = found.setdefault(choice["index"], {"content": "", "calls": {}})
            delta = choice["delta"]
            message["content"] += delta.get("content") or ""
            message["finish_reason"] = choice["finish_reason"]
            for call in delta.get("tool_calls", ()):
                known = message["calls"].setdefault(call["index"], ["", ""])
                known[0] += call["function"].get("name", "")
                known[1] += call["function"]["arguments"]
    return found


@given(completions, st.booleans())
def test_a_stream_says_what_the_body_says(completion, include_usage):
    reply = streamed(completion, include_usage=include_usage)
    data = reply.head + b"".join(f.data for f in reply.frames) + reply.tail + reply.end
    rebuilt = messages_of(data)
    body = json.loads(whole(completion).body)
    assert len(rebuilt) == len(body["choices"])
    for choice in body["choices"]:
        message, stream = choice["message"], rebuilt[choice["index"]]
        assert stream["finish_reason"] == choice["finish_reason"]
        assert stream["content"] == (message["content"] or "")
        functions = [c["function"] for c in message.get("tool_calls", ())]
        assert [[f["name"], f["arguments"]] for f in functions] == list(
            stream["calls"].values()
        )


@given(completions)
def test_frames_weigh_as_much_as_the_usage_says(completion):
    reply = streamed(completion, include_usage=False)
    assert sum(frame.tokens for frame in reply.frames) == completion.output_tokens
    usage = json.loads(whole(completion).body)["usage"]
    assert usage["completion_tokens"] == completion.output_tokens
    assert whole(completion).tokens == completion.output_tokens


@given(completions)
def test_hidden_tokens_take_a_frame_and_show_nothing(completion):
    frames = streamed(completion, include_usage=False).frames
    hidden = frames[: completion.reasoning_tokens]
    assert all((frame.data, frame.tokens) == (b"", 1) for frame in hidden)


@given(completions)
def test_each_piece_of_text_is_one_event(completion):
    frames = streamed(completion, include_usage=False).frames
    for frame in frames:
        assert frame.data.count(b"data: ") <= len(completion.choices)
