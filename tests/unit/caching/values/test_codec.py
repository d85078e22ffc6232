"""What goes into the codec comes out of it, or nothing goes in."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, ChatMessage
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    Generation,
    GenerationChunk,
)
from pydantic import BaseModel, Field

from langchain_llmops.caching.values.codec import (
    CodecError,
    StoredAnswer,
    decode,
    encode,
)

# Lone surrogates too: models do write them, and a cache must not choke.
text = st.text(st.characters(exclude_categories=()), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | text,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3)
    ),
    max_leaves=6,
)
objects = st.dictionaries(text, json_values, max_size=3)
counts = st.integers(min_value=0, max_value=10**9)
usages = st.fixed_dictionaries(
    {"input_tokens": counts, "output_tokens": counts, "total_tokens": counts},
    optional={"input_token_details": st.fixed_dictionaries({"cache_read": counts})},
)
calls = st.fixed_dictionaries(
    {
        "name": text,
        "args": objects,
        "id": st.none() | text,
        "type": st.just("tool_call"),
    }
)
blocks = st.lists(
    text
    | st.fixed_dictionaries({"type": st.just("text"), "text": text})
    | st.fixed_dictionaries({"type": st.just("image"), "url": text, "extra": objects}),
    max_size=3,
)
messages = st.builds(
    AIMessage,
    content=text | blocks,
    tool_calls=st.lists(calls, max_size=2),
    usage_metadata=st.none() | usages,
    additional_kwargs=objects.map(lambda kwargs: {**kwargs, "tool_calls": None}),
    response_metadata=objects,
    name=st.none() | text.filter(bool),
)
infos = st.none() | objects.filter(bool)
chats = st.builds(ChatGeneration, message=messages, generation_info=infos)
texts = st.builds(Generation, text=text, generation_info=infos)
answers = st.builds(
    StoredAnswer,
    generations=st.lists(chats, max_size=3) | st.lists(texts, max_size=3),
    stored_at=st.floats(min_value=0, max_value=1e10),
    input_tokens=counts,
    output_tokens=counts,
    total_tokens=counts,
    usd=st.none() | st.floats(min_value=0, max_value=1e6),
)


def chat(message: Any) -> StoredAnswer:
    return StoredAnswer(generations=[ChatGeneration(message=message)], stored_at=0)


@given(answer=answers)
def test_every_answer_comes_back_as_it_was(answer: StoredAnswer):
    value = encode(answer)
    assert decode(value) == answer
    assert encode(decode(value)) == value


def test_a_value_is_readable_json_of_a_version():
    value = json.loads(encode(chat(AIMessage("vier"))))
    assert value["v"] == 1
    assert value["g"] == [{"content": "vier"}]


def test_extra_fields_of_a_message_come_back():
    answer = chat(AIMessage("four", mood="glad"))
    assert decode(encode(answer)) == answer


def test_chunks_come_back_as_what_they_add_up_to():
    chunk = ChatGenerationChunk(message=AIMessageChunk(content="four"))
    stored = StoredAnswer(generations=[chunk], stored_at=0)
    assert decode(encode(stored)) == chat(AIMessage("four"))
    text_chunk = StoredAnswer(generations=[GenerationChunk(text="a")], stored_at=0)
    assert decode(encode(text_chunk)).generations == [Generation(text="a")]


def test_every_decoding_makes_new_objects():
    value = encode(chat(AIMessage(["four"], response_metadata={"a": {"b": 1}})))
    first = decode(value).generations[0]
    first.message.content.append("five")
    first.message.response_metadata["a"]["b"] = 2
    assert decode(value) == chat(AIMessage(["four"], response_metadata={"a": {"b": 1}}))


class Person(BaseModel):
    full_name: str = Field(validation_alias="fullName")


def test_a_parsed_object_is_kept_as_the_json_it_was_parsed_from():
    written = '{"fullName": "Ada"}'
    parsed = Person.model_validate_json(written)
    message = AIMessage(written, additional_kwargs={"parsed": parsed, "refusal": None})
    stored = decode(encode(chat(message))).generations[0].message.additional_kwargs
    assert stored == {"parsed": {"fullName": "Ada"}, "refusal": None}
    assert message.additional_kwargs["parsed"] is parsed


@pytest.mark.parametrize("written", ["", "not JSON", "[1]"])
def test_a_parsed_object_without_its_json_is_dumped(written: str):
    parsed = Person.model_validate({"fullName": "Ada"})
    message = AIMessage(written, additional_kwargs={"parsed": parsed})
    stored = decode(encode(chat(message))).generations[0].message.additional_kwargs
    assert stored == {"parsed": {"full_name": "Ada"}}


class Special(AIMessage):
    rank: int = 1


@pytest.mark.parametrize(
    "message",
    [
        ChatMessage("four", role="critic"),
        Special("four"),
        AIMessage("four", additional_kwargs={"handle": object()}),
    ],
)
def test_what_has_no_exact_form_is_refused(message: Any):
    with pytest.raises(CodecError):
        encode(chat(message))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff\xfe",
        b"not json",
        b"[]",
        b"null",
        b"{}",
        b'{"v": 2, "t": 0, "s": [0, 0, 0], "p": null, "g": []}',
        b'{"v": 1, "t": 0, "s": [0, 0], "p": null, "g": []}',
        b'{"v": 1, "t": "x", "s": [0, 0, 0], "p": null, "g": []}',
        b'{"v": 1, "t": 0, "s": [0, 0, {}], "p": null, "g": []}',
        b'{"v": 1, "t": 0, "s": [0, 0, 0], "p": "x", "g": []}',
        b'{"v": 1, "t": 0, "s": [0, 0, 0], "p": null, "g": [1]}',
        b'{"v": 1, "t": 0, "s": [0, 0, 0], "p": null, "g": [{"content": 1}]}',
        b'{"v": 1, "t": 0, "s": [0, 0, 0], "p": null, "g": [{"name": "a"}]}',
        b"[" * 100_000,
    ],
)
def test_damaged_and_foreign_values_are_refused(value: bytes):
    with pytest.raises(CodecError):
        decode(value)


@given(value=st.binary(max_size=40))
def test_no_bytes_raise_anything_else(value: bytes):
    with pytest.raises(CodecError):
        decode(value)


def test_a_truncated_value_is_refused():
    value = encode(chat(AIMessage("four", tool_calls=[])))
    for end in range(len(value)):
        with pytest.raises(CodecError):
            decode(value[:end])


def test_a_value_cannot_name_a_class_to_build():
    planted = {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {}}
    answer = chat(AIMessage("", additional_kwargs={"planted": planted}))
    assert decode(encode(answer)) == answer
