"""How an answer and its continuation are joined: what the second repeats goes."""

from __future__ import annotations

import re

__all__ = ["repeated", "undecided"]

_LONGEST = 2000
"""Characters at the end of an answer that its continuation may repeat."""

_SURE = 12
"""Characters that are not repeated by chance."""

_WORD = 3
"""Letters of a cut word that are not the next word's by chance."""

_STARTS = re.compile(r"(?<!\w)(?=\S)|(?<=\n)")
_CUT_WORD = re.compile(r"\w+$")


def repeated(answer: str, continuation: str) -> int:
    """Return how many characters at the start of a continuation repeat the answer.

    A repetition starts at a word of the answer, goes up to its end and has at least 12
    characters, or is the word in which the answer was cut off, begun again. White space
    before it counts with it.

    Args:
        answer: What there is.
        continuation: What goes on.
    """
    stripped = continuation.lstrip()
    if not stripped:
        return 0
    lead = len(continuation) - len(stripped)
    tail = answer[-_LONGEST:]
    for match in _STARTS.finditer(tail):
        again = tail[match.start() :]
        if len(again.strip()) < _SURE:
            break
        if stripped.startswith(again):
            return lead + len(again)
        # The answer may end in white space that was not repeated.
        bare = again.rstrip()
        if bare != again and stripped.startswith(bare):
            return (
                lead
                + len(bare)
                + _same_space(again[len(bare) :], stripped[len(bare) :])
            )
    return _same_word(tail, stripped, lead)


def _same_space(had: str, has: str) -> int:
    """Return the white space that both have."""
    size = 0
    while size < min(len(had), len(has)) and had[size] == has[size]:
        size += 1
    return size


def _same_word(tail: str, stripped: str, lead: int) -> int:
    """Return the length of the cut word, where it is begun again and goes on."""
    cut = _CUT_WORD.search(tail)
    if cut is None or len(cut[0]) < _WORD or not stripped.startswith(cut[0]):
        return 0
    goes_on = stripped[len(cut[0]) : len(cut[0]) + 1]
    return lead + len(cut[0]) if goes_on.isalnum() else 0


def undecided(answer: str, continuation: str) -> bool:
    """Tell whether a continuation that still grows may yet turn out to repeat.

    Args:
        answer: What there is.
        continuation: The beginning of what goes on.
    """
    stripped = continuation.lstrip()
    tail = answer[-_LONGEST:]
    starts = (match.start() for match in _STARTS.finditer(tail))
    return not stripped or any(tail[at:].startswith(stripped) for at in starts)
