"""The ladder of summaries: which messages the next summary covers, and making it."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Any

from langchain_core.language_models import BaseLanguageModel
from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage
from langchain_core.messages.utils import get_buffer_string

from langchain_llmops.memory.facts import key_facts, strongest
from langchain_llmops.memory.stores.base import SessionSummary
from langchain_llmops.memory.window.index import cost_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.runnables import Runnable

    from langchain_llmops.memory.stores.base import LogEntry
    from langchain_llmops.tokens import TokenCounter

    Summarizer = Runnable[Any, Any] | Callable[[list[BaseMessage]], Any]

__all__ = [
    "next_range",
    "next_rung",
    "request_for",
    "rung",
    "shown",
    "shown_within",
    "summary",
]

_INSTRUCTION = (
    "Summarize this part of a conversation for the assistant that continues it. Keep "
    "names, numbers, dates, decisions, preferences and open questions. Write plain "
    "sentences, at most a tenth of the length."
)
_RUNGS = 4
"""Summaries of one level that the next level merges into one."""
_FACTS = 16


def next_range(
    begin: int,
    costs: Sequence[int],
    humans: Sequence[bool],
    *,
    keep_tokens: int,
    at_most: int,
) -> range | None:
    """Return the messages that the next summary covers: whole turns, the oldest first.

    Args:
        begin: The seq of the first message that no summary covers.
        costs: Tokens of the messages from there to the end.
        humans: Which of them begin a turn.
        keep_tokens: What is to stay out of summaries at the end.
        at_most: Tokens that one summary covers, unless a single turn has more.

    Returns:
        The seqs to cover, or `None` if all that is old enough is covered.
    """
    left = sum(costs)
    covered = stop = 0
    for place, cost in enumerate(costs):
        if place and humans[place]:
            if left < keep_tokens or (stop and covered > at_most):
                break
            stop = place
            if covered >= at_most:
                break
        covered += cost
        left -= cost
    return range(begin, begin + stop) if stop else None


def next_rung(summaries: Sequence[SessionSummary]) -> Sequence[SessionSummary] | None:
    """Return the adjacent summaries of one level that make one of the next level."""
    for _, group in groupby(summaries, key=lambda summary: summary.level):
        same = list(group)[:_RUNGS]
        if len(same) == _RUNGS:
            return same
    return None


def request_for(
    summarizer: Summarizer, messages: Sequence[BaseMessage]
) -> list[BaseMessage]:
    """Return what a summarizer is given: a model also needs to be told what to do."""
    if not isinstance(summarizer, BaseLanguageModel):
        return list(messages)
    return [SystemMessage(_INSTRUCTION), HumanMessage(get_buffer_string(messages))]


def summary(
    entries: Sequence[LogEntry], said: object, at: float
) -> SessionSummary | None:
    """Return the summary of a range, or `None` if the summarizer had nothing to say.

    Args:
        entries: The messages that it covers.
        said: What the summarizer returned: a message or a text.
        at: Now, in seconds since 1970.
    """
    text = _text(said)
    if not text:
        return None
    return SessionSummary(
        start=entries[0].seq,
        stop=entries[-1].seq + 1,
        text=text,
        facts=key_facts(entries),
        at=datetime.fromtimestamp(at, UTC),
    )


def rung(
    merged: Sequence[SessionSummary], said: object, at: float
) -> SessionSummary | None:
    """Return the summary of summaries, with all their facts, or `None` if empty."""
    text = _text(said)
    if not text:
        return None
    return SessionSummary(
        start=merged[0].start,
        stop=merged[-1].stop,
        text=text,
        facts=strongest((fact for each in merged for fact in each.facts), _FACTS),
        level=merged[0].level + 1,
        at=datetime.fromtimestamp(at, UTC),
    )


def shown_within(
    summaries: Sequence[SessionSummary], tokens: int, counter: TokenCounter
) -> list[BaseMessage]:
    """Return summaries as the model sees them, with as many facts as there is room for.

    Args:
        summaries: The summaries, oldest first.
        tokens: What they may take together, unless their texts alone take more.
        counter: Whose tokens.
    """
    made: list[BaseMessage] = []
    for place, each in enumerate(summaries):
        share = tokens // (len(summaries) - place)
        facts = len(each.facts)
        message = shown(each, facts)
        while facts and cost_of(message, counter) > share:
            facts //= 2
            message = shown(each, facts)
        made.append(message)
        tokens -= cost_of(message, counter)
    return made


def shown(summary: SessionSummary, facts: int = 99) -> HumanMessage:
    """Return a summary as the model sees it.

    A user's message, not a system message: what users have said must not rise to an
    instruction by being summarized.

    Args:
        summary: The summary.
        facts: How many of its facts to show at most.
    """
    head = (
        f"[Summary of messages {summary.start} to {summary.stop - 1} of this "
        "conversation, which are not all shown]"
    )
    lines = [head, summary.text]
    if facts and summary.facts:
        best = strongest(summary.facts, facts)
        lines += ["Said there:", *(f"- {fact.text}" for fact in best)]
    return HumanMessage(
        "\n".join(lines),
        additional_kwargs={"summary_of": [summary.start, summary.stop]},
    )


def _text(said: object) -> str:
    text = said.text if isinstance(said, BaseMessage) else said
    return str(text).strip() if isinstance(text, str) else ""
