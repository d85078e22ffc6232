"""Counting text: exactly by its encoding, or estimated with a bound."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Protocol

from langchain_llmops._encodings import encoding
from langchain_llmops.tokens.count import TokenCount
from langchain_llmops.tokens.scripts import FAMILIES, Histogram, o200k_estimate

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tiktoken

    from langchain_llmops.tokens.scripts import Family

__all__ = ["EstimatedText", "ExactText", "TextMeter", "text_meter"]

# tiktoken panics on about 1,000,000 white-space characters in a row. Looked at in
# windows of this size, a run that long fills at least one.
_WINDOW = 480_000


class TextMeter(Protocol):
    """Counts the tokens of texts."""

    @property
    def exact(self) -> bool:
        """Whether counts are the tokeniser's own."""
        ...

    def count(self, text: str) -> int:
        """Return the tokens of a text."""
        ...

    def measure(self, text: str) -> TokenCount:
        """Return the tokens of a text, and what they cannot exceed."""
        ...


@dataclass(frozen=True, slots=True)
class ExactText:
    """Counts with the model's own encoding; special tokens are plain text.

    A run of more than 480,000 white-space characters may be counted in parts, because
    tiktoken fails on longer ones; such a count is not exact.
    """

    coder: tiktoken.Encoding

    @property
    def exact(self) -> bool:
        """Whether counts are the tokeniser's own."""
        return True

    def count(self, text: str) -> int:
        """Return the tokens of a text: about 20 MB a second."""
        if len(text) < _WINDOW:
            return len(self.coder.encode_ordinary(text))
        return sum(len(self.coder.encode_ordinary(part)) for part in _parts(text))

    def measure(self, text: str) -> TokenCount:
        """Return the tokens of a text; they are their own bound."""
        cuts = 0 if len(text) < _WINDOW else sum(1 for _ in _parts(text)) - 1
        tokens = self.count(text)
        return TokenCount(tokens=tokens, exact=not cuts, upper_bound=tokens + 2 * cuts)


@dataclass(frozen=True, slots=True)
class EstimatedText:
    """Estimates for a family of tokenisers, by way of o200k.

    Without o200k's rank file its count is estimated too, and its bound is the number
    of UTF-8 bytes: true for every text, and some four times too high for English.
    """

    family: Family
    o200k: ExactText | None

    @property
    def exact(self) -> bool:
        """Whether counts are the tokeniser's own."""
        return False

    def count(self, text: str) -> int:
        """Return the tokens to expect."""
        return self.measure(text).tokens

    def measure(self, text: str) -> TokenCount:
        """Return the tokens to expect, and a bound."""
        if not text:
            return TokenCount(tokens=0, exact=False, upper_bound=0)
        histogram = Histogram.of(text)
        tokens: float
        if self.o200k is None:
            tokens = o200k_estimate(text, histogram)
            at_most = len(text.encode("utf-8", "replace"))
        else:
            tokens = at_most = self.o200k.count(text)
        expected = max(1, round(self.family.estimate(histogram, tokens)))
        upper = ceil(self.family.bound(histogram, at_most))
        return TokenCount(tokens=min(expected, upper), exact=False, upper_bound=upper)


def text_meter(encoding_name: str | None, family: str) -> TextMeter:
    """Return the best meter that this machine has; the first call may read a file.

    Args:
        encoding_name: The encoding that is exact for the model, if one is.
        family: One of `FAMILIES`, used where that encoding is missing.
    """
    coder = encoding(encoding_name) if encoding_name else None
    if coder is not None:
        return ExactText(coder)
    stand_in = encoding("o200k_base")
    return EstimatedText(FAMILIES[family], ExactText(stand_in) if stand_in else None)


def _parts(text: str) -> Iterator[str]:
    """Cut a text inside its overlong runs of white space, and nowhere else."""
    begin = 0
    for place in range(_WINDOW, len(text) + 1, _WINDOW):
        if text[place - _WINDOW : place].isspace():
            yield text[begin:place]
            begin = place
    if begin < len(text):
        yield text[begin:]
