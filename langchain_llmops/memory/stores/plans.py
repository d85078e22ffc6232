"""What a conversation store does, step by step, whatever the database."""

from __future__ import annotations

import hashlib
import math
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from langchain_llmops.errors import StorageError
from langchain_llmops.memory.stores.arguments import check_numbers, check_session
from langchain_llmops.memory.stores.codec import (
    decode_entry,
    decode_summary,
    encode_message,
    encode_summary,
    with_id,
)
from langchain_llmops.memory.stores.cold import pack, unpacked
from langchain_llmops.memory.stores.ladder import replaced_by
from langchain_llmops.memory.stores.log import Head, Row
from langchain_llmops.memory.stores.operation import Compute, ask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.messages import BaseMessage

    from langchain_llmops.memory.stores.base import LogEntry, SessionSummary
    from langchain_llmops.memory.stores.hot import HotRows
    from langchain_llmops.memory.stores.log import Log
    from langchain_llmops.storage.plans import Plan
    from langchain_llmops.tokens import TokenCounter

__all__ = ["ConversationPlans"]

_PAGE: Final = 64
"""Messages that the first page of a tail has; later ones are twice as long."""
_READ: Final = 2_000
"""Messages that travel at once."""
_SESSIONS: Final = 8
"""Sessions that a sweep looks at in one step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationPlans:
    """Plans over one or several logs: every session lives in one of them.

    Attributes:
        logs: Where sessions live: which one follows from the session's name.
        hot: Rows that this process has seen.
        counter: Counts the tokens of what is stored.
        clock: Seconds since the epoch.
    """

    logs: Sequence[Log]
    hot: HotRows
    counter: TokenCounter
    clock: Callable[[], float]

    def log_of(self, session_id: str) -> Log:
        """Return the log where a session lives: the same one in every process."""
        if len(self.logs) == 1:
            return self.logs[0]
        digest = hashlib.blake2b(session_id.encode(), digest_size=8).digest()
        return self.logs[int.from_bytes(digest) % len(self.logs)]

    def append(
        self, session_id: str, messages: Sequence[BaseMessage], expected: int | None
    ) -> Plan[tuple[LogEntry, ...]]:
        """Write messages at the end of a log."""
        check_session(session_id)
        kept = [with_id(message) for message in messages]
        if not kept:
            return ()
        size = sum(len(str(message.content)) for message in kept)
        rows = yield from ask(Compute(lambda: self._rows(kept), size))
        head = yield from ask(
            self.log_of(session_id).append(
                session_id, rows, expected=expected, born=secrets.token_hex(8)
            )
        )
        first = head.length - len(rows)
        placed = [
            Row(seq, row.at, row.tokens, row.body)
            for seq, row in enumerate(rows, first)
        ]
        self.hot.put(head.born, placed)
        return (yield from self._entries(placed))

    def head(self, session_id: str) -> Plan[Head | None]:
        """Look up a session."""
        check_session(session_id)
        return (yield from ask(self.log_of(session_id).head(session_id)))

    def read(
        self, session_id: str, start: int, stop: int | None
    ) -> Plan[list[LogEntry]]:
        """Read a range, page by page."""
        head = yield from self.head(session_id)
        if head is None:
            return []
        stop = head.length if stop is None else min(stop, head.length)
        entries: list[LogEntry] = []
        for begin in range(start, stop, _READ):
            end = min(stop, begin + _READ)
            rows = yield from self._range(head, begin, end)
            entries += yield from self._entries(rows)
        return entries

    def tail(
        self, session_id: str, max_tokens: int | None, limit: int | None
    ) -> Plan[list[LogEntry]]:
        """Read from the end backwards until enough is there."""
        head = yield from self.head(session_id)
        if head is None:
            return []
        least = 0 if limit is None else max(0, head.length - limit)
        left = math.inf if max_tokens is None else max_tokens
        found: list[Row] = []
        stop, size = head.length, _PAGE
        while stop > least and left > 0:
            start = max(least, stop - size)
            rows = yield from self._range(head, start, stop)
            taken = _newest(rows, left, at_least=0 if found else 1)
            found = rows[len(rows) - taken :] + found
            if taken < stop - start:
                break
            left -= sum(row.tokens for row in rows)
            stop, size = start, min(2 * size, _READ)
        return list((yield from self._entries(found)))

    def summaries(self, session_id: str) -> Plan[list[SessionSummary]]:
        """Read the summaries of a session, in order."""
        head = yield from self.head(session_id)
        if head is None:
            return []
        stored = yield from ask(self.log_of(session_id).summaries(head.born))
        return [decode_summary(*each) for each in sorted(stored.items())]

    def put_summary(self, session_id: str, summary: SessionSummary) -> Plan[bool]:
        """Store a summary, in the place of those that it covers."""
        check_numbers(start=summary.start)
        log, body = self.log_of(session_id), encode_summary(summary)
        while True:
            # The head first: a change after it makes the swap fail.
            head = yield from self.head(session_id)
            if head is None or not summary.start < summary.stop <= head.length:
                return False
            stored = yield from ask(log.summaries(head.born))
            known = [decode_summary(*each) for each in stored.items()]
            gone = replaced_by(summary, known)
            if gone is None:
                return False
            swap = log.swap_summaries(head, gone, summary.start, body)
            if (yield from ask(swap)):
                return True

    def delete(self, session_id: str) -> Plan[bool]:
        """Remove a session with all that belongs to it."""
        check_session(session_id)
        return (yield from ask(self.log_of(session_id).delete(session_id)))

    def sessions(
        self, limit: int, before: tuple[float, str] | None
    ) -> Plan[list[Head]]:
        """List sessions of all logs, the latest written first."""
        heads: list[Head] = []
        for log in self.logs:
            heads += yield from ask(log.sessions(limit, before))
        heads.sort(key=lambda head: (head.updated_at, head.session_id), reverse=True)
        return heads[:limit]

    def expire(self, ttl_s: float, *, once: bool = False) -> Plan[int]:
        """Remove sessions without a write for so long; `once`: a few of them."""
        until, gone = self.clock() - ttl_s, 0
        for log in self.logs:
            while removed := (yield from ask(log.delete_idle(until, _SESSIONS))):
                gone += removed
                if once or removed < _SESSIONS:
                    break
        return gone

    def compact(self, idle_s: float, *, once: bool = False) -> Plan[int]:
        """Pack sessions that nobody touched for so long; `once`: a few of them."""
        until, packed = self.clock() - idle_s, 0
        for log in self.logs:
            seen: set[str] = set()
            while True:
                heads = yield from ask(log.idle(until, _SESSIONS))
                # One that somebody touches is not idle any more: never seen twice.
                new = [head for head in heads if head.born not in seen]
                for head in new:
                    seen.add(head.born)
                    packed += yield from self._packed(log, head)
                if once or not new:
                    break
        return packed

    def _range(self, head: Head, start: int, stop: int) -> Plan[list[Row]]:
        """Return the rows of a range, from this process if it has them."""
        rows = self.hot.get(head.born, start, stop)
        if not rows:
            rows = yield from self._fetched(head, start, stop)
        else:
            if rows[0].seq > start:
                rows = (yield from self._fetched(head, start, rows[0].seq)) + rows
            if rows and rows[-1].seq < stop - 1:
                rows += yield from self._fetched(head, rows[-1].seq + 1, stop)
        if len(rows) < stop - start:
            return []  # deleted meanwhile
        self.hot.put(head.born, rows)
        return rows

    def _fetched(self, head: Head, start: int, stop: int) -> Plan[list[Row]]:
        """Read a range from the log, and bring back what of it is cold."""
        log = self.log_of(head.session_id)
        fetched = yield from ask(log.fetch(head.born, start, stop))
        rows = {row.seq: row for row in fetched.rows}
        for number, segment in fetched.segments.items():
            packed = yield from ask(unpacked(segment))
            wanted = {row.seq: row for row in packed if start <= row.seq < stop}
            if not wanted.keys() <= rows.keys():
                rows |= wanted
                now = self._now()
                yield from ask(log.unpack(head.born, number, segment, packed, now))
        if len(rows) == stop - start:
            return [rows[seq] for seq in range(start, stop)]
        now_there = yield from ask(log.head(head.session_id))
        if now_there is None or now_there.born != head.born:
            self.hot.drop(head.born)
            return []
        raise StorageError(
            f"the session {head.session_id!r} lacks messages between {start} and "
            f"{stop}: its store was damaged, or restored in part"
        )

    def _packed(self, log: Log, head: Head) -> Plan[bool]:
        self.hot.drop(head.born)
        return (yield from pack(log, head))

    def _rows(self, messages: Sequence[BaseMessage]) -> list[Row]:
        now = self._now()
        return [
            Row(
                0,
                now,
                self.counter.measure_message(message).tokens,
                encode_message(message),
            )
            for message in messages
        ]

    def _now(self) -> float:
        # To the microsecond, as a caller's datetime will have it: pages go by it.
        return datetime.fromtimestamp(self.clock(), UTC).timestamp()

    def _entries(self, rows: Sequence[Row]) -> Plan[tuple[LogEntry, ...]]:
        size = sum(len(row.body) for row in rows)
        return (yield from ask(Compute(lambda: tuple(map(decode_entry, rows)), size)))


def _newest(rows: Sequence[Row], max_tokens: float, *, at_least: int) -> int:
    """Return how many rows from the end have no more tokens than that."""
    taken, used = 0, 0
    for row in reversed(rows):
        used += row.tokens
        if used > max_tokens and taken >= at_least:
            break
        taken += 1
    return taken
