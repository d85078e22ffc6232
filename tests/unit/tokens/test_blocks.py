"""Content blocks of every dialect are counted, and none raises."""

from __future__ import annotations

import base64
import struct

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_llmops.tokens import TokenCount, TokenCounter

PNG = base64.b64encode(
    b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", 1024, 1024) + bytes(9)
).decode()
URL = f"data:image/png;base64,{PNG}"
FRAME = 4


def content(counter: TokenCounter, *blocks, kind=HumanMessage, **more) -> TokenCount:
    """What blocks cost, without the message around them."""
    message = kind.model_construct(content=list(blocks), **more)
    count = counter.measure_message(message)
    upper = None if count.upper_bound is None else count.upper_bound - FRAME
    return TokenCount(tokens=count.tokens - FRAME, exact=count.exact, upper_bound=upper)


@pytest.mark.parametrize(
    "block",
    [
        "Hello there",
        {"type": "text", "text": "Hello there"},
        {"type": "text", "text": "Hello there", "annotations": [{"type": "citation"}]},
        {"type": "input_text", "text": "Hello there"},
        {"type": "output_text", "text": "Hello there"},
        {"type": "text-plain", "text": "Hello there", "mime_type": "text/plain"},
    ],
)
def test_text_blocks_are_exact(counter, block):
    assert content(counter, block) == TokenCount(tokens=2, upper_bound=2)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": URL}},
        {"type": "image_url", "image_url": {"url": URL, "detail": "high"}},
        {"type": "image_url", "image_url": URL},
        {"type": "input_image", "image_url": URL, "detail": "auto"},
        {"type": "image", "base64": PNG, "mime_type": "image/png"},
        {"type": "image", "source_type": "base64", "data": PNG},
        {"type": "image", "url": URL},
        {"type": "image", "source": {"type": "base64", "data": PNG}},
    ],
)
def test_images_that_are_here_are_exact(counter, block):
    assert content(counter, block) == TokenCount(tokens=765, upper_bound=765)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "image", "url": "https://example.com/a.png"},
        {"type": "image", "file_id": "file-1"},
        {"type": "image_url", "image_url": None},
    ],
)
def test_images_that_are_elsewhere_cost_the_most_and_are_not_fetched(counter, block):
    expected = TokenCount(tokens=1445, exact=False, upper_bound=1445)
    assert content(counter, block) == expected


@pytest.mark.parametrize(
    "block",
    [
        {"type": "image_url", "image_url": {"url": "https://a.b/c", "detail": "low"}},
        {"type": "input_image", "image_url": "https://a.b/c", "detail": "low"},
        {"type": "image", "url": "https://a.b/c", "extras": {"detail": "low"}},
    ],
)
def test_low_detail_is_exact_for_any_image(counter, block):
    assert content(counter, block) == TokenCount(tokens=85, upper_bound=85)


@pytest.mark.parametrize(
    "block",
    [
        {"type": "reasoning", "reasoning": "First, I think."},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "So."}]},
        {"type": "thinking", "thinking": "Hm.", "signature": "abc"},
        {"type": "reasoning_content", "reasoning_content": {"text": "Well."}},
    ],
)
def test_reasoning_is_not_sent_back_but_bounded(counter, block):
    count = content(counter, block, kind=AIMessage)
    assert (count.tokens, count.exact) == (0, False)
    assert 5 < count.upper_bound < 60


def wav(seconds: float, rate: int = 48_000) -> str:
    body = bytes(int(seconds * rate))
    fmt = struct.pack("<IHHIIHH", 16, 1, 1, rate // 2, rate, 2, 16)
    head = b"RIFF" + struct.pack("<I", len(body) + 36) + b"WAVEfmt " + fmt
    return base64.b64encode(head + b"data" + bytes(4) + body).decode()


@pytest.mark.parametrize(
    "block",
    [
        {"type": "input_audio", "input_audio": {"data": wav(3), "format": "wav"}},
        {"type": "audio", "base64": wav(3), "mime_type": "audio/wav"},
        {"type": "audio", "url": f"data:audio/wav;base64,{wav(3)}"},
    ],
)
def test_a_wav_is_counted_by_its_length(counter, block):
    count = content(counter, block)
    assert 30 <= count.tokens <= 31
    assert not count.exact
    assert 96 <= count.upper_bound <= 98


@pytest.mark.parametrize(
    "block",
    [
        {"type": "audio", "base64": base64.b64encode(bytes(99_000)).decode()},
        {"type": "audio", "base64": "not base64"},
        {"type": "audio", "url": "https://example.com/a.mp3"},
        {"type": "audio", "id": "audio_abc"},
        {"type": "video", "url": "https://example.com/a.mp4"},
        {"type": "file", "file_id": "file-1"},
        {"type": "file", "base64": "JVBERi0=", "mime_type": "application/pdf"},
        {"type": "document", "source": {"type": "url", "url": "https://a.b/c.pdf"}},
        {"type": "media", "mime_type": "video/mp4", "file_uri": "gs://a/b"},
    ],
)
def test_attachments_of_unknown_length_have_no_bound(counter, block):
    count = content(counter, block)
    assert count.tokens > 0
    assert count.upper_bound is None
    with_text = counter.measure_messages([HumanMessage([block, "and text"])])
    assert with_text.upper_bound is None


def test_a_document_of_plain_text_counts_as_its_text(counter):
    source = {"type": "text", "media_type": "text/plain", "data": "word " * 100}
    count = content(counter, {"type": "document", "source": source})
    assert 100 <= count.tokens <= 105


CALL = {"name": "search", "args": {"q": "trains"}, "id": "call_1", "type": "tool_call"}


@pytest.mark.parametrize(
    "block",
    [
        {"type": "tool_use", "name": "search", "input": {"q": "trains"}, "id": "x"},
        {"type": "tool_call", "name": "search", "args": {"q": "trains"}, "id": "x"},
        {"type": "function_call", "name": "search", "arguments": "{}"},
    ],
)
def test_blocks_that_repeat_tool_calls_are_counted_once(counter, block):
    once = counter.measure_message(AIMessage(content="", tool_calls=[CALL]))
    with_block = AIMessage(content=[block], tool_calls=[CALL])
    assert counter.measure_message(with_block) == once
    alone = AIMessage.model_construct(content=[block], tool_calls=[])
    assert counter.measure_message(alone).tokens > FRAME + 5


def test_tool_results_count_what_is_in_them(counter):
    text = content(counter, {"type": "text", "text": "word " * 50}).tokens
    inner = [{"type": "text", "text": "word " * 50}]
    block = {"type": "tool_result", "tool_use_id": "toolu_1", "content": inner}
    assert text < content(counter, block).tokens < text + 15
    message = ToolMessage(content=inner, tool_call_id="toolu_1")
    assert counter.measure_message(message).tokens == text + FRAME


@pytest.mark.parametrize(
    "block",
    [
        {"type": "non_standard", "value": {"a": 1}},
        {"type": "never heard of", "payload": "x" * 40},
        {"type": ["a", "list"]},
        {"type": "text", "text": 5},
        {"type": "text"},
        {"no": "type"},
        {},
        7,
        None,
        object(),
    ],
)
def test_anything_else_counts_as_its_json_and_is_not_exact(counter, block):
    count = content(counter, block)
    assert not count.exact
    assert 0 < count.tokens <= count.upper_bound
