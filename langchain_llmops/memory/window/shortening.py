"""The last turn when it alone is too long: what is cut, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops.memory.window.index import cost_of
from langchain_llmops.tokens.graphemes import border_after, border_before

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage

    from langchain_llmops.tokens import TokenCounter

__all__ = ["shorten_message", "shorten_unit"]

_MARK = "\n[…]\n"
_MOST_CHARS_PER_TOKEN = 16
"""Text has fewer on average, whatever it is; only long runs of blanks have more."""


def shorten_message(
    message: BaseMessage, tokens: int, counter: TokenCounter
) -> BaseMessage | None:
    """Return a message cut in its middle to at most so many tokens, or `None`.

    Images and other attachments of a message that is too long go first.

    Args:
        message: Any message; it is not changed.
        tokens: What it may cost.
        counter: Whose tokens.
    """
    if cost_of(message, counter) <= tokens:
        return message
    text = str(message.text)
    low, high = 0, min(len(text), tokens * _MOST_CHARS_PER_TOKEN)
    best = None
    while low <= high:
        middle = (low + high) // 2
        shorter = message.model_copy(update={"content": _cut(text, middle)})
        if cost_of(shorter, counter) <= tokens:
            best, low = shorter, middle + 1
        else:
            high = middle - 1
    return best


def shorten_unit(
    messages: Sequence[BaseMessage], tokens: int, counter: TokenCounter
) -> list[BaseMessage] | None:
    """Return messages that belong together with the longest ones cut, or `None`.

    Args:
        messages: A message, or a tool call with its results.
        tokens: What they may cost together.
        counter: Whose tokens.
    """
    costs = [cost_of(message, counter) for message in messages]
    shares = costs.copy()
    # The shortest come first: what they do not use goes to those that are longer.
    left = tokens
    for done, place in enumerate(sorted(range(len(costs)), key=costs.__getitem__)):
        shares[place] = min(costs[place], left // (len(costs) - done))
        left -= shares[place]
    shorter = []
    for message, share in zip(messages, shares, strict=True):
        cut = shorten_message(message, share, counter)
        if cut is None:
            return None
        shorter.append(cut)
    return shorter


def _cut(text: str, chars: int) -> str:
    """Keep so many characters of a text, two thirds of them at its beginning."""
    if chars >= len(text):
        return text
    ahead = chars * 2 // 3
    head = border_before(text, ahead)
    tail = border_after(text, len(text) - (chars - ahead), head)
    return text[:head] + _MARK + text[tail:]
