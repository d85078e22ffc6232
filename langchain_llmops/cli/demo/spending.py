"""A hard ceiling on what the demo may spend on a real provider."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from langchain_llmops.cli.demo.questions import Question

__all__ = ["Spending", "most_input_tokens"]

_WORDING_TOKENS = 200
"""The prompt's own words, and what a chat format adds per message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Says whether one more question keeps the ceiling, whatever it turns out to cost.

    Args:
        limit_usd: The ceiling.
        spent: Returns what everything that has ended did cost.
        worst: Returns the most that a question can cost.
    """

    limit_usd: Decimal
    spent: Callable[[], Decimal]
    worst: Callable[[Question], Decimal]

    def admits(self, question: Question, open_now: Iterable[Question]) -> bool:
        """Whether a question may be asked while others are open."""
        reserved = sum(map(self.worst, (question, *open_now)), Decimal())
        return self.spent() + reserved <= self.limit_usd


def most_input_tokens(
    questions: Sequence[Question],
    *,
    count: Callable[[str], int],
    context_tokens: int,
    answer_tokens: int,
) -> dict[str, int]:
    """Return the most input tokens that each question's prompt can have.

    Args:
        questions: The log, whose sessions are conversations.
        count: Returns the tokens of a text, or more.
        context_tokens: Longest context.
        answer_tokens: Longest answer, which a later turn sends along.

    Returns:
        Question id to tokens.
    """
    earlier: dict[str, int] = {}
    most: dict[str, int] = {}
    for question in questions:
        own = count(question.text) + _WORDING_TOKENS
        before = earlier.get(question.session, 0)
        most[question.id] = context_tokens + before + own
        earlier[question.session] = before + own + answer_tokens
    return most
