"""Images: their size from their first bytes, their price by published rules."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_llmops.tokens import TokenCount
from langchain_llmops.tokens.image_size import image_size
from langchain_llmops.tokens.images import Area, Patches, Tiles, openai_image_rule


def png(width: int, height: int) -> bytes:
    head = struct.pack(">I4sII", 13, b"IHDR", width, height)
    return b"\x89PNG\r\n\x1a\n" + head + b"\x08\x06\x00\x00\x00" + bytes(20)


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(20)


def jpeg(width: int, height: int, exif: int = 40_000) -> bytes:
    frame = struct.pack(">HHBHHB", 0xFFC2, 17, 8, height, width, 3) + bytes(9)
    app1 = struct.pack(">HH", 0xFFE1, exif + 2) + b"\xff\xc0" * (exif // 2)
    tables = struct.pack(">HH", 0xFFC4, 4) + b"\x00\x00"
    return b"\xff\xd8" + app1 + tables + b"\xff" + frame + bytes(20)


def webp(kind: str, width: int, height: int) -> bytes:
    if kind == "VP8X":
        sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        body = bytes(4) + sizes
    elif kind == "VP8L":
        body = b"\x2f" + struct.pack("<I", (height - 1) << 14 | (width - 1))
    else:
        body = b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", width, height)
    chunk = kind.ljust(4).encode() + struct.pack("<I", len(body)) + body + bytes(20)
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


IMAGES = {
    "png": png(640, 480),
    "gif": gif(640, 480),
    "jpeg": jpeg(640, 480),
    "webp": webp("VP8", 640, 480),
    "webp lossless": webp("VP8L", 640, 480),
    "webp extended": webp("VP8X", 640, 480),
}


@pytest.mark.parametrize("data", IMAGES.values(), ids=IMAGES)
def test_the_size_is_read_from_bytes_base64_and_data_urls(data):
    text = base64.b64encode(data).decode()
    assert image_size(data) == (640, 480)
    assert image_size(text) == (640, 480)
    assert image_size(f"data:image/any;base64,{text}") == (640, 480)


@pytest.mark.parametrize("data", IMAGES.values(), ids=IMAGES)
def test_a_truncated_header_gives_no_wrong_size(data):
    assert image_size(data[:9]) is None
    assert {image_size(data[:n]) for n in range(64)} <= {None, (640, 480)}


@pytest.mark.parametrize(
    "source",
    [
        None,
        7,
        "",
        "https://example.com/a.png",
        "data:image/png;base64",
        "data:image/svg+xml,<svg/>",
        "not base64!",
        b"\x89PNG\r\n\x1a\n",
        png(0, 10),
    ],
)
def test_what_has_no_size_is_none(source):
    assert image_size(source) is None


@settings(deadline=None)
@given(data=st.binary())
def test_any_bytes_are_safe(data):
    for start in (b"", b"\xff\xd8", b"RIFF\x00\x00\x00\x00WEBP", b"GIF89a"):
        image_size(start + data)
        image_size("data:image/png;base64," + base64.b64encode(start + data).decode())


def exact(tokens: int) -> TokenCount:
    return TokenCount(tokens=tokens, upper_bound=tokens)


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        # The examples of OpenAI's guide.
        ((1024, 1024), 765),
        ((2048, 4096), 1105),
        # One tile is never scaled up.
        ((512, 512), 255),
        ((1, 1), 255),
        # Billed: sides are rounded to the nearest pixel when they are scaled.
        ((2049, 513), 1445),
        ((2050, 513), 765),
    ],
)
def test_tiles_of_gpt_4o(size, tokens):
    assert Tiles(85, 170).measure(size, "high") == exact(tokens)
    assert Tiles(85, 170).measure(size[::-1], "auto") == exact(tokens)
    assert Tiles(85, 170).measure(size, "low") == exact(85)


def test_an_unknown_size_costs_what_the_largest_does():
    rule = Tiles(85, 170)
    unknown = rule.measure(None, "high")
    assert unknown == TokenCount(tokens=1445, exact=False, upper_bound=1445)
    assert rule.measure(None, "low") == exact(85)


@settings(deadline=None)
@given(width=st.integers(1, 20_000), height=st.integers(1, 20_000))
def test_no_image_costs_more_than_one_of_unknown_size(width, height):
    rules = [
        Tiles(85, 170),
        Patches(1.62, 1.62),
        Patches(1.2, 2.46, patches=2500, original=10_000),
        Area(1600),
    ]
    for rule in rules:
        for detail in ("high", "original"):
            known = rule.measure((width, height), detail)
            unknown = rule.measure(None, detail)
            assert 0 < known.tokens <= known.upper_bound <= unknown.upper_bound


@pytest.mark.parametrize(
    ("size", "patches"),
    # The examples of OpenAI's guide, for a model that pays one token per patch.
    [((1024, 1024), 1024), ((1800, 2400), 1452)],
)
def test_patches_of_the_guide(size, patches):
    assert Patches(1, 1).measure(size, "high").tokens == patches


def test_patches_are_exact_only_where_nothing_is_scaled():
    rule = openai_image_rule("gpt-4.1-mini-2025-04-14")
    assert rule.measure((1024, 1024), "high") == exact(1659)
    # Billed at the limit: 1536 x 1.62. The guide's rounding gives less.
    scaled = rule.measure((4000, 1474), "high")
    assert not scaled.exact
    assert scaled.tokens <= scaled.upper_bound == 2489


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        ("gpt-4o", Tiles(85, 170)),
        ("gpt-4o-2024-08-06", Tiles(85, 170)),
        ("gpt-4o-mini", Tiles(2833, 5667)),
        ("gpt-4.1", Tiles(85, 170)),
        ("gpt-4.1-nano", Patches(2.46, 2.46)),
        ("gpt-4-turbo", Tiles(85, 170)),
        ("o1", Tiles(75, 150)),
        ("o3-2025-04-16", Tiles(75, 150)),
        ("o4-mini", Patches(1.72, 1.72)),
        ("gpt-5", Tiles(70, 140)),
        ("gpt-5-chat-latest", Tiles(70, 140)),
    ],
)
def test_rules_by_model(model, rule):
    assert openai_image_rule(model) == rule


@pytest.mark.parametrize("model", ["gpt-5.4", "gpt-6-sol", "gpt-5-mini"])
def test_rules_in_doubt_are_not_exact(model):
    count = openai_image_rule(model).measure((640, 480), "high")
    assert not count.exact
    assert count.tokens < count.upper_bound


def test_other_providers_count_area():
    count = Area(1600).measure((1000, 750), "low")
    assert count == TokenCount(tokens=1000, exact=False, upper_bound=1600)
    assert Area(1600).measure((4000, 4000), "high").tokens == 1600
