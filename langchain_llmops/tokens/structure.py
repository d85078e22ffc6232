"""Where a text is best cut: headings, paragraphs, list items, lines, sentences, words.

Markdown is understood as far as it shows where things belong together: blocks of code
and tables are cut inside only where nothing else is near.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Structure", "sentence_ends"]

_ABBREVIATIONS = ("Dr", "Mr", "Ms", "Mrs", "St", "vs", "Fig", "No", r"e\.g", r"i\.e")
_NOT_AN_END = "".join(rf"(?<!\b{word})" for word in (*_ABBREVIATIONS, "[A-Z]"))
# After Latin stops a space and no small letter; CJK, Arabic and Indic stops say enough.
_SENTENCE = (
    rf"{_NOT_AN_END}[.!?\u2026]+[\"'\u201d\u2019)\]*_`]*[ \t]+(?![a-z \t])"
    r"|[\u3002\uff01\uff1f]+[\u300d\u300f\u201d\u2019\uff09]*"
    r"|[\u061f\u06d4\u0964\u0965]+\s*"
)


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of border: how to find it, and how far back it is worth going for.

    Attributes:
        pattern: Ends at the border.
        worth: Multiplies the reach that an ordinary line has.
        outside: Whether it means nothing within code and tables.
    """

    pattern: re.Pattern[str]
    worth: float
    outside: bool = True


_KINDS = (
    _Kind(re.compile(r"\n(?=#{1,6}[ \t])"), 4),
    _Kind(re.compile(r"\n(?:[ \t]*\n)+"), 3),
    _Kind(re.compile(r"\n(?=[ \t]*(?:[-*+\u2022]|\d{1,3}[.)])[ \t])"), 2),
    _Kind(re.compile(r"\n"), 2),
    _Kind(re.compile(_SENTENCE), 1.5, outside=False),
    _Kind(re.compile(r"\n"), 1, outside=False),
    _Kind(re.compile(r"[,;:][ \t]+|[\uff0c\u3001\uff1b\uff1a]"), 0.7, outside=False),
    _Kind(re.compile(r"\s+"), 0, outside=False),
)
_AHEAD = 12
"""Characters on either side of a border that a pattern looks at."""

_A_WORD = 24
"""Characters given up for the border of a word, at most."""

_AT_LEAST = 4
"""A part keeps one such share of what it could have, whatever the borders."""

_ENDS = re.compile(rf"\n(?:[ \t]*\n)*|{_SENTENCE}")
_MARKS = ("```", "~~~")
_INDENT = re.compile(r" {0,3}")
_ROW = re.compile(r"[ \t]*\|")


def sentence_ends(text: str) -> list[int]:
    """Return where sentences and lines end, the end of the text included."""
    ends = [match.end() for match in _ENDS.finditer(text) if match.start()]
    if text and (not ends or ends[-1] < len(text)):
        ends.append(len(text))
    return ends


class Structure:
    """The borders of one text.

    Args:
        text: The text; nothing is looked at before `cut` is called.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def cut(self, start: int, end: int, reach: int) -> int:
        """Return the best place to end a part.

        Args:
            start: Where the part starts.
            end: Where it ends at the latest.
            reach: Characters to go back for a line; more for a heading, fewer for a
                comma.

        Returns:
            A place after `start`; `end` where nothing better is in reach.
        """
        if end >= len(self.text):
            return end
        for kind in _KINDS:
            back = int(reach * kind.worth) or min(_A_WORD, (end - start) // 4)
            first = max(end - back, start + (end - start) // _AT_LEAST, start + 1)
            place = self._last(kind, first, end)
            if place > start:
                return place
        return end

    def begin(self, start: int, end: int) -> int:
        """Return the best place to begin repeating what ends at `end`.

        Returns:
            The first beginning of a sentence or line in between, else of a word.
        """
        for pattern in (_ENDS, _KINDS[-1].pattern):
            match = pattern.search(self.text, max(0, start - 1), end)
            if match and start <= match.end() < end:
                return match.end()
        return start

    def _last(self, kind: _Kind, first: int, end: int) -> int:
        """Return the last border of a kind in a stretch, or -1."""
        last = -1
        # From a little before: a border at `first` is found by what it follows.
        stretch = (max(0, first - _AHEAD), min(len(self.text), end + _AHEAD))
        for match in kind.pattern.finditer(self.text, *stretch):
            place = match.end()
            if place > end:
                break
            if place >= first and not (kind.outside and self._inside(place)):
                last = place
        return last

    def _inside(self, place: int) -> bool:
        """Tell whether a place is within a block of code or between rows of a table."""
        if bisect_right(self._fences, place) % 2 and place not in self._openings:
            return True
        if not _ROW.match(self.text, place):
            return False
        line = self.text.rfind("\n", 0, place - 1) + 1
        return _ROW.match(self.text, line) is not None

    @cached_property
    def _fences(self) -> list[int]:
        """Return where blocks of code begin and end, in turns."""
        text = self.text
        places: list[int] = []
        opened = ""
        marks = sorted((place, mark) for mark in _MARKS for place in _all(text, mark))
        for place, mark in marks:
            line = text.rfind("\n", 0, place) + 1
            if opened not in {"", mark} or not _INDENT.fullmatch(text, line, place):
                continue
            if opened:
                places.append(text.find("\n", line) + 1 or len(text))
            else:
                places.append(line)
            opened = "" if opened else mark
        return places

    @cached_property
    def _openings(self) -> frozenset[int]:
        return frozenset(self._fences[::2])


def _all(text: str, mark: str) -> Iterator[int]:
    """Yield the places of a mark: ten times as fast as `re`."""
    place = text.find(mark)
    while place >= 0:
        yield place
        place = text.find(mark, place + len(mark))
