"""What a process knows of a session: its messages, their index, what is unsaved."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from langchain_core.messages import HumanMessage

from langchain_llmops.memory.window.index import WindowIndex

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_core.messages import BaseMessage

    from langchain_llmops.memory.stores.base import LogEntry, SessionSummary
    from langchain_llmops.tokens import TokenCounter

__all__ = ["KnownSession", "KnownSessions"]


class KnownSession:
    """The newest part of a session's log as this process has read it.

    Safe across threads and event loops: nothing here waits for I/O.

    Args:
        begin: The seq of the first message that is known.
        counter: Counts the messages for the index.

    Attributes:
        messages: The messages from `begin` on; only ever added to.
        index: What choosing windows knows of them; used while holding `choosing`.
        summaries: The session's summaries, as last read.
        unsaved: Messages that the store has not taken yet, in order.
    """

    __slots__ = (
        "_costs",
        "_lock",
        "begin",
        "choosing",
        "index",
        "messages",
        "summaries",
        "unsaved",
    )

    def __init__(self, begin: int, counter: TokenCounter) -> None:
        self.begin = begin
        self.messages: list[BaseMessage] = []
        self.index = WindowIndex(counter=counter)
        self.summaries: tuple[SessionSummary, ...] = ()
        self.unsaved: list[BaseMessage] = []
        self.choosing = threading.Lock()
        self._costs: list[int] = []
        self._lock = threading.Lock()

    @property
    def end(self) -> int:
        """The seq of the next message that is not known."""
        return self.begin + len(self.messages)

    @property
    def covered(self) -> int:
        """The seq of the first message that no summary covers."""
        return self.summaries[-1].stop if self.summaries else 0

    def after(self, seq: int) -> tuple[list[int], list[bool]]:
        """Return the tokens of the messages from a seq on, and which are a user's."""
        place = max(0, seq - self.begin)
        messages = self.messages[place:]
        costs = self._costs[place : place + len(messages)]
        return costs, [isinstance(message, HumanMessage) for message in messages]

    def learn(self, entries: Iterable[LogEntry]) -> None:
        """Add what was read from the log, as far as it continues what is known."""
        with self._lock:
            for entry in entries:
                if entry.seq == self.end:
                    self._costs.append(entry.tokens)
                    self.messages.append(entry.message)

    def contradicts(self, entry: LogEntry) -> bool:
        """Return whether the log has another message where one is known."""
        place = entry.seq - self.begin
        known = 0 <= place < len(self.messages)
        return place < 0 or (known and self.messages[place].id != entry.message.id)

    def take_unsaved(self) -> list[BaseMessage]:
        """Return what is unsaved; the caller saves it or gives it back."""
        with self._lock:
            taken, self.unsaved = self.unsaved, []
            return taken

    def give_back(self, messages: Iterable[BaseMessage]) -> None:
        """Put messages before what has become unsaved since."""
        with self._lock:
            self.unsaved[:0] = messages


class KnownSessions:
    """The sessions that a process has used last; safe across threads.

    Args:
        counter: Counts their messages.
        size: How many to keep.
    """

    def __init__(self, counter: TokenCounter, size: int) -> None:
        self._counter, self._size = counter, size
        self._sessions: OrderedDict[str, KnownSession] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, session_id: str) -> KnownSession | None:
        """Return a session, if it is known."""
        with self._lock:
            known = self._sessions.get(session_id)
            if known is not None:
                self._sessions.move_to_end(session_id)
            return known

    def new(self, session_id: str, begin: int = 0) -> KnownSession:
        """Forget what is known of a session; it will be known from a seq on."""
        with self._lock:
            known = KnownSession(begin, self._counter)
            old = self._sessions.pop(session_id, None)
            if old is not None:
                known.unsaved = old.take_unsaved()
            self._sessions[session_id] = known
            if len(self._sessions) > self._size:
                self._forget_one()
            return known

    def _forget_one(self) -> None:
        """Forget the session used longest ago that has nothing unsaved."""
        idle = (name for name, known in self._sessions.items() if not known.unsaved)
        del self._sessions[next(idle)]
