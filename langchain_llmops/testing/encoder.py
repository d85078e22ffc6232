"""Text to tokens and back: tiktoken where its rank files are, else an approximation.

The approximation cuts a text into pieces of at most four letters or digits, single
signs and runs of white space. It is deterministic and loses no character, but it counts
about half again as many tokens as English has. It keeps a provider usable on a machine
without rank files; `LocalProvider.exact` says which one counts.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol
from zlib import crc32

from langchain_llmops._encodings import encoding

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tiktoken

__all__ = ["Encoder", "encoder"]


class Encoder(Protocol):
    """Counts, cuts and reads tokens of one encoding."""

    @property
    def exact(self) -> bool:
        """Whether it counts like the provider itself."""
        ...

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text's tokens; special tokens are plain text."""
        ...

    def decode(self, tokens: Sequence[int]) -> str | None:
        """Return the text of token ids, or `None` where they cannot be read."""
        ...

    def pieces(self, text: str) -> list[str]:
        """Return the text of each token; they join to the whole text.

        A token that ends inside a character has an empty piece, and the token that
        completes it has the character.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Tiktoken:
    inner: tiktoken.Encoding
    exact: bool = True

    def encode(self, text: str) -> list[int]:
        return self.inner.encode_ordinary(text)

    def decode(self, tokens: Sequence[int]) -> str | None:
        try:
            return self.inner.decode(list(tokens))
        except (KeyError, OverflowError):
            return None

    def pieces(self, text: str) -> list[str]:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        tokens = self.inner.encode_ordinary(text)
        return [
            decoder.decode(self.inner.decode_single_token_bytes(token))
            for token in tokens
        ]


_PIECE = re.compile(r" ?[^\W_]{1,4}|\s+|.", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Approximate:
    exact: bool = False

    def encode(self, text: str) -> list[int]:
        return [crc32(piece.encode()) for piece in _PIECE.findall(text)]

    def decode(self, tokens: Sequence[int]) -> str | None:
        del tokens
        return None

    def pieces(self, text: str) -> list[str]:
        return _PIECE.findall(text)


@lru_cache(maxsize=8)
def encoder(name: str) -> Encoder:
    """Return the encoder of an encoding; the first call for a name takes up to 1 s."""
    inner = encoding(name)
    if inner is None:
        return _Approximate()
    return _Tiktoken(inner)
