"""What is replayed adds up to what was stored; what was cut adds up to nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    ChatMessageChunk,
    message_chunk_to_message,
)
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
)
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks

from langchain_llmops.caching.values.chunks import ChunkCollector, replayed_chunks

NOTHING = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
CALL = {"name": "weather", "args": {"city": "Rome"}, "id": "c1", "type": "tool_call"}


def replayed(message: AIMessage, **fields: Any) -> list[ChatGenerationChunk]:
    return list(replayed_chunks(ChatGeneration(message=message, **fields)))


def whole(chunks: list[ChatGenerationChunk]) -> AIMessage:
    merged = merge_chat_generation_chunks(chunks)
    assert merged is not None
    message = message_chunk_to_message(merged.message)
    assert isinstance(message, AIMessage)
    return message


def collected(*chunks: Any) -> list[ChatGeneration]:
    collector = ChunkCollector()
    for chunk in chunks:
        collector.add(chunk)
    return collector.generations()


def piece(content: Any = "", info: Any = None, **fields: Any) -> ChatGenerationChunk:
    message = AIMessageChunk(content=content, **fields)
    return ChatGenerationChunk(message=message, generation_info=info)


# --- replay


@given(text=st.text(max_size=200))
def test_replayed_text_adds_up(text: str):
    message = AIMessage(text, usage_metadata=NOTHING, response_metadata={"a": 1})
    assert whole(replayed(message)) == message


def test_text_comes_a_few_whole_words_at_a_time():
    text = "Whole words come together, as they would from a provider. " * 5
    pieces = [chunk.message.content for chunk in replayed(AIMessage(text))]
    assert len(pieces) > 5
    assert all(isinstance(p, str) and p.endswith(" ") for p in pieces)
    assert max(map(len, pieces)) <= 33


def test_text_without_spaces_is_cut_all_the_same():
    pieces = [chunk.message.content for chunk in replayed(AIMessage("語" * 100))]
    assert [len(p) for p in pieces] == [32, 32, 32, 4]


def test_usage_and_metadata_come_last_and_only_once():
    message = AIMessage(
        "some words " * 10,
        usage_metadata=NOTHING,
        response_metadata={"finish_reason": "stop", "cache": {"hit": True}},
        additional_kwargs={"reasoning_content": "hm"},
    )
    *first, last = replayed(message, generation_info={"finish_reason": "stop"})
    assert all(c.message.usage_metadata is None for c in first)
    assert all(c.message.chunk_position is None for c in first)
    assert last.message.chunk_position == "last"
    assert last.message.usage_metadata == NOTHING
    assert last.generation_info == {"finish_reason": "stop"}
    # Whoever stops reading after the first chunk still sees that it was a hit.
    assert first[0].message.response_metadata == {"cache": {"hit": True}}
    assert last.message.response_metadata == {"finish_reason": "stop"}
    assert whole([*first, last]) == message


@pytest.mark.parametrize(
    "message",
    [
        AIMessage(""),
        AIMessage("Let me look. " * 4, tool_calls=[CALL]),
        AIMessage("", tool_calls=[CALL, {**CALL, "id": "c2", "args": {}}]),
        AIMessage([], tool_calls=[CALL]),
        AIMessage(["one", "two"]),
        AIMessage([{"type": "image", "url": "u"}, {"type": "reasoning", "index": 1}]),
    ],
)
def test_other_answers_add_up(message: AIMessage):
    again = whole(replayed(message))
    assert again.tool_calls == message.tool_calls
    assert again.content == (message.content or "")


def test_text_blocks_are_replayed_in_pieces_that_merge():
    blocks = [
        {"type": "reasoning", "reasoning": "hm", "index": 0},
        {"type": "text", "text": "many words " * 10, "index": 1, "id": "m"},
        {"type": "text", "text": ""},
    ]
    chunks = replayed(AIMessage(blocks))
    assert len(chunks) > 4
    assert whole(chunks).content == blocks


def test_raw_tool_calls_are_not_replayed_twice():
    raw = [{"id": "c1", "function": {"name": "weather", "arguments": "{}"}}]
    message = AIMessage("a " * 40, tool_calls=[CALL])
    message.additional_kwargs["tool_calls"] = raw
    assert whole(replayed(message)).tool_calls == [CALL]


# --- collection


def test_chunks_add_up_to_an_answer():
    (generation,) = collected(
        piece("for"),
        piece("ty", additional_kwargs={"reasoning_content": "hm"}),
        piece(
            info={"finish_reason": "stop", "model_name": "m"},
            usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        ),
    )
    assert type(generation.message) is AIMessage
    assert generation.message.content == "forty"
    assert generation.message.usage_metadata["total_tokens"] == 3
    assert generation.message.response_metadata == {
        "finish_reason": "stop",
        "model_name": "m",
    }
    assert generation.message.additional_kwargs == {"reasoning_content": "hm"}


def test_tool_calls_are_parsed_to_their_end():
    parts = ['{"city"', ': "Rome"}']
    (generation,) = collected(
        *(
            piece(
                tool_call_chunks=[
                    {
                        "name": "weather" if index == 0 else None,
                        "args": args,
                        "id": "c1" if index == 0 else None,
                        "index": 0,
                        "type": "tool_call_chunk",
                    }
                ]
            )
            for index, args in enumerate(parts)
        )
    )
    assert generation.message.tool_calls == [CALL]


def test_what_core_does_to_a_chunk_afterwards_does_not_count():
    collector = ChunkCollector()
    for content in ("for", "ty"):
        chunk = piece(content, info={"model_name": "m"})
        collector.add(chunk)
        chunk.message.id = "lc_run--1"
        chunk.message.response_metadata = {"model_name": "m"}
        chunk.message = AIMessageChunk(content=[{"type": "text", "text": content}])
    (generation,) = collector.generations()
    assert generation.message.content == "forty"
    assert generation.message.response_metadata == {"model_name": "m"}


def test_what_is_said_twice_is_kept_once():
    (generation,) = collected(
        piece("a", info={"model_name": "gpt", "logprobs": {"content": [1]}}),
        piece("b", info={"model_name": "gpt", "logprobs": {"content": [2]}}),
    )
    assert generation.message.response_metadata == {
        "model_name": "gpt",
        "logprobs": {"content": [1, 2]},
    }


def test_a_stream_that_a_provider_did_not_finish_is_no_answer():
    said = {"response_metadata": {"model_provider": "openai"}}
    assert collected(piece("half an ans", **said)) == []
    done = piece(info={"finish_reason": "stop"}, **said)
    assert collected(piece("an answer", **said), done)


def test_nothing_and_other_kinds_of_messages_are_no_answer():
    critic = ChatGenerationChunk(message=ChatMessageChunk(content="a", role="critic"))
    assert collected() == []
    assert collected(critic) == []
    assert collected(piece("a"), critic) == []


@given(text=st.text(min_size=1, max_size=80))
def test_a_collected_replay_is_the_answer_again(text: str):
    message = AIMessage(text, usage_metadata=NOTHING, response_metadata={"a": "b"})
    (generation,) = collected(*replayed(message))
    assert generation.message == message
