"""Messages are written as LangChain's own JSON, and come back as they were."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)
from pydantic import BaseModel

from langchain_llmops.errors import ConfigurationError, StorageError
from langchain_llmops.memory.stores.base import KeyFact, SessionSummary
from langchain_llmops.memory.stores.codec import (
    decode_entry,
    decode_segment,
    decode_summary,
    encode_message,
    encode_segment,
    encode_summary,
    with_id,
)
from langchain_llmops.memory.stores.log import Row

AT = 1_800_000_000.123456

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
NAMED = st.dictionaries(st.text(min_size=1), PLAIN, max_size=3)
TEXT = st.text(alphabet=st.characters())  # lone surrogates and NUL too


def again(message: BaseMessage) -> BaseMessage:
    return decode_entry(Row(0, AT, 1, encode_message(message))).message


@given(content=TEXT, metadata=NAMED, more=NAMED)
def test_an_answer_comes_back_as_it_was(content, metadata, more):
    message = AIMessage(
        content,
        id="1",
        response_metadata=metadata,
        additional_kwargs=more,
        tool_calls=[{"name": "f", "args": more, "id": None}],
        invalid_tool_calls=[
            {
                "name": None,
                "args": "{",
                "id": "x",
                "error": "bad",
                "type": "invalid_tool_call",
            }
        ],
        usage_metadata={
            "input_tokens": 3,
            "output_tokens": 2,
            "total_tokens": 5,
            "output_token_details": {"reasoning": 1},
        },
    )
    assert again(message) == message


@pytest.mark.parametrize(
    "message",
    [
        HumanMessage(""),
        HumanMessage([]),
        HumanMessage([{"type": "image", "base64": "aGk=", "mime_type": "image/png"}]),
        SystemMessage("Be brief.", name="house"),
        ToolMessage("4", tool_call_id="c", status="error", artifact={"rows": [[1]]}),
        ChatMessage("x", role="judge"),
        FunctionMessage("x", name="f"),
        RemoveMessage(id="1"),
        AIMessageChunk(
            "x",
            tool_call_chunks=[{"name": "f", "args": '{"a":', "id": "1", "index": 0}],
            chunk_position="last",
        ),
        HumanMessage("x", extra_field=[1, 2]),
    ],
    ids=lambda message: message.type,
)
def test_every_kind_of_message_comes_back(message):
    found = again(message)
    assert found == message
    assert type(found) is type(message)


def test_a_kind_that_langchain_does_not_have_keeps_its_type_and_fields():
    class Note(BaseMessage):
        type: str = "note"
        colour: str

    found = again(Note("Buy milk", colour="green", id="1"))
    assert found.type == "note"
    assert found.model_dump() == Note("Buy milk", colour="green", id="1").model_dump()
    assert again(found) == found


def test_what_has_no_json_form_is_kept_as_near_as_can_be():
    class Parsed(BaseModel):
        city: str

    message = AIMessage(
        "x",
        additional_kwargs={
            "parsed": Parsed(city="Rome"),
            "raw": b"hi",
            "seen": {"b", "a"},
        },
        response_metadata={
            "at": datetime(2026, 1, 2, tzinfo=UTC),
            "odd": complex(1, 2),
        },
    )
    found = again(message)
    assert found.additional_kwargs == {
        "parsed": {"city": "Rome"},
        "raw": "aGk=",
        "seen": ["a", "b"],
    }
    assert found.response_metadata["at"] == "2026-01-02T00:00:00+00:00"
    assert found.response_metadata["odd"] == "(1+2j)"


def test_a_message_that_refers_to_itself_is_refused():
    loop: list = []
    loop.append(loop)
    message = AIMessage("x", id="m1")
    message.additional_kwargs["loop"] = loop
    with pytest.raises(ConfigurationError, match="'m1' cannot be stored"):
        encode_message(message)


def test_text_is_stored_as_it_is_and_takes_no_more_room():
    assert "Straße 雨" in encode_message(HumanMessage("Straße 雨"))
    # Half a character cannot be written as UTF-8, in no database.
    assert encode_message(HumanMessage("\ud83d")).isascii()


@pytest.mark.parametrize("thing", ["text", ("human", "text"), {"content": "x"}, None])
def test_what_is_no_message_is_refused(thing):
    with pytest.raises(ConfigurationError, match="is not a message"):
        with_id(thing)


@pytest.mark.parametrize(
    "body", ["", "[]", "{}", '{"type": "ai"}', '{"type": []}', "1"]
)
def test_a_damaged_row_is_an_error_that_names_it(body):
    with pytest.raises(StorageError, match="message at 7 cannot be read"):
        decode_entry(Row(7, AT, 1, body))


def test_a_stored_type_can_make_nothing_but_messages():
    body = json.dumps({"type": "constructor", "id": ["os", "system"], "content": "x"})
    with pytest.raises(StorageError):
        decode_entry(Row(0, AT, 1, body))
    body = json.dumps({"type": "os.system", "content": "x"})
    assert type(decode_entry(Row(0, AT, 1, body)).message) is BaseMessage


@given(st.lists(TEXT))
def test_a_segment_comes_back_as_it_was(bodies):
    rows = [
        Row(n, AT + n / 7, n, encode_message(HumanMessage(body)))
        for n, body in enumerate(bodies)
    ]
    assert decode_segment(encode_segment(rows)) == rows


def test_a_segment_is_a_fraction_of_its_rows():
    rows = [
        Row(n, AT, 9, encode_message(AIMessage(f"The answer is {n}.", id=str(n))))
        for n in range(256)
    ]
    plain = sum(len(row.body) for row in rows)
    assert len(encode_segment(rows)) * 5 < plain


@pytest.mark.parametrize("segment", [b"", b"junk", encode_segment([])[:-2]])
def test_a_damaged_segment_is_an_error(segment):
    with pytest.raises(StorageError, match="segment cannot be read"):
        decode_segment(segment)


@given(text=TEXT, fact=TEXT, level=st.integers(0, 9))
def test_a_summary_comes_back_as_it_was(text, fact, level):
    summary = SessionSummary(
        start=3,
        stop=9,
        text=text,
        level=level,
        at=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
        facts=(KeyFact(text=fact, message_ids=("a", "b"), seqs=(3, 5)),),
    )
    assert decode_summary(3, encode_summary(summary)) == summary


def test_a_damaged_summary_is_an_error():
    with pytest.raises(StorageError, match="summary at 3 cannot be read"):
        decode_summary(3, "{}")
