"""Where the tokens of one text lie: its parts are counted without encoding them again.

Encoders cut a text into words first, by a pattern, and then each word into tokens. At
a place that is surely the border of two words, such as before a space, the tokens of a
part are those of the whole. So a part costs the encoding of its first and last words.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

from langchain_llmops.tokens.graphemes import border_after, border_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import tiktoken
    from numpy.typing import NDArray

    from langchain_llmops.tokens.counter import TokenCounter

__all__ = ["TokenMap", "longest_after", "longest_before", "token_map"]

_LONGEST = 400_000
"""Characters encoded at a time: tiktoken fails on a million spaces in a row."""

_KANA_HAN = "\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff"
# No pattern of tiktoken's goes on over these: a space after anything else, a comma or
# full stop after an ideograph.
_BORDER = re.compile(
    rf"(?<=\S)(?= )|(?<=[{_KANA_HAN}])(?=[\u3001\u3002\uff0c\uff01\uff1f])"
)
_NEAR = 256
"""Characters looked through for such a border."""

_STEPS = 16
_CONTINUED = -65  # as a signed byte: the last of UTF-8's that start no character


class TokenMap(Protocol):
    """Counts the parts of one text; immutable, safe across threads."""

    text: str
    total: int

    def count(self, start: int, end: int) -> int:
        """Return the tokens of a part, as the counter has them."""
        ...

    def after(self, start: int, tokens: int) -> int:
        """Return about where so many tokens after a place end."""
        ...

    def before(self, end: int, tokens: int) -> int:
        """Return about where so many tokens before a place start."""
        ...


def token_map(text: str, counter: TokenCounter) -> TokenMap:
    """Return where the tokens of a text lie: 25 MB a second.

    Args:
        text: Any text.
        counter: Counts it. Without the model's own encoding, or for text that has no
            bytes (lone surrogates), each part is counted anew when it is asked for.
    """
    coder = counter.encoding
    if coder is None or not _encodable(text):
        return _CountedMap(text, counter)
    return _EncodedMap(text, coder)


class _EncodedMap:
    """A text encoded once, by the model's own encoding.

    Args:
        text: Text without lone surrogates or long runs of white space.
        coder: The model's encoding.
    """

    __slots__ = ("_coder", "_ends", "text", "total")

    def __init__(self, text: str, coder: tiktoken.Encoding) -> None:
        self.text = text
        self._coder = coder
        self._ends = _ends(text, coder)
        self.total = len(self._ends) - 1

    def count(self, start: int, end: int) -> int:
        """Return the tokens of a part: 5 µs where it has word borders."""
        text = self.text
        near = start and _BORDER.search(text, start, min(end, start + _NEAR))
        first = near.start() if near else start and -1
        last = len(text) if end == len(text) else _last_border(text, first, end)
        if first < start or last <= first:
            return len(self._coder.encode_ordinary(text[start:end]))
        tokens = self._index(last) - self._index(first)
        if first > start:
            tokens += len(self._coder.encode_ordinary(text[start:first]))
        if end > last:
            tokens += len(self._coder.encode_ordinary(text[last:end]))
        return tokens

    def after(self, start: int, tokens: int) -> int:
        """Return about where so many tokens after a place end."""
        return int(self._ends[min(self.total, self._index(start) + tokens)])

    def before(self, end: int, tokens: int) -> int:
        """Return about where so many tokens before a place start."""
        return int(self._ends[max(0, self._index(end) - tokens)])

    def _index(self, place: int) -> int:
        """Return how many tokens end at or before a place."""
        return int(self._ends.searchsorted(place, "right")) - 1


class _CountedMap:
    """A text whose parts are counted anew each time, by any counter."""

    __slots__ = ("_count", "text", "total")

    def __init__(self, text: str, counter: TokenCounter) -> None:
        self.text = text
        self._count: Callable[[str], int] = counter.count
        self.total = self._count(text)

    def count(self, start: int, end: int) -> int:
        """Return the tokens of a part, as the counter has them."""
        return self._count(self.text[start:end])

    def after(self, start: int, tokens: int) -> int:
        """Return where so many tokens end if all of the text is alike."""
        return min(len(self.text), start + self._characters(tokens))

    def before(self, end: int, tokens: int) -> int:
        """Return where so many tokens start if all of the text is alike."""
        return max(0, end - self._characters(tokens))

    def _characters(self, tokens: int) -> int:
        return tokens * len(self.text) // max(1, self.total)


def longest_after(known: TokenMap, start: int, limit: int) -> tuple[int, int]:
    """Return the end of about the longest part from a place on that is in a limit.

    Args:
        known: The text.
        start: Where the part starts, a grapheme border.
        limit: Tokens that it may have.

    Returns:
        A grapheme border, and the tokens up to there; `start` and 0 where not even one
        character is in the limit. In an even text at most a hundredth of the limit
        stays unused.
    """
    text = known.text

    def inward(place: int) -> int:
        return border_before(text, place, start)

    def measure(end: int) -> int:
        return known.count(start, end)

    guess = inward(known.after(start, limit))
    best = _closest(measure, inward, start, guess, len(text), limit)
    if best[0] == start < len(text):
        first = border_after(text, start + 1, start)
        tokens = measure(first)
        return (first, tokens) if tokens <= limit else (start, 0)
    return best


def longest_before(
    known: TokenMap, end: int, limit: int, first: int = 0
) -> tuple[int, int]:
    """Return the start of about the longest part up to a place that is in a limit.

    Args:
        known: The text.
        end: Where the part ends, a grapheme border.
        limit: Tokens that it may have.
        first: The earliest start, a grapheme border.

    Returns:
        A grapheme border, and the tokens from there; `end` and 0 where not even one
        character is in the limit.
    """
    text = known.text

    def inward(place: int) -> int:
        return min(end, border_after(text, max(first, place), first))

    def measure(start: int) -> int:
        return known.count(start, end)

    guess = inward(known.before(end, limit))
    best = _closest(measure, inward, end, guess, first, limit)
    if best[0] == end > first:
        last = border_before(text, end - 1, first)
        tokens = measure(last)
        return (last, tokens) if tokens <= limit else (end, 0)
    return best


def _closest(
    measure: Callable[[int], int],
    inward: Callable[[int], int],
    anchor: int,
    place: int,
    last: int,
    limit: int,
) -> tuple[int, int]:
    """Return the place furthest from the anchor that is found in a limit, and tokens.

    Each step takes the tokens per character of the one before, and stays between what
    fits and what does not.
    """
    sign = 1 if last >= anchor else -1
    good, bad, best = 0, abs(last - anchor) + 1, 0
    for _ in range(_STEPS):
        distance = abs(place - anchor)
        if not good < distance < bad:
            break
        tokens = measure(place)
        if tokens <= limit:
            good, best = distance, tokens
            if place == last or limit - tokens <= limit >> 7:
                break
        else:
            bad = distance
        aim = distance * limit // max(1, tokens)
        place = inward(anchor + sign * min(max(aim, good + 1), bad - 1))
    return anchor + sign * good, best


def _last_border(text: str, start: int, end: int) -> int:
    """Return the last word border of a part that lies close to its end; -1 if none."""
    place = text.rfind(" ", max(start, end - _NEAR), end)
    while place > start and text[place - 1].isspace():
        place = text.rfind(" ", max(start, place - _NEAR), place)
    if place > start:
        return place
    last = -1
    for match in _BORDER.finditer(text, max(start, end - _NEAR), end):
        last = match.start()
    return last


def _encodable(text: str) -> bool:
    """Tell whether tiktoken takes a text as it is."""
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates
        return False
    return len(text) < _LONGEST or all(_cuts(text))


def _cuts(text: str) -> Iterator[int]:
    """Yield word borders near each multiple of `_LONGEST`; 0 where there is none."""
    for place in range(_LONGEST, len(text), _LONGEST):
        found = _BORDER.search(text, place, place + _LONGEST // 4)
        yield found.start() if found else 0


def _ends(text: str, coder: tiktoken.Encoding) -> NDArray[np.int64]:
    """Return the places where tokens end, 0 before them all.

    A token that ends within a character is taken to end after it.
    """
    import numpy as np  # noqa: PLC0415 - 0.1 s, for nothing but texts

    cuts = [0, *_cuts(text), len(text)]
    parts = [
        coder.encode_to_numpy(text[start:end], disallowed_special=())
        for start, end in pairwise(cuts)
    ]
    sizes = _sizes(coder)[np.concatenate(parts)]
    ends = np.concatenate(([0], sizes.cumsum(dtype=np.int64)))
    data = np.frombuffer(text.encode(), dtype=np.int8)
    if len(data) == len(text):
        return ends
    begun = np.concatenate(([0], (data > _CONTINUED).cumsum(dtype=np.int32)))
    return begun[ends].astype(np.int64)


@lru_cache(maxsize=8)
def _sizes(coder: tiktoken.Encoding) -> NDArray[np.int64]:
    """Return the bytes of each token, by its rank: 50 ms for each encoding."""
    import numpy as np  # noqa: PLC0415 - as above

    sizes = np.zeros(coder.n_vocab, dtype=np.int64)
    for data in coder.token_byte_values():
        sizes[coder.encode_single_token(data)] = len(data)
    return sizes
