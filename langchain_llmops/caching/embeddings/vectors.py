"""How an embedding is written down: exactly, in four bytes a number where that will do.

Nearly every model computes in single precision, so that its numbers survive the way
through four bytes unchanged; the others take eight. What comes out is what went in.
"""

from __future__ import annotations

from struct import Struct, error, pack, unpack
from typing import TYPE_CHECKING, Final
from zlib import crc32

from langchain_llmops.caching.values.codec import CodecError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["decode_vector", "encode_vector"]

_MARK: Final = b"v1"
_HEADER: Final = Struct("<2scI")
"""A mark, `f` or `d` for the width of the numbers, and a checksum."""
_WIDTHS: Final = {b"f": 4, b"d": 8}


def encode_vector(vector: Sequence[float]) -> bytes:
    """Return a vector as bytes that do not depend on the machine.

    Raises:
        CodecError: Something in it is no number.
    """
    numbers = list(vector)
    try:
        kind, body = b"d", pack(f"<{len(numbers)}d", *numbers)
    except (error, TypeError, OverflowError) as problem:
        raise CodecError(f"the vector is not made of numbers: {problem}") from problem
    try:
        single = pack(f"<{len(numbers)}f", *numbers)
        if unpack(f"<{len(numbers)}f", single) == unpack(f"<{len(numbers)}d", body):
            kind, body = b"f", single
    except OverflowError:
        pass  # beyond single precision
    return _HEADER.pack(_MARK, kind, _checksum(kind, body)) + body


def decode_vector(value: bytes) -> list[float]:
    """Return the vector that `encode_vector` wrote, as a new list.

    Raises:
        CodecError: The value is damaged, or another version wrote it.
    """
    try:
        mark, kind, checksum = _HEADER.unpack_from(value)
    except error as problem:
        raise CodecError(f"a stored vector cannot be read: {problem}") from problem
    body = value[_HEADER.size :]
    width = _WIDTHS.get(kind)
    if mark != _MARK or width is None or _checksum(kind, body) != checksum:
        raise CodecError("a stored vector is damaged, or of another version")
    return list(unpack(f"<{len(body) // width}{kind.decode()}", body))


def _checksum(kind: bytes, body: bytes) -> int:
    return crc32(body, crc32(kind))
