"""What the content of a message costs, block by block, in LangChain's every dialect."""

from __future__ import annotations

import struct
from binascii import a2b_base64
from math import ceil
from typing import TYPE_CHECKING, Any

from langchain_llmops.tokens.count import NOTHING, TokenCount
from langchain_llmops.tokens.image_size import image_size
from langchain_llmops.tokens.tools import as_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from langchain_llmops.tokens.images import ImageRule
    from langchain_llmops.tokens.text import TextMeter

__all__ = ["BlockMeter"]

_TEXT = frozenset({"text", "input_text", "output_text", "text-plain"})
_IMAGES = frozenset({"image", "image_url", "input_image"})
_AUDIO = frozenset({"audio", "input_audio"})
_FILES = frozenset({"file", "input_file", "document", "video", "media"})
# Beside `AIMessage.tool_calls` these say the same thing again.
_CALLS = frozenset(
    {
        "tool_use",
        "tool_call",
        "tool_call_chunk",
        "invalid_tool_call",
        "function_call",
        "input_json_delta",
    }
)
_THOUGHTS = frozenset({"reasoning", "reasoning_content", "thinking"})

_A_PAGE = 1000
"""Tokens assumed for an attachment of unknown length."""

_TOKENS_PER_SECOND, _MOST_PER_SECOND = 10, 32  # OpenAI's audio, Gemini's
_BYTES_PER_SECOND = 16_000  # MP3 of 128 kbit/s


class BlockMeter:
    """Counts content: strings, and lists of strings and blocks.

    Args:
        text: Counts text for the model.
        image: Prices images for the model.
    """

    __slots__ = ("_image", "_text")

    def __init__(self, text: TextMeter, image: ImageRule) -> None:
        self._text = text
        self._image = image

    def measure(self, content: object, *, calls_counted: bool = False) -> TokenCount:
        """Return the tokens of a message's content.

        Args:
            content: A string, a list of strings and blocks, or anything else, which
                counts as its JSON.
            calls_counted: Whether blocks that repeat tool calls are to be passed over.
        """
        if isinstance(content, str):
            return self._text.measure(content)
        if not content:
            return NOTHING
        if isinstance(content, list | tuple):
            return self._all(content, calls_counted=calls_counted)
        return self.opaque(content)

    def opaque(self, value: object) -> TokenCount:
        """Return the tokens of something unknown: those of its JSON, never exact."""
        count = self._text.measure(as_json(value))
        return TokenCount(
            tokens=count.tokens, exact=False, upper_bound=count.upper_bound
        )

    def _all(self, blocks: Iterable[object], *, calls_counted: bool) -> TokenCount:
        total = NOTHING
        for block in blocks:
            if isinstance(block, str):
                total += self._text.measure(block)
            elif isinstance(block, dict):
                total += self._block(block, calls_counted=calls_counted)
            else:
                total += self.opaque(block)
        return total

    def _block(self, block: Mapping[str, Any], *, calls_counted: bool) -> TokenCount:
        kind = str(block.get("type"))
        if kind in _TEXT and isinstance(block.get("text"), str):
            return self._text.measure(block["text"])
        if kind in _CALLS and calls_counted:
            return NOTHING
        if kind in _THOUGHTS:
            # Not sent back, or dropped by the provider; kept by some while tools run.
            upper = self.opaque(block).upper_bound
            return TokenCount(tokens=0, exact=False, upper_bound=upper)
        if kind == "tool_result":
            inner = self.measure(block.get("content"))
            return inner + self.opaque(block.get("tool_use_id", ""))
        return self._attachment(kind, block) or self.opaque(block)

    def _attachment(self, kind: str, block: Mapping[str, Any]) -> TokenCount | None:
        if kind in _IMAGES:
            return self._image.measure(image_size(_source(block)), _detail(block))
        if kind in _AUDIO:
            return _audio(_source(block))
        return self._file(block) if kind in _FILES else None

    def _file(self, block: Mapping[str, Any]) -> TokenCount:
        source = block.get("source")
        if isinstance(source, dict) and source.get("type") == "text":
            return self.opaque(source.get("data"))
        return TokenCount(tokens=_A_PAGE, exact=False, upper_bound=None)


def _source(block: Mapping[str, Any]) -> object:
    """Return the data, data URL or address of an image or recording."""
    for key in ("image_url", "input_audio", "source", "base64", "data", "url"):
        value = block.get(key)
        if isinstance(value, dict):
            return _source(value)
        if value:
            return value
    return None


def _detail(block: Mapping[str, Any]) -> str:
    for holder in (block, block.get("image_url"), block.get("extras")):
        if isinstance(holder, dict) and isinstance(holder.get("detail"), str):
            return str(holder["detail"])
    return "auto"


def _audio(source: object) -> TokenCount:
    """Return the tokens of a recording, from a WAV's header or a guess at its rate."""
    if not isinstance(source, str) or source.startswith(("http:", "https:")):
        return TokenCount(tokens=_A_PAGE, exact=False, upper_bound=None)
    text = source.partition(",")[2] if source.startswith("data:") else source
    size = len(text) * 3 / 4
    try:
        head = a2b_base64(text[:64])
        rate = struct.unpack_from("<I", head, 28)[0] if head[:4] == b"RIFF" else 0
    except (ValueError, struct.error):
        rate = 0
    seconds = size / (rate or _BYTES_PER_SECOND)
    return TokenCount(
        tokens=ceil(seconds * _TOKENS_PER_SECOND),
        exact=False,
        upper_bound=ceil(seconds * _MOST_PER_SECOND) if rate else None,
    )
