from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.caching.embeddings.vectors import decode_vector, encode_vector
from langchain_llmops.caching.values.codec import CodecError

DOUBLES = st.lists(st.floats())
SINGLES = st.lists(st.floats(width=32, allow_nan=False))


def bits(vector: list[float]) -> bytes:
    return struct.pack(f"<{len(vector)}d", *vector)


@given(DOUBLES | SINGLES)
def test_what_comes_out_is_what_went_in_to_the_last_bit(vector: list[float]):
    assert bits(decode_vector(encode_vector(vector))) == bits(vector)


@given(SINGLES)
def test_single_precision_takes_four_bytes_a_number(vector: list[float]):
    assert len(encode_vector(vector)) == 7 + 4 * len(vector)


@pytest.mark.parametrize("number", [0.1, 1e300, math.pi])
def test_what_single_precision_would_change_takes_eight(number: float):
    assert len(encode_vector([0.5, number])) == 7 + 8 * 2


@given(DOUBLES, st.data())
def test_a_changed_byte_is_noticed(vector: list[float], data: st.DataObject):
    value = bytearray(encode_vector(vector))
    value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CodecError):
        decode_vector(bytes(value))


@given(st.binary())
def test_anything_else_is_refused(value: bytes):
    with pytest.raises(CodecError):
        decode_vector(value)


@given(DOUBLES, st.data())
def test_a_cut_value_is_refused(vector: list[float], data: st.DataObject):
    value = encode_vector([*vector, 1.0])
    with pytest.raises(CodecError):
        decode_vector(value[: data.draw(st.integers(0, len(value) - 1))])


@pytest.mark.parametrize("vector", [["a"], [None], [10**400]])
def test_what_is_no_number_is_refused(vector: list[float]):
    with pytest.raises(CodecError, match="not made of numbers"):
        encode_vector(vector)
