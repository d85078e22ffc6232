"""What an image costs in tokens, by OpenAI's published rules, without fetching it.

The size is read from the header of a PNG, GIF or JPEG in a `data:` URL; an image
elsewhere is taken for 1024 x 1024.
"""

from __future__ import annotations

import binascii
import math
import struct
from base64 import b64decode

__all__ = ["image_tokens"]

_UNKNOWN_SIZE = (1024, 1024)
_PATCH, _MAX_PATCHES = 32, 1536
# Tokens for the whole image and for each tile of 512 x 512 pixels.
_TILES = {
    "gpt-4o-mini": (2833, 5667),
    "gpt-4o": (85, 170),
    "gpt-4.1": (85, 170),
    "gpt-5": (70, 140),
    "o1": (75, 150),
    "o3": (75, 150),
}
# Tokens per patch of 32 x 32 pixels, for the models that count patches.
_PATCHES = {
    "gpt-4.1-mini": 1.62,
    "gpt-4.1-nano": 2.46,
    "gpt-5-mini": 1.62,
    "gpt-5-nano": 2.46,
    "o4-mini": 1.72,
}
_HEADER_BYTES = 1 << 16
# The segments that describe a picture; three numbers among them mean other things.
_JPEG_FRAMES = frozenset(range(0xFFC0, 0xFFD0)) - {0xFFC4, 0xFFC8, 0xFFCC}


def image_tokens(part: object, model: str) -> int:
    """Return the input tokens of an `image_url` content part."""
    url = part.get("url") if isinstance(part, dict) else part
    detail = part.get("detail") if isinstance(part, dict) else None
    width, height = _size(url) if isinstance(url, str) else _UNKNOWN_SIZE
    for name, factor in _PATCHES.items():
        if model.startswith(name):
            return math.ceil(_patches(width, height) * factor)
    longest = max((n for n in _TILES if model.startswith(n)), key=len, default="gpt-4o")
    base, per_tile = _TILES[longest]
    if detail == "low":
        return base
    return base + per_tile * _tiles(width, height)


def _tiles(width: int, height: int) -> int:
    """Return the tiles after fitting into 2048 x 2048 and a short side of 768."""
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / min(width, height)) if min(width, height) else scale
    return max(1, math.ceil(width * scale / 512) * math.ceil(height * scale / 512))


def _patches(width: int, height: int) -> int:
    """Return the patches, after shrinking to whole patches where there are too many."""
    columns, rows = width / _PATCH, height / _PATCH
    if math.ceil(columns) * math.ceil(rows) > _MAX_PATCHES:
        scale = math.sqrt(_MAX_PATCHES / (columns * rows))
        wide, high = columns * scale, rows * scale
        scale *= min(math.floor(wide) / wide, math.floor(high) / high)
        columns, rows = round(columns * scale, 6), round(rows * scale, 6)
    return max(1, math.ceil(columns) * math.ceil(rows))


def _size(url: str) -> tuple[int, int]:
    if not url.startswith("data:"):
        return _UNKNOWN_SIZE
    encoded = url.partition(",")[2][: _HEADER_BYTES * 4 // 3]
    try:
        data = b64decode(encoded[: len(encoded) // 4 * 4])
    except binascii.Error:
        return _UNKNOWN_SIZE
    try:
        if data.startswith(b"\x89PNG"):
            return struct.unpack(">II", data[16:24])
        if data.startswith(b"GIF8"):
            return struct.unpack("<HH", data[6:10])
        if data.startswith(b"\xff\xd8"):
            return _jpeg_size(data)
    except struct.error:
        pass
    return _UNKNOWN_SIZE


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Walk a JPEG's segments to the one that carries the size."""
    at = 2
    while at + 9 <= len(data):
        marker, length = struct.unpack(">HH", data[at : at + 4])
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return _UNKNOWN_SIZE
