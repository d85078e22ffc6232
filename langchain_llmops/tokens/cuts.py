"""Where to cut a text into parts of a limited number of tokens: a pure policy.

As few parts as can be are wanted first, and good borders second. What the fewest parts
have to spare (a text of 600 tokens needs two parts of 512, which hold 424 more) is
spent on better borders, together with a small share on top.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Protocol

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.tokens.graphemes import border_before
from langchain_llmops.tokens.token_map import longest_after, longest_before

if TYPE_CHECKING:
    from langchain_llmops.tokens.token_map import TokenMap

__all__ = ["Borders", "spans"]

_FURTHEST = 4
"""How many times `reach` a border may be back: as far as `Borders.cut` goes."""

_MOST = 1 / 3
"""Share of a chunk that may be given up for an ordinary border."""


class Borders(Protocol):
    """Knows where a text is best cut."""

    def cut(self, start: int, end: int, reach: int) -> int:
        """Return the best place to end a part that may go up to `end`."""
        ...

    def begin(self, start: int, end: int) -> int:
        """Return the best place to begin repeating what ends at `end`."""
        ...


def spans(
    known: TokenMap, borders: Borders, *, limit: int, overlap: int, slack: float
) -> list[tuple[int, int]]:
    """Return where the parts of a text start and end.

    Args:
        known: The text and its tokens.
        borders: Where it is best cut.
        limit: Tokens that a part may have.
        overlap: Tokens of its end that the next part may repeat; below the limit.
        slack: Share of all tokens that may be given up for better borders.

    Returns:
        Starts and ends in order; without overlap each starts where the last ended.
        Empty for an empty text.

    Raises:
        ConfigurationError: A single character has more tokens than the limit.
    """
    found: list[tuple[int, int]] = []
    left = known.total
    stride = limit - overlap
    spare = _spare(left, limit, stride) + slack * left
    room = limit  # for new text: the first part repeats nothing
    start = done = 0
    while done < len(known.text):
        end, used = longest_after(known, start, limit)
        if end <= done:  # what is repeated leaves no room for anything new
            start = done
            end, used = _furthest(known, done, limit)
        if end < len(known.text):
            reach = _reach(spare, left, limit, stride)
            end, used = _better(known, borders, (start, done, end, used), reach, limit)
        found.append((start, end))
        new = used - (known.count(start, done) if start < done else 0)
        spare -= room - new
        left -= new
        room, done = stride, end
        start = _repeating(known, borders, start, end, overlap)
    return found


def _spare(total: int, limit: int, stride: int) -> int:
    """Return the tokens that the fewest parts hold beyond those of the text."""
    more = max(0, ceil((total - limit) / stride))
    return limit + more * stride - total


def _reach(spare: float, left: int, limit: int, stride: int) -> float:
    """Return how many tokens may be given up for an ordinary border, on average."""
    cuts = max(1, ceil(left / stride) - 1)
    return max(0, min(spare / cuts, spare / _FURTHEST, limit * _MOST))


def _better(
    known: TokenMap,
    borders: Borders,
    part: tuple[int, int, int, int],
    reach: float,
    limit: int,
) -> tuple[int, int]:
    """Return the end of a part at a better border, and its tokens."""
    start, done, end, used = part
    back = int(reach * (end - start) / max(1, used))
    cut = borders.cut(max(start, done), end, back)
    cut = border_before(known.text, cut, start)
    if not done < cut < end:
        return end, used
    tokens = known.count(start, cut)
    return (cut, tokens) if tokens <= limit else (end, used)


def _furthest(known: TokenMap, start: int, limit: int) -> tuple[int, int]:
    """Return the end of the longest part, within a character only if it must be."""
    end, used = longest_after(known, start, limit)
    if end > start:
        return end, used
    used = known.count(start, start + 1)
    if used > limit:
        raise ConfigurationError(
            f"the character {known.text[start]!r} has {used} tokens, more than the "
            f"{limit} of a whole chunk: raise the limit"
        )
    # A cluster such as a family of emoji, or a letter with a hundred accents.
    end = start + 1
    while end < len(known.text) and (more := known.count(start, end + 1)) <= limit:
        end, used = end + 1, more
    return end, used


def _repeating(
    known: TokenMap, borders: Borders, start: int, end: int, overlap: int
) -> int:
    """Return where the next part starts: within the last one, if it repeats some."""
    if not overlap or end == len(known.text):
        return end
    begin, _ = longest_before(known, end, overlap, start)
    better = border_before(known.text, borders.begin(begin, end), begin)
    if begin < better < end and known.count(better, end) <= overlap:
        begin = better
    return begin if begin > start else end
