"""Answers by quotation: the sentences of the context that fit the question best.

No model, and no invention: sentences are scored by the terms that they share with the
question, rare terms counting more, and the best few are joined in the order in which
they stand. Where nothing fits, the answer says so.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_llmops.testing.words import STOP_WEIGHT, content_words, terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Passage", "answer", "sentences"]

MAX_WORDS = 60
MAX_SENTENCES = 3
LEAD_WORDS = 5
ENOUGH = 0.45
"""Share of the question's terms that must be found before anything is quoted."""
ENOUGH_TERMS = 2.0
"""So many terms are enough, however long the question is."""
REACH = 3
"""How many sentences before and after the best one they may be found in."""
CLOSE = 0.6
"""Share of the best sentence's score from which another one is quoted too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of context.

    Args:
        text: What it says.
        weight: How much it is to be preferred to others.
    """

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sentence:
    text: str
    passage: int
    weight: float
    terms: frozenset[str]


_RULE = re.compile(r"^\W*$|::=|^\s*\.\. |\|.*\|")
_HYPHEN = re.compile(r"(?<=\w)-\n\s*(?=\w)")
_BULLET = re.compile(r"^\s*[*#>-]+\s+")
_EMPHASIS = re.compile(r"(?<![\w*])\*{1,2}(\w(?:[^*]*[^\s*])?)\*{1,2}(?![\w*])")
_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]?[A-Z0-9_`])|(?<=[。！？])")  # noqa: RUF001 - Chinese and Japanese full stops
_SIGNS = re.compile(r"[=(){}\[\]<>#_+]")
_CODE = re.compile(
    r"^\s*(?:>>>|\.\.\. |@\w|(?:async |await )?(?:class|def|for|while|if|elif|try|with"
    r"|return|import|from|print|raise|assert|del|global|nonlocal)\b.*[:)\w]$)"
)
# Remarks about versions and pointers elsewhere: quoted only for want of better.
_ASIDE = re.compile(r"(?:PEP \d|(?:Changed|New|Added|Deprecated)\b.* version|See\b)")
# Sentences that need the one before them.
_LEANING = re.compile(
    r"(?:It|Its|This|They|These|Those|That|Such|Otherwise|However|But|Also|If so|Then)"
    r"\b"
)


def sentences(text: str) -> list[str]:
    """Split a text into sentences of prose, without markup, rules, grammar and code."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*[*-] )", _HYPHEN.sub("-", text)):
        lines = [line for line in paragraph.splitlines() if not _RULE.search(line)]
        words = " ".join(_BULLET.sub("", line) for line in lines).split()
        prose = _EMPHASIS.sub(r"\1", " ".join(words)).replace("``", "`")
        if not prose or _is_code(lines, prose):
            continue
        found += [piece.strip() for piece in _END.split(prose) if piece.strip()]
    return found


def _is_code(lines: Sequence[str], prose: str) -> bool:
    if not all(line.startswith(("   ", "\t", ">>>")) for line in lines):
        return False
    return len(_SIGNS.findall(prose)) > len(prose) / 12 or any(map(_CODE.match, lines))


def answer(
    question: str, passages: Sequence[Passage], *, before: str = ""
) -> str | None:
    """Answer a question with sentences of the context.

    Args:
        question: What is asked.
        passages: The context.
        before: An earlier question that this one may continue; its terms count half.

    Returns:
        One to three sentences, or `None` if the context does not answer.
    """
    asked = _asked(question, before)
    pool = _pool(passages)
    if not pool or not asked:
        return None
    seen = Counter(term for sentence in pool for term in sentence.terms)
    worth = {
        term: weight * math.log(1 + len(pool) / max(1, seen[term]))
        for term, weight in asked.items()
    }
    topic = _topics(pool, worth)
    scores = [_score(sentence, worth, topic) for sentence in pool]
    best = max(range(len(pool)), key=scores.__getitem__)
    near = _near(pool, best)
    covered = sum(weight for term, weight in asked.items() if term in near)
    enough = min(ENOUGH * sum(asked.values()), ENOUGH_TERMS)
    if covered < enough or not scores[best]:
        return None
    return _join(pool, scores)


def _near(pool: Sequence[_Sentence], best: int) -> set[str]:
    """Return the terms of a sentence and of its neighbours in the passage."""
    around = pool[max(0, best - REACH) : best + REACH + 1]
    same = (s.terms for s in around if s.passage == pool[best].passage)
    return set().union(*same)


def not_said(question: str) -> str:
    """Return the answer to a question that the context does not answer."""
    about = " ".join(content_words(question, limit=6))
    return f"The context does not say anything about: {about or question[:60]}."


def _asked(question: str, before: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for text, share in ((before, 0.5), (question, 1.0)):
        for term, weight in terms(text):
            if weight > STOP_WEIGHT:
                weights[term] = max(weights.get(term, 0.0), weight * share)
    return weights


def _pool(passages: Sequence[Passage]) -> list[_Sentence]:
    pool: list[_Sentence] = []
    known: set[str] = set()
    for number, passage in enumerate(passages):
        for text in sentences(passage.text):
            # A question answers nothing.
            if text in known or text.endswith(("?", "？")):  # noqa: RUF001 - as in Chinese
                continue
            known.add(text)
            pool.append(
                _Sentence(
                    text=text,
                    passage=number,
                    weight=passage.weight,
                    terms=frozenset(t for t, w in terms(text) if w > STOP_WEIGHT),
                )
            )
    return pool


def _topics(pool: Iterable[_Sentence], worth: dict[str, float]) -> dict[int, float]:
    """Return how much of the question each passage is about."""
    told: dict[int, set[str]] = {}
    for sentence in pool:
        told.setdefault(sentence.passage, set()).update(sentence.terms & worth.keys())
    return {
        number: sum(worth[term] for term in shared) for number, shared in told.items()
    }


def _score(
    sentence: _Sentence, worth: dict[str, float], topic: dict[int, float]
) -> float:
    own = sum(worth[term] for term in sentence.terms & worth.keys())
    if not own:
        return 0.0
    words = sentence.text.split()
    # What a sentence is about comes first in it.
    lead = {term for term, _ in terms(" ".join(words[:LEAD_WORDS]))}
    own += 0.4 * sum(worth[term] for term in lead & worth.keys())
    # Very short sentences are headings, very long ones bury what they say.
    fit = min(1.0, len(words) / 6) / (1 + max(0, len(words) - 25) / 60)
    if (
        _ASIDE.match(sentence.text)
        or _LEANING.match(sentence.text)
        or sentence.text.endswith(":")
    ):
        fit *= 0.6
    return sentence.weight * fit * (own + 0.25 * topic[sentence.passage])


def _join(pool: Sequence[_Sentence], scores: Sequence[float]) -> str:
    ranked = sorted(range(len(pool)), key=lambda i: (-scores[i], i))
    chosen: list[int] = []
    words = 0
    for index in ranked[:MAX_SENTENCES]:
        length = len(pool[index].text.split())
        if chosen and (
            words + length > MAX_WORDS or scores[index] < CLOSE * scores[ranked[0]]
        ):
            continue
        chosen.append(index)
        words += length
    text = " ".join(pool[index].text for index in sorted(chosen))
    parts = text.split()
    return text if len(parts) <= MAX_WORDS else " ".join(parts[:MAX_WORDS]) + " …"
