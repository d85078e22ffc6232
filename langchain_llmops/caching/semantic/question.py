"""Which questions stand for themselves, so that their meaning can be looked up.

"Why?", "and in Python 3?" and "what is its capital?" mean what the turn before made of
them. Their embedding is that of every other "why?", so only their exact request may
share an answer.
"""

from __future__ import annotations

from typing import Final

from langchain_llmops.caching.semantic.guard_text import read_question
from langchain_llmops.caching.semantic.guard_words import STOP_WORDS

__all__ = ["MAX_CHARACTERS", "is_self_contained", "semantic_text"]

MAX_CHARACTERS: Final = 600
"""Longer questions are not compared: embedding models cut them off unseen."""

_FILLERS: Final = frozenset(
    """
    again another bye continue describe detail details elaborate else example examples
    exactly first give go hello hey hi last longer more next no nope oh other previous
    repeat rewrite second shorten shorter show simpler sorry still summarise summarize
    sure thing things third translate yeah yep yes
    """.split()  # noqa: SIM905 - a list of words reads better as words
)
_CONNECTIVES: Final = frozenset(
    (word,) for word in ("also", "and", "because", "but", "or", "so", "then")
)
_ABOUT: Final = {("how", "about"), ("what", "about")}
_PRONOUNS: Final = frozenset(
    """
    former he her hers him his it its latter same she that their theirs them these they
    this those
    """.split()  # noqa: SIM905 - a list of words reads better as words
)
# "How long does it take to …", "is it true that …": this "it" points forward.
_BEFORE_IT: Final = frozenset(
    "be can could did does is might should was will would".split()  # noqa: SIM905 - same
)
_AFTER_IT: Final = frozenset("for if that to when whether".split())  # noqa: SIM905 - same
_REACH: Final = 4


def semantic_text(text: str, *, max_characters: int = MAX_CHARACTERS) -> str | None:
    """Return the text to embed for a question, or `None` to leave it to exact hits.

    Args:
        text: The last user turn.
        max_characters: Beyond it, embedding models may not have read the end.
    """
    text = " ".join(text.split())
    if len(text) > max_characters or not is_self_contained(text):
        return None
    return text


def is_self_contained(text: str) -> bool:
    """Return whether a question names what it is about.

    An English heuristic: other languages pass it, an empty text never does.
    """
    question = read_question(text)
    words = question.words
    topics = [
        at
        for at, word in enumerate(words)
        if not any(word in idle for idle in (STOP_WORDS, _FILLERS, _PRONOUNS))
    ]
    if words[:1] in _CONNECTIVES or words[:2] in _ABOUT:
        return False
    # "What is 2 + 2?" and "what does `==` do?" have no topic word, and yet a topic.
    if question.code or (not topics and any(sign.isdigit() for sign in text)):
        return True
    return bool(topics) and not any(
        word in _PRONOUNS and not _points_forward(words, at)
        for at, word in enumerate(words[: topics[0]])
    )


def _points_forward(words: tuple[str, ...], at: int) -> bool:
    return (
        words[at] == "it"
        and at > 0
        and words[at - 1] in _BEFORE_IT
        and not _AFTER_IT.isdisjoint(words[at + 1 : at + 1 + _REACH])
    )
