"""Where a text may be cut without breaking what a reader sees as one character."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["border_after", "border_before"]

_REACH = 64
"""Characters looked at before more are: hardly a cluster is longer."""

# Two of these never join: ASCII, Latin, Greek, Cyrillic, common punctuation, CJK.
_PLAIN = re.compile(
    "(?!\r\n)[\x00-\x7e\u00c0-\u02ff\u0370-\u0482\u048a-\u052f\u2010-\u2027"
    "\u3001-\u3029\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff5e]{2}"
)


def border_before(text: str, place: int, start: int = 0) -> int:
    """Return the last border up to a place: the place itself, mostly.

    Args:
        text: The text.
        place: An index of it; both ends of the text are borders.
        start: A border that is known; nothing before it is looked at.
    """
    if place <= start or place >= len(text):
        return max(start, min(place, len(text)))
    if _PLAIN.match(text, place - 1):
        return place
    last = _certain(text, place, start)
    for border in _borders(text, last, place + _REACH):
        if border > place:
            break
        last = border
    return last


def border_after(text: str, place: int, start: int = 0) -> int:
    """Return the first border from a place on: the place itself, mostly.

    Args:
        text: The text.
        place: An index of it.
        start: A border that is known; nothing before it is looked at.
    """
    before = border_before(text, place, start)
    if before >= place:
        return before
    reach = _REACH
    while place + reach < len(text):
        for border in _borders(text, before, place + reach):
            if place <= border < place + reach:  # at its end the view itself cuts
                return border
        reach *= 8  # a letter may carry any number of accents
    return next(b for b in _borders(text, before, len(text)) if b >= place)


def _certain(text: str, place: int, start: int) -> int:
    """Return a border before a place that is one whatever stands further left."""
    begin = place - 1
    while begin > start and not _PLAIN.match(text, begin - 1):
        begin -= 1
    return begin


def _borders(text: str, begin: int, stop: int) -> Iterator[int]:
    for match in _cluster().finditer(text, begin, stop):
        yield match.end()


@lru_cache(maxsize=1)
def _cluster() -> Any:
    # Comes with tiktoken; `\X` is a grapheme cluster of Unicode's Annex 29.
    import regex  # noqa: PLC0415 - 20 ms

    return regex.compile(r"\X")
