"""What of a text stays when it has to fit: pure strategies; none cuts a letter.

Each keeps some stretches of the text, in order, and puts a marker where something is
missing.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from langchain_llmops.tokens.structure import sentence_ends
from langchain_llmops.tokens.token_map import (
    longest_after,
    longest_before,
    token_map,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_llmops.tokens.counter import TokenCounter
    from langchain_llmops.tokens.token_map import TokenMap

__all__ = ["Shortened", "Strategy", "shorten"]

Strategy = Literal["head_tail", "head", "tail", "sentences", "query"]
Span = tuple[int, int]

_TRIES = 8
_WORD = re.compile(r"[^\W_]+")
# Scripts without spaces between words are compared by pairs of characters.
_DENSE = re.compile("[\u0e00-\u0eff\u3041-\u30ff\u3400-\u9fff]+")
_NEIGHBOUR = 0.3
"""Share of a sentence's score that its neighbours get: they explain it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortened:
    """A text that fits, and what was taken out of it.

    Attributes:
        text: The text, with a marker where something is missing.
        kept: The stretches of the original that it has, as starts and ends.
        removed_chars: Characters that are missing.
        removed_tokens: Tokens that are missing: those of the original less those of
            the stretches that stayed.
    """

    text: str
    kept: tuple[Span, ...]
    removed_chars: int = 0
    removed_tokens: int = 0


def shorten(
    text: str,
    limit: int,
    *,
    counter: TokenCounter,
    strategy: Strategy,
    marker: str,
    query: str = "",
) -> Shortened:
    """Return a text in a limit of tokens.

    Args:
        text: Any text.
        limit: Tokens that the result may have, markers included; may be 0.
        counter: Counts them.
        strategy: What stays.
        marker: Stands where something is missing; `{tokens}` and `{chars}` in it say
            how much. Left out where it does not fit.
        query: What `query` looks for.
    """
    known = token_map(text, counter)
    if known.total <= limit:
        return Shortened(text=text, kept=((0, len(text)),))
    sign = marker
    room = limit - _marked(counter, sign, known.total, len(text))
    if room < 1:
        sign, room = "", limit
    for _ in range(_TRIES):
        kept = _keep(known, room, strategy, query, sign, counter)
        short = _joined(known, kept, sign)
        over = counter.count(short.text) - limit
        if over <= 0:
            return short
        # Stretches that meet may count a token more than by themselves.
        room = max(0, room - over)
    return _joined(known, (), "")


def _keep(
    known: TokenMap,
    room: int,
    strategy: Strategy,
    query: str,
    marker: str,
    counter: TokenCounter,
) -> tuple[Span, ...]:
    if strategy == "query":
        each = _marked(counter, marker, known.total, len(known.text))
        found = _fitting(known, room, query, each)
        if found:
            return found
        strategy = "head_tail"  # nothing of the query is in the text
    size = len(known.text)
    head, used = 0, 0
    if strategy != "tail":
        share = room if strategy == "head" else (room + 1) // 2
        head, used = longest_after(known, 0, share)
    tail = size
    if strategy != "head":
        tail, _ = longest_before(known, size, room - used, head)
    if strategy == "sentences":
        head, tail = _whole_sentences(known.text, head, tail)
    return _spans([(0, head), (tail, size)])


def _whole_sentences(text: str, head: int, tail: int) -> tuple[int, int]:
    """Return the ends of sentences instead, where there are any in between."""
    ends = sentence_ends(text)
    before = [end for end in ends if end <= head]
    after = [end for end in ends if tail <= end < len(text)]
    if not before and not after:
        return head, tail
    return (before[-1] if before else 0), (after[0] if after else len(text))


def _fitting(known: TokenMap, room: int, query: str, gap: int) -> tuple[Span, ...]:
    """Return the sentences that have most to do with a query, as many as fit.

    Args:
        known: The text.
        room: Tokens that they may have.
        query: What is looked for.
        gap: Tokens of a marker, which each gap but the first costs.
    """
    parts = list(pairwise([0, *sentence_ends(known.text)]))
    scores = _scores([known.text[start:end] for start, end in parts], query)
    chosen: set[int] = set()
    for place in sorted(range(len(parts)), key=lambda at: (-scores[at], at)):
        if scores[place] <= 0:
            break
        tokens = known.count(*parts[place])
        touching = (place - 1 in chosen) + (place + 1 in chosen)
        cost = tokens + gap * (1 - touching)
        if cost <= room:
            room -= cost
            chosen.add(place)
    return _spans([parts[place] for place in sorted(chosen)])


def _scores(sentences: Sequence[str], query: str) -> list[float]:
    """Return how much sentences have of a query's words: rare ones count more."""
    asked = set(_terms(query))
    found = [Counter(term for term in _terms(s) if term in asked) for s in sentences]
    seen = Counter(term for terms in found for term in terms)
    worth = {term: math.log(1 + len(sentences) / count) for term, count in seen.items()}
    own = [sum(worth[term] for term in terms) for terms in found]
    padded = [0.0, *own, 0.0]
    return [
        score + _NEIGHBOUR * (padded[at] + padded[at + 2])
        for at, score in enumerate(own)
    ]


def _terms(text: str) -> Iterable[str]:
    for match in _WORD.finditer(text.casefold()):
        word = match[0]
        if _DENSE.match(word):
            yield from (word[at : at + 2] for at in range(max(1, len(word) - 1)))
        else:
            yield word


def _spans(parts: Iterable[Span]) -> tuple[Span, ...]:
    """Return stretches without empty ones, those that touch as one."""
    joined: list[Span] = []
    for start, end in parts:
        if joined and joined[-1][1] == start < end:
            joined[-1] = (joined[-1][0], end)
        elif start < end:
            joined.append((start, end))
    return tuple(joined)


def _joined(known: TokenMap, kept: tuple[Span, ...], marker: str) -> Shortened:
    """Return stretches and the markers between them."""
    text = known.text
    pieces, end, missing = [], 0, len(text)
    for start, stop in (*kept, (len(text), len(text))):
        if start > end:
            pieces.append(_sign(marker, known.count(end, start), start - end))
        pieces.append(text[start:stop])
        missing -= stop - start
        end = stop
    removed = known.total - sum(known.count(*span) for span in kept)
    return Shortened(
        text="".join(pieces),
        kept=kept,
        removed_chars=missing,
        removed_tokens=max(0, removed),
    )


def _sign(marker: str, tokens: int, chars: int) -> str:
    return marker.replace("{tokens}", f"{tokens:,}").replace("{chars}", f"{chars:,}")


def _marked(counter: TokenCounter, marker: str, tokens: int, chars: int) -> int:
    """Return the tokens that a marker has at most; it may grow with what it says."""
    return counter.count(_sign(marker, tokens, chars)) if marker else 0
