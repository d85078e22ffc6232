"""Text chunks joined and cut anew: pure, for strings and for message chunks."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from langchain_core.messages import AIMessageChunk, BaseMessageChunk

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Boundary", "Pieces", "text_of"]

Boundary = Literal["token", "word", "sentence", "line"]

# Where a unit ends, as a place in the text that is known to be one: the space after a
# word or sentence has come, so that "3." is not cut from "14". East Asian full stops
# need no space.
_ENDS: dict[str, re.Pattern[str]] = {
    "word": re.compile(r"\s+"),
    "sentence": re.compile(r"[.!?…]+[\"'”’)\]]*\s+|[。！？]+[”’」』）]*|\n+"),  # noqa: RUF001
    "line": re.compile(r"\n"),
}

_MAY_END = re.compile(r"[\s。！？]")  # noqa: RUF001
"""What a chunk must contain so that a unit can end in it."""


def text_of(chunk: Any) -> str | None:
    """Return the text of a chunk that is nothing but text, else `None`.

    A message chunk with tool calls, usage, several blocks or an end mark is more.
    """
    if isinstance(chunk, str):
        return chunk
    if not isinstance(chunk, BaseMessageChunk) or chunk.additional_kwargs:
        return None
    if isinstance(chunk, AIMessageChunk) and (
        chunk.tool_call_chunks or chunk.usage_metadata or chunk.chunk_position
    ):
        return None
    content = chunk.content
    if isinstance(content, str):
        return content
    if len(content) == 1 and isinstance(block := content[0], dict):
        text = block.get("text")
        if block.get("type") == "text" and isinstance(text, str):
            return text
    return None


def _with_text(chunk: Any, text: str) -> Any:
    if isinstance(chunk, str):
        return text
    content = chunk.content
    new = text if isinstance(content, str) else [{**content[0], "text": text}]
    return chunk.model_copy(update={"content": new})


def _alike(one: Any, other: Any) -> bool:
    """Whether two chunks of text differ in nothing but their text."""
    if type(one) is not type(other):
        return False
    if isinstance(one, str):
        return True
    if one.id != other.id or one.response_metadata != other.response_metadata:
        return False
    if isinstance(one.content, str) or isinstance(other.content, str):
        return isinstance(one.content, str) and isinstance(other.content, str)
    return bool(
        {**one.content[0], "text": ""} == {**other.content[0], "text": ""},
    )


class Pieces:
    """Collects chunks and hands them out in pieces that end where they should.

    Nothing is lost, doubled or reordered: the texts of all pieces, joined, are the
    texts of all chunks. A chunk that is more than text is not cut and not held back: it
    comes after the text before it, or with it if it has text itself. Not safe across
    threads: one stream has one.

    Args:
        boundary: Where a piece may end.
        flush_chars: Fewest characters in a piece, unless it is flushed.
    """

    def __init__(self, boundary: Boundary, flush_chars: int | None) -> None:
        self._ends = _ENDS.get(boundary)
        self._fewest = flush_chars or 1
        self._passes = boundary == "token" and self._fewest == 1
        self._first: Any = None
        self._texts: list[str] = []
        self._length = 0

    @property
    def waiting(self) -> bool:
        """Whether some text is held back."""
        return self._length > 0

    def push(self, chunk: Any, text: str | None) -> Sequence[Any]:
        """Take the next chunk and its `text_of`; return the pieces that are ready."""
        if self._passes:
            return (chunk,)
        if text is None:
            return self._join(chunk)
        if not self._length and not text:
            return (chunk,)
        ready: Sequence[Any] = ()
        if self._length and not _alike(self._first, chunk):
            ready = self.flush()
        if not self._length:
            self._first = chunk
        self._texts.append(text)
        self._length += len(text)
        if self._length < self._fewest:
            return ready
        if self._ends is None:
            return (*ready, *self.flush())
        # An end that lay in earlier text has been used, or came too early.
        return (*ready, *self._whole()) if _MAY_END.search(text) else ready

    def flush(self) -> Sequence[Any]:
        """Return what is held back, whether or not it ends where it should."""
        if not self._length:
            return ()
        piece, text = self._first, "".join(self._texts)
        if text_of(piece) != text:
            piece = _with_text(piece, text)
        self._texts, self._length, self._first = [], 0, None
        return (piece,)

    def _join(self, chunk: Any) -> Sequence[Any]:
        """Return a chunk that is more than text, with what is held back."""
        held = self.flush()
        if held and type(held[0]) is type(chunk) and isinstance(chunk.content, str):
            return (held[0] + chunk,) if chunk.content else (*held, chunk)
        return (*held, chunk)

    def _whole(self) -> Sequence[Any]:
        """Return the whole units among what is held back, as pieces."""
        assert self._ends is not None  # noqa: S101 # asked for a boundary
        text = "".join(self._texts)
        pieces, begin = [], 0
        for end in self._ends.finditer(text):
            # Space at the very end may go on in the next chunk: it is cut all the
            # same, and what follows begins with the rest of the space.
            if end.end() - begin >= self._fewest:
                pieces.append(_with_text(self._first, text[begin : end.end()]))
                begin = end.end()
        rest = text[begin:]
        self._texts, self._length = [rest], len(rest)
        return pieces
