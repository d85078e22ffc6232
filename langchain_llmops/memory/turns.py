"""Plans for the turns of a conversation: save them, choose what the model sees."""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, message_chunk_to_message

from langchain_llmops.errors import ConfigurationError, StorageError
from langchain_llmops.memory.session import KnownSession, KnownSessions
from langchain_llmops.memory.steps import Call, Work
from langchain_llmops.memory.stores.operation import ask
from langchain_llmops.memory.summarizing import shown_within
from langchain_llmops.memory.window.index import WindowIndex, cost_of
from langchain_llmops.memory.window.units import is_system

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_llmops.memory.ladder import Ladder
    from langchain_llmops.memory.stores.base import LogEntry
    from langchain_llmops.memory.stores.conversation_store import ConversationStore
    from langchain_llmops.memory.window.policy import WindowPolicy
    from langchain_llmops.storage.plans import Plan

__all__ = ["TurnPlans"]

_log = logging.getLogger("langchain_llmops.memory")

_SESSIONS = 256
_SUMMARIES_SHARE = 0.15
_LOOK_BACK = 64
"""Messages looked through for what a broken connection may have stored."""


class TurnPlans:
    """What a turn does with the store, for threads and event loops alike.

    Args:
        store: Where the log is.
        policy: Chooses windows.
        ladder: Makes summaries, if there is a summarizer.
        recall: How many of a session's newest messages windows choose from.

    Attributes:
        lost: How often the store could not be used.
    """

    def __init__(
        self,
        store: ConversationStore,
        policy: WindowPolicy,
        ladder: Ladder | None,
        recall: int,
    ) -> None:
        self._store, self._policy = store, policy
        self._ladder, self._recall = ladder, recall
        self._sessions = KnownSessions(policy.counter, _SESSIONS)
        self.lost = 0

    def open(
        self, session_id: str, turn: Sequence[BaseMessage]
    ) -> Plan[list[BaseMessage]]:
        """Save what begins a turn, and return the window that ends with it.

        System messages of the turn are not saved: they come with every turn.
        """
        systems = [message for message in turn if is_system(message)]
        said = [message for message in turn if not is_system(message)]
        log = yield from self._save(session_id, said)
        yield from self._climb(session_id, log.known)
        choose = Work(lambda: self._choose(log, systems, len(said)))
        return (yield from ask(choose))

    def close(self, session_id: str, answer: Sequence[BaseMessage]) -> Plan[None]:
        """Save what ends a turn, and summarize what has become old."""
        if answer:
            log = yield from self._save(session_id, answer)
            yield from self._climb(session_id, log.known)

    def _save(self, session_id: str, new: Iterable[BaseMessage]) -> Plan[_Log]:
        """Add messages to the log; while the store is lost they wait for it here."""
        known = self._sessions.get(session_id) or self._sessions.new(session_id)
        waiting = known.take_unsaved()
        batch = [*waiting, *map(_stored_form, new)]
        entries: tuple[LogEntry, ...] = ()
        try:
            if waiting:
                batch = yield from self._unstored(session_id, batch)
            if batch:
                append: Call[Any] = Call(self._store, "append", (session_id, batch))
                entries = yield from ask(append)
            waiting = []
            known = yield from self._catch_up(session_id, known, entries)
        except StorageError as error:
            self._lose(error)
            known.give_back(batch if not entries else ())
            return _Log(known, [*known.messages, *batch], None)
        except BaseException:
            known.give_back(waiting)
            raise
        stop = entries[-1].seq + 1 if entries else known.end
        return _Log(known, known.messages[: stop - known.begin], known.index)

    def _unstored(
        self, session_id: str, batch: list[BaseMessage]
    ) -> Plan[list[BaseMessage]]:
        """Leave out what an append that seemed to fail has stored after all."""
        tail: list[LogEntry] = yield from ask(
            Call(self._store, "tail", (session_id,), {"limit": _LOOK_BACK + len(batch)})
        )
        stored = {entry.message.id for entry in tail}
        return [message for message in batch if message.id not in stored]

    def _catch_up(
        self, session_id: str, known: KnownSession, entries: tuple[LogEntry, ...]
    ) -> Plan[KnownSession]:
        """Read what others have added to the log before these entries."""
        stop: int | None = entries[0].seq if entries else None
        oldest = max(0, (stop or 0) - self._recall)
        if known.begin + 2 * self._recall < oldest + self._recall or (
            entries and known.contradicts(entries[0])
        ):
            known = self._sessions.new(session_id, oldest)
        if stop is None or known.end < stop:
            # With the last one that is known: if it differs, the session is another.
            begin = max(known.begin, known.end - 1)
            missing = yield from self._read(session_id, begin, stop)
            if missing and known.contradicts(missing[0]):
                known = self._sessions.new(session_id, oldest)
                missing = yield from self._read(session_id, oldest, stop)
            known.learn(missing)
        known.learn(entries)
        return known

    def _read(
        self, session_id: str, start: int, stop: int | None
    ) -> Plan[list[LogEntry]]:
        entries: list[LogEntry] = yield from ask(
            Call(self._store, "read", (session_id, start, stop))
        )
        return entries

    def _climb(self, session_id: str, known: KnownSession) -> Plan[int]:
        if self._ladder is None or known.unsaved:
            return 0
        try:
            return (yield from self._ladder.climb(session_id, known))
        except StorageError as error:
            self._lose(error)
            return 0

    def _choose(
        self, log: _Log, systems: Sequence[BaseMessage], turn: int
    ) -> list[BaseMessage]:
        known, policy = log.known, self._policy
        taken = sum(cost_of(message, policy.counter) for message in systems)
        if taken >= policy.max_tokens:
            raise ConfigurationError(
                f"max_tokens={policy.max_tokens!r} is too small: the system messages "
                f"take {taken} tokens; allow more tokens or shorten them"
            )
        uncovered = known.end - known.covered if known.summaries else 0
        room = int((policy.max_tokens - taken) * _SUMMARIES_SHARE)
        with known.choosing:
            window = policy.select(
                log.messages,
                max_tokens=policy.max_tokens - taken,
                index=log.index,
                summaries=shown_within(known.summaries, room, policy.counter),
                keep_last=max(policy.keep_last, turn, uncovered),
            )
        return [*systems, *window]

    def _lose(self, error: StorageError) -> None:
        self.lost += 1
        if self.lost == 1:
            _log.warning("the conversation store is lost, turns wait for it: %s", error)


@dataclass(frozen=True, slots=True)
class _Log:
    """The log up to the end of a turn, as far as this process knows it."""

    known: KnownSession
    messages: list[BaseMessage]
    index: WindowIndex | None


def _stored_form(message: BaseMessage) -> BaseMessage:
    """Return a message as it is stored: whole, and with an id to know it again by."""
    message = message_chunk_to_message(message)
    if message.id is None:
        return message.model_copy(update={"id": str(uuid.uuid4())})
    return message
