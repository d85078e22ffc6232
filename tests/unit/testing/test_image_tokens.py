"""Images cost what OpenAI's published examples say; nothing is fetched."""

from __future__ import annotations

import base64
import struct

import pytest

from langchain_llmops.testing.image_tokens import image_tokens


def url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", width, height)


def jpeg(width: int, height: int) -> bytes:
    comment = b"\xff\xfe" + struct.pack(">H", 10) + b"comment!"
    frame = b"\xff\xc0" + struct.pack(">HBHH", 17, 8, height, width)
    return b"\xff\xd8" + comment + frame + b"\0" * 10


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height)


@pytest.mark.parametrize(
    ("size", "detail", "model", "tokens"),
    [
        ((1024, 1024), "high", "gpt-4o", 765),
        ((2048, 4096), "high", "gpt-4o", 1105),
        ((4096, 8192), "low", "gpt-4o", 85),
        ((512, 512), "auto", "gpt-4o", 255),
        ((1024, 1024), "high", "gpt-4o-mini", 25_501),
        ((1024, 1024), "high", "gpt-5", 630),
        ((1024, 1024), "high", "gpt-4.1-mini", 1_659),
        ((1800, 2400), "high", "gpt-4.1-mini", 2_353),
    ],
)
def test_published_figures(size, detail, model, tokens):
    part = {"url": url(png(*size)), "detail": detail}
    assert image_tokens(part, model) == tokens


@pytest.mark.parametrize(("make", "kind"), [(png, "png"), (gif, "gif"), (jpeg, "jpeg")])
def test_the_size_is_read_from_the_header(make, kind):
    part = {"url": url(make(600, 400), kind)}
    assert image_tokens(part, "gpt-4o") == 85 + 2 * 170


@pytest.mark.parametrize(
    "address",
    [
        "https://example.org/walrus.png",
        "data:image/png;base64,",
        "data:image/png;base64,!!!!",
        url(b"\x89PNG"),
        url(b"\xff\xd8\xff\xfe\xff\xff"),
        url(b"RIFFxxxxWEBP", "webp"),
        None,
    ],
)
def test_an_image_of_unknown_size_is_taken_for_1024_by_1024(address):
    assert image_tokens({"url": address}, "gpt-4o") == 765
