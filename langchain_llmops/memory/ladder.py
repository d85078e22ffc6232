"""Plans for summarizing what is old in a session, a range at a time."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from langchain_llmops.errors import StorageError
from langchain_llmops.memory import summarizing
from langchain_llmops.memory.steps import Call
from langchain_llmops.memory.stores.operation import ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import Runnable

    from langchain_llmops.memory.session import KnownSession
    from langchain_llmops.memory.stores.base import LogEntry, SessionSummary
    from langchain_llmops.memory.stores.conversation_store import ConversationStore
    from langchain_llmops.storage.plans import Plan

__all__ = ["Ladder"]

_log = logging.getLogger("langchain_llmops.memory")

_ABOVE, _KEEP = 0.5, 0.25
"""Shares of the budget: what no summary covers grows to the first, shrinks to the
second, so that it always fits into the window and nothing leaves it uncovered."""


class Ladder:
    """Covers the messages that leave the window with summaries, each with one.

    A summarizer that fails or says nothing changes nothing: the messages stay where
    they are, ranked like the others, and the next turn tries again.

    Args:
        store: Where messages and summaries are.
        summarizer: Takes messages, returns a text or a message.
        max_tokens: The budget of a window.
        clock: Seconds since 1970.

    Attributes:
        failures: How often the summarizer failed or said nothing.
    """

    def __init__(
        self,
        store: ConversationStore,
        summarizer: Runnable[Any, Any],
        *,
        max_tokens: int,
        clock: Callable[[], float],
    ) -> None:
        self._store, self._summarizer, self._clock = store, summarizer, clock
        self._max_tokens = max_tokens
        self.failures = 0

    def climb(self, session_id: str, known: KnownSession) -> Plan[int]:
        """Summarize what is old enough; return how many summaries were stored.

        Raises:
            StorageError: The store cannot be used.
        """
        yield from self._read(session_id, known)
        made = 0
        while (due := self._due(known)) is not None:
            entries: list[LogEntry] = yield from ask(
                Call(self._store, "read", (session_id, due.start, due.stop))
            )
            said = yield from self._summarize([entry.message for entry in entries])
            new = summarizing.summary(entries, said, self._clock())
            if not (yield from self._put(session_id, known, new)):
                return made
            made += 1
        while rungs := summarizing.next_rung(known.summaries):
            said = yield from self._summarize([summarizing.shown(r) for r in rungs])
            new = summarizing.rung(rungs, said, self._clock())
            if not (yield from self._put(session_id, known, new)):
                return made
            made += 1
        return made

    def _due(self, known: KnownSession) -> range | None:
        covered = known.covered
        costs, humans = known.after(covered)
        if sum(costs) <= _ABOVE * self._max_tokens:
            return None
        return summarizing.next_range(
            max(covered, known.begin),
            costs,
            humans,
            keep_tokens=int(_KEEP * self._max_tokens),
            at_most=self._max_tokens,
        )

    def _read(self, session_id: str, known: KnownSession) -> Plan[None]:
        summaries: list[SessionSummary] = yield from ask(
            Call(self._store, "summaries", (session_id,))
        )
        known.summaries = tuple(summaries)

    def _summarize(self, messages: Sequence[BaseMessage]) -> Plan[object]:
        request = summarizing.request_for(self._summarizer, messages)
        try:
            said: object = yield from ask(Call(self._summarizer, "invoke", (request,)))
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001 - a summary is a convenience
            self._fail(repr(error))
            return None
        return said

    def _put(
        self, session_id: str, known: KnownSession, new: SessionSummary | None
    ) -> Plan[bool]:
        if new is None:
            self._fail("it returned no text")
            return False
        stored: bool = yield from ask(
            Call(self._store, "put_summary", (session_id, new))
        )
        # If another process was faster, its summary stands.
        yield from self._read(session_id, known)
        return stored

    def _fail(self, why: str) -> None:
        if not self.failures:
            _log.warning("the summarizer failed, messages stay as they are: %s", why)
        self.failures += 1
