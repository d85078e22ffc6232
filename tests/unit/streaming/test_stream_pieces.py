from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk

from langchain_llmops.streaming.stream_limits import StreamLimits
from langchain_llmops.streaming.stream_pieces import Pieces, text_of

TEXTS = st.lists(st.text("ab .!\n。\"'", max_size=8), max_size=30)
BOUNDARIES = st.sampled_from(["token", "word", "sentence", "line"])
FEWEST = st.none() | st.integers(1, 12)


def cut(chunks, boundary="token", flush_chars=None):
    pieces = Pieces(boundary, flush_chars)
    out = []
    for chunk in chunks:
        out.extend(pieces.push(chunk, text_of(chunk)))
    return [*out, *pieces.flush()]


def joined(chunks):
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole = whole + chunk
    return whole


@given(TEXTS, BOUNDARIES, FEWEST)
def test_joined_pieces_are_the_text_that_went_in(texts, boundary, flush_chars):
    assert "".join(cut(texts, boundary, flush_chars)) == "".join(texts)


@given(TEXTS, BOUNDARIES, FEWEST)
def test_a_piece_has_the_fewest_characters_unless_it_is_the_last(
    texts, boundary, flush_chars
):
    pieces = [piece for piece in cut(texts, boundary, flush_chars) if piece]
    assert all(len(piece) >= (flush_chars or 1) for piece in pieces[:-1])


@given(TEXTS, FEWEST)
def test_lines_end_with_a_line_feed(texts, flush_chars):
    pieces = [piece for piece in cut(texts, "line", flush_chars) if piece]
    assert all(piece.endswith("\n") for piece in pieces[:-1])
    if flush_chars is None:
        assert all(piece.count("\n") <= 1 for piece in pieces)


@given(st.lists(st.sampled_from(["a", "b ", "c. ", "tool", "usage"]), min_size=1))
def test_joined_message_chunks_are_what_went_in(names):
    special = {
        "tool": AIMessageChunk(
            "",
            id="1",
            tool_call_chunks=[
                {"name": "f", "args": "{}", "id": "c", "index": 0, "type": None}
            ],
        ),
        "usage": AIMessageChunk(
            "x",
            id="1",
            usage_metadata={"input_tokens": 1, "output_tokens": 2, "total_tokens": 3},
        ),
    }
    chunks = [special.get(name) or AIMessageChunk(name, id="1") for name in names]
    out = cut(chunks, "sentence")
    assert joined(out) == joined(chunks)
    assert [c for c in out if c.tool_call_chunks] == [
        c for c in chunks if c.tool_call_chunks
    ]
    assert sum(1 for c in out if c.usage_metadata) == names.count("usage")


def test_a_last_chunk_with_text_takes_the_text_before_it_along():
    last = AIMessageChunk(".", id="1", chunk_position="last")
    (piece,) = cut([AIMessageChunk("The end", id="1"), last], "sentence")
    assert (piece.content, piece.chunk_position) == ("The end.", "last")


@pytest.mark.parametrize(
    ("boundary", "text", "pieces"),
    [
        ("word", "Hello there you", ["Hello ", "there ", "you"]),
        ("sentence", "It is 3.14. Is it? Yes", ["It is 3.14. ", "Is it? ", "Yes"]),
        ("sentence", 'He said "no." Why', ['He said "no." ', "Why"]),
        ("sentence", "これは茶。熱い。", ["これは茶。", "熱い。"]),
        ("line", "a\n\nb", ["a\n", "\n", "b"]),
        ("token", "a b", ["a b"]),
    ],
)
def test_where_pieces_end(boundary, text, pieces):
    assert cut([text], boundary) == pieces


def test_characters_are_collected_up_to_a_boundary():
    assert cut(list("aaa bb c dddd e"), "word", 5) == ["aaa bb ", "c dddd ", "e"]
    assert cut(list("abcdefg"), "token", 3) == ["abc", "def", "g"]


def test_one_text_block_is_cut_and_keeps_its_index():
    block = {"type": "text", "text": "a b", "index": 2}
    out = cut([AIMessageChunk([block], id="1")], "word")
    assert [chunk.content for chunk in out] == [
        [{"type": "text", "text": "a ", "index": 2}],
        [{"type": "text", "text": "b", "index": 2}],
    ]
    assert block["text"] == "a b"


def test_chunks_that_differ_beside_their_text_are_not_joined():
    chunks = [
        AIMessageChunk("a", id="1", response_metadata={"model": "x"}),
        AIMessageChunk("b", id="1", response_metadata={"model": "y"}),
        AIMessageChunk([{"type": "text", "text": "c", "index": 0}], id="1"),
    ]
    assert cut(chunks, "line") == chunks


@given(
    st.floats(0, 100),
    st.none() | st.floats(0.1, 9),
    st.none() | st.floats(0.1, 9),
    st.none() | st.floats(0.1, 9),
    st.booleans(),
)
def test_the_limit_that_runs_out_first_is_named(now, first, idle, total, begun):
    limits = StreamLimits(
        first_token_timeout_s=first, idle_timeout_s=idle, total_timeout_s=total
    )
    due = limits.due(now, started=now, begun=begun)
    open_ones = [s for s in ((idle if begun else first), total) if s is not None]
    assert (due is None) == (not open_ones)
    if due is not None:
        assert due[0] == now + min(open_ones)
        assert due[2] == min(open_ones)
