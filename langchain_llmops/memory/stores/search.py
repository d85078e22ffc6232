"""Finding messages by their words, session by session."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from langchain_llmops.memory.stores.base import FoundMessage
from langchain_llmops.memory.stores.codec import decode_entry
from langchain_llmops.memory.stores.cold import unpacked
from langchain_llmops.memory.stores.operation import Compute, ask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.memory.stores.base import LogEntry
    from langchain_llmops.memory.stores.log import Fetched, Head, Row
    from langchain_llmops.memory.stores.plans import ConversationPlans
    from langchain_llmops.storage.plans import Plan

__all__ = ["search"]

_SESSIONS: Final = 8
"""Sessions that are looked into in one step."""


def search(
    plans: ConversationPlans, words: Sequence[str], session_id: str | None, limit: int
) -> Plan[list[FoundMessage]]:
    """Find messages with all the words.

    Args:
        plans: Of the store to look into.
        words: What to look for, casefolded.
        session_id: Look only into this session.
        limit: How many messages are enough.

    Returns:
        Messages: the session written last first, in each the newest first.
    """
    found: list[FoundMessage] = []
    if session_id is not None:
        head = yield from plans.head(session_id)
        if head is not None:
            found = yield from _matches(plans, [head], words)
        return found[:limit]
    before: tuple[float, str] | None = None
    while len(found) < limit:
        heads = yield from plans.sessions(_SESSIONS, before)
        if not heads:
            break
        before = (heads[-1].updated_at, heads[-1].session_id)
        found += yield from _matches(plans, heads, words)
    return found[:limit]


def _matches(
    plans: ConversationPlans, heads: Sequence[Head], words: Sequence[str]
) -> Plan[list[FoundMessage]]:
    stored: dict[str, Fetched] = {}
    for log in plans.logs:
        here = [head for head in heads if plans.log_of(head.session_id) is log]
        if here:
            stored |= yield from ask(log.matching(here, words))
    found = []
    for head in heads:
        if head.born not in stored:
            continue  # deleted meanwhile
        rows = list(stored[head.born].rows)
        for segment in stored[head.born].segments.values():
            rows += yield from ask(unpacked(segment))
        rows.sort(key=lambda row: row.seq, reverse=True)
        size = sum(len(row.body) for row in rows)
        entries = yield from ask(Compute(partial(_with_words, rows, words), size))
        found += [
            FoundMessage(session_id=head.session_id, entry=entry) for entry in entries
        ]
    return found


def _with_words(rows: Sequence[Row], words: Sequence[str]) -> list[LogEntry]:
    found = []
    for row in rows:
        entry = decode_entry(row)
        text = entry.message.text.casefold()
        if all(word in text for word in words):
            found.append(entry)
    return found
