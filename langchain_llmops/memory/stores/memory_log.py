"""The log in this process's memory: for tests, notebooks and a single process."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING, Generic, TypeVar

from langchain_llmops.memory.stores.base import ConversationConflictError
from langchain_llmops.memory.stores.log import BLOCK, Fetched, Head, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_llmops.storage.plans import Step

__all__ = ["MemoryLog"]

T = TypeVar("T")


@dataclass(slots=True)
class _Session:
    head: Head
    rows: dict[int, Row] = field(default_factory=dict)
    segments: dict[int, bytes] = field(default_factory=dict)
    summaries: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Locked(Generic[T]):
    """An operation that takes no time worth a thread."""

    lock: Lock
    work: Callable[[], T]

    def run(self) -> T:
        with self.lock:
            return self.work()

    async def arun(self) -> T:
        return self.run()


class MemoryLog:
    """Keep sessions in dictionaries; see `Log`. Safe across threads and event loops."""

    def __init__(self) -> None:
        self._sessions: dict[str, _Session] = {}
        self._lives: dict[str, _Session] = {}
        self._lock = Lock()

    def head(self, session_id: str) -> Step[Head | None]:
        """Look up a session."""

        def look() -> Head | None:
            session = self._sessions.get(session_id)
            return None if session is None else session.head

        return self._locked(look)

    def append(
        self, session_id: str, rows: Sequence[Row], *, expected: int | None, born: str
    ) -> Step[Head]:
        """Add rows at the end."""

        def add() -> Head:
            session = self._sessions.get(session_id)
            length = 0 if session is None else session.head.length
            if expected is not None and expected != length:
                raise ConversationConflictError(session_id, expected, length)
            now = rows[-1].at
            if session is None:
                head = Head(session_id, born, 0, 0, now, now, now, 0)
                session = self._sessions[session_id] = _Session(head)
                self._lives[born] = session
            for number, row in enumerate(rows, length):
                session.rows[number] = replace(row, seq=number)
            session.head = replace(
                session.head,
                length=length + len(rows),
                tokens=session.head.tokens + sum(row.tokens for row in rows),
                updated_at=now,
                touched_at=now,
            )
            return session.head

        return self._locked(add)

    def fetch(self, born: str, start: int, stop: int) -> Step[Fetched]:
        """Read the messages from `start` to before `stop`."""

        def read() -> Fetched:
            session = self._lives.get(born)
            if session is None:
                return Fetched((), {})
            rows = [session.rows[n] for n in range(start, stop) if n in session.rows]
            missing = {n // BLOCK for n in range(start, stop) if n not in session.rows}
            segments = session.segments
            return Fetched(rows, {n: segments[n] for n in missing if n in segments})

        return self._locked(read)

    def sessions(
        self, limit: int, before: tuple[float, str] | None
    ) -> Step[list[Head]]:
        """List sessions, the latest written first."""

        def select() -> list[Head]:
            heads = (session.head for session in self._sessions.values())
            places = [(head.updated_at, head.session_id, head) for head in heads]
            places.sort(key=lambda place: place[:2], reverse=True)
            later = [p[2] for p in places if before is None or p[:2] < before]
            return later[:limit]

        return self._locked(select)

    def delete(self, session_id: str) -> Step[bool]:
        """Remove a session, if it is there."""
        return self._locked(lambda: self._remove(session_id))

    def delete_idle(self, until: float, limit: int) -> Step[int]:
        """Remove sessions that were last written at `until` or before."""

        def remove() -> int:
            heads = (session.head for session in self._sessions.values())
            idle = [h.session_id for h in heads if h.updated_at <= until][:limit]
            return sum(self._remove(session_id) for session_id in idle)

        return self._locked(remove)

    def idle(self, until: float, limit: int) -> Step[list[Head]]:
        """List sessions with rows, untouched since `until`."""

        def select() -> list[Head]:
            warm = (session for session in self._sessions.values() if session.rows)
            return [s.head for s in warm if s.head.touched_at <= until][:limit]

        return self._locked(select)

    def warm_segments(self, born: str) -> Step[list[int]]:
        """Return the numbers of the segments that rows would belong to."""

        def select() -> list[int]:
            session = self._lives.get(born)
            return sorted({n // BLOCK for n in session.rows}) if session else []

        return self._locked(select)

    def pack(self, head: Head, number: int, segment: bytes) -> Step[bool]:
        """Put a segment in the place of its rows, unless the session was touched."""

        def swap() -> bool:
            session = self._lives.get(head.born)
            if session is None or _moved(session.head, head):
                return False
            session.segments[number] = segment
            for seq in range(number * BLOCK, (number + 1) * BLOCK):
                session.rows.pop(seq, None)
            return True

        return self._locked(swap)

    def seal(self, head: Head) -> Step[bool]:
        """Tell whether the session is untouched: it has no rows, which is the mark."""

        def look() -> bool:
            session = self._lives.get(head.born)
            return session is not None and not _moved(session.head, head)

        return self._locked(look)

    def unpack(
        self, born: str, number: int, segment: bytes, rows: Sequence[Row], now: float
    ) -> Step[None]:
        """Put rows in the place of their segment, if that is still the same."""

        def swap() -> None:
            session = self._lives.get(born)
            if session is not None and session.segments.get(number) == segment:
                del session.segments[number]
                for row in rows:
                    session.rows.setdefault(row.seq, row)
                session.head = replace(session.head, touched_at=now)

        return self._locked(swap)

    def summaries(self, born: str) -> Step[dict[int, str]]:
        """Read the summaries of a session, by where they start."""

        def read() -> dict[int, str]:
            session = self._lives.get(born)
            return dict(session.summaries) if session else {}

        return self._locked(read)

    def swap_summaries(
        self, head: Head, gone: Sequence[int], start: int, body: str
    ) -> Step[bool]:
        """Put one summary in the place of others, if none has changed meanwhile."""

        def swap() -> bool:
            session = self._lives.get(head.born)
            if session is None or session.head.revision != head.revision:
                return False
            for number in gone:
                session.summaries.pop(number, None)
            session.summaries[start] = body
            session.head = replace(session.head, revision=head.revision + 1)
            return True

        return self._locked(swap)

    def matching(
        self,
        heads: Sequence[Head],
        words: Sequence[str],  # noqa: ARG002 - they are looked for where rows are read
    ) -> Step[dict[str, Fetched]]:
        """Read all that the sessions have."""

        def read() -> dict[str, Fetched]:
            found = {}
            for head in heads:
                if session := self._lives.get(head.born):
                    rows = [session.rows[seq] for seq in sorted(session.rows)]
                    found[head.born] = Fetched(rows, dict(session.segments))
            return found

        return self._locked(read)

    def close(self) -> None:
        """Keep everything: there is nothing to close."""

    async def aclose(self) -> None:
        """Keep everything: there is nothing to close."""

    def _locked(self, work: Callable[[], T]) -> Step[T]:
        return _Locked(self._lock, work)

    def _remove(self, session_id: str) -> bool:
        session = self._sessions.pop(session_id, None)
        if session is None:
            return False
        del self._lives[session.head.born]
        return True


def _moved(now: Head, then: Head) -> bool:
    return (now.length, now.touched_at) != (then.length, then.touched_at)
