"""Width and height of an image, from its first bytes: nothing is fetched or decoded."""

from __future__ import annotations

import binascii
import struct

__all__ = ["image_size"]

# Base64 characters looked at. A JPEG's size follows its EXIF and colour profile.
_HEAD = 1 << 19

# JPEG: a start of frame has one of these markers, save three that mean other things.
_FRAMES = frozenset(range(0xFFC0, 0xFFD0)) - {0xFFC4, 0xFFC8, 0xFFCC}
_FILL, _FIRST_MARKER = 0xFFFF, 0xFF00


def image_size(source: object) -> tuple[int, int] | None:
    """Return width and height of a PNG, JPEG, GIF or WebP.

    Args:
        source: Its bytes, their base64 text, or a `data:` URL.

    Returns:
        `None` where the size cannot be told: an address elsewhere, another format, a
        damaged header.
    """
    data = _head(source)
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n"):
            size = struct.unpack_from(">II", data, 16)
        elif data.startswith(b"\xff\xd8"):
            size = _jpeg(data)
        elif data.startswith((b"GIF87a", b"GIF89a")):
            size = struct.unpack_from("<HH", data, 6)
        elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            size = _webp(data)
        else:
            return None
    except (struct.error, IndexError):
        return None
    width, height = size
    return (width, height) if width and height else None


def _head(source: object) -> bytes:
    if isinstance(source, bytes | bytearray):
        return bytes(source[:_HEAD])
    if not isinstance(source, str):
        return b""
    if source[:5].lower() == "data:":
        start = source.find(",", 0, 1000) + 1
        text = source[start : start + _HEAD] if start else ""
    else:
        text = source[:_HEAD]
    try:
        # The head of a longer text: what does not fill a group of four is cut off.
        return binascii.a2b_base64(text[: len(text) // 4 * 4])
    except ValueError:
        return b""


def _jpeg(data: bytes) -> tuple[int, ...]:
    """Walk the segments to the frame header."""
    at = 2
    while True:
        marker, length = struct.unpack_from(">HH", data, at)
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if marker == _FILL:
            at += 1
        elif marker < _FIRST_MARKER:
            raise struct.error("not a segment")
        else:
            at += 2 + length


def _webp(data: bytes) -> tuple[int, ...]:
    kind = data[12:16]
    if kind == b"VP8X":
        low, high, low_2, high_2 = struct.unpack_from("<HBHB", data, 24)
        width, height = high << 16 | low, high_2 << 16 | low_2
        return width + 1, height + 1
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return width & 0x3FFF, height & 0x3FFF
