"""Key facts of a conversation: sentences with names, numbers and decisions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from langchain_llmops.memory.stores.base import KeyFact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from langchain_llmops.memory.stores.base import LogEntry

__all__ = ["key_facts", "strongest"]

_ENDS = ".!?\u3002\uff01\uff1f"
# An end inside a word, as in 3.5 or example.com, is none.
_SENTENCE = re.compile(rf"[^{_ENDS}\n]+(?:[.!?](?!\s|$)[^{_ENDS}\n]*)*[{_ENDS}]?")
_NUMBER = re.compile(r"\d")
# A capital inside a sentence; at its beginning every word has one.
_NAME = re.compile(r"(?<=[\w,;:'\"] )(?!I\b|I')[A-Z][\w-]+")
_DECISION = re.compile(
    r"\b(?:decid|agree|chose|choose|prefer|must|never|always|deadline|promise|"
    r"call me|called|my name|allerg|need to|let's go with|we'll|i'll|approved)",
    re.IGNORECASE,
)
_LONGEST = 240


def key_facts(entries: Iterable[LogEntry], limit: int = 12) -> tuple[KeyFact, ...]:
    """Return what a summary of these messages must not lose, in their order.

    A fact is a sentence of the conversation, word for word, that holds a number, a
    name or a decision; the more of them the sooner it is kept. Found by rules, without
    a model, so it is the same every time. Questions and tools' results are passed over.

    Args:
        entries: Messages of a log.
        limit: How many facts to return at most.
    """
    found: dict[str, tuple[float, list[LogEntry]]] = {}
    for entry in entries:
        if entry.message.type in {"tool", "function", "system"}:
            continue
        for sentence in _sentences(str(entry.message.text)):
            if points := _points(sentence, human=entry.message.type == "human"):
                found.setdefault(sentence, (points, []))[1].append(entry)
    best = sorted(found.items(), key=lambda item: -item[1][0])[:limit]
    facts = [
        KeyFact(
            text=sentence,
            message_ids=tuple(entry.message.id or "" for entry in said),
            seqs=tuple(entry.seq for entry in said),
        )
        for sentence, (_, said) in best
    ]
    return tuple(sorted(facts, key=lambda fact: fact.seqs))


def strongest(facts: Iterable[KeyFact], limit: int) -> tuple[KeyFact, ...]:
    """Return the facts that say most, in their order, for a summary of summaries.

    Args:
        facts: Facts of several summaries.
        limit: How many to return at most.
    """
    best = sorted(facts, key=lambda fact: -_points(fact.text, human=False))[:limit]
    return tuple(sorted(best, key=lambda fact: fact.seqs))


def _sentences(text: str) -> Iterator[str]:
    for match in _SENTENCE.finditer(text[: 100 * _LONGEST]):
        sentence = " ".join(match[0].split())
        if 0 < len(sentence) <= _LONGEST and not sentence.endswith(("?", "\uff1f")):
            yield sentence


def _points(sentence: str, *, human: bool) -> float:
    points = (
        bool(_NUMBER.search(sentence))
        + bool(_NAME.search(sentence))
        + 2 * bool(_DECISION.search(sentence))
    )
    return points + human if points else 0
