"""What a log does: the part of a store that differs between databases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_llmops.storage.plans import Step

__all__ = ["BLOCK", "Fetched", "Head", "Log", "Row"]

BLOCK: Final = 256
"""Messages in a cold segment: number `n` holds those of seq `n * BLOCK` on."""


@dataclass(frozen=True, slots=True)
class Row:
    """A message as it is written down.

    Attributes:
        seq: Its place in the log; counted from 0 in what `Log.append` is given.
        at: When it was stored: seconds since the epoch.
        tokens: Its tokens.
        body: JSON of the message.
    """

    seq: int
    at: float
    tokens: int
    body: str


@dataclass(frozen=True, slots=True)
class Head:
    """A session as a log knows it; times are seconds since the epoch.

    Attributes:
        session_id: Its name.
        born: The random id of this life of the session; rows belong to it.
        length: Messages in the log.
        tokens: The sum of their tokens.
        created_at: When the first message was stored.
        updated_at: When the last message was stored.
        touched_at: When it was last written, or brought back from the cold.
        revision: How often its summaries were changed.
    """

    session_id: str
    born: str
    length: int
    tokens: int
    created_at: float
    updated_at: float
    touched_at: float
    revision: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """Rows of a range, in order, and the cold segments that hold the missing ones."""

    rows: Sequence[Row]
    segments: Mapping[int, bytes]


class Log(Protocol):
    """An append-only log of many sessions in one database.

    A method touches nothing: it returns an operation, which is atomic when it is done,
    and raises `StorageError` if the database is lost. Messages of a session are rows or
    in compressed segments, never in both; readers find them wherever they are.
    """

    def head(self, session_id: str) -> Step[Head | None]:
        """Look up a session."""
        ...

    def append(
        self, session_id: str, rows: Sequence[Row], *, expected: int | None, born: str
    ) -> Step[Head]:
        """Add rows at the end; a new session is `born`.

        The operation raises `ConversationConflictError` if the log does not have the
        expected length.
        """
        ...

    def fetch(self, born: str, start: int, stop: int) -> Step[Fetched]:
        """Read the messages from `start` to before `stop`."""
        ...

    def sessions(
        self, limit: int, before: tuple[float, str] | None
    ) -> Step[list[Head]]:
        """List sessions, the latest written first; `before` is the last one's place."""
        ...

    def delete(self, session_id: str) -> Step[bool]:
        """Remove a session with all that belongs to it, if it is there."""
        ...

    def delete_idle(self, until: float, limit: int) -> Step[int]:
        """Remove sessions that were last written at `until` or before."""
        ...

    def idle(self, until: float, limit: int) -> Step[list[Head]]:
        """List sessions with rows, untouched since `until`."""
        ...

    def warm_segments(self, born: str) -> Step[list[int]]:
        """Return the numbers of the segments that rows would belong to."""
        ...

    def pack(self, head: Head, number: int, segment: bytes) -> Step[bool]:
        """Put a segment in the place of its rows, unless the session was touched."""
        ...

    def seal(self, head: Head) -> Step[bool]:
        """Mark a session as one without rows, unless it was touched."""
        ...

    def unpack(
        self, born: str, number: int, segment: bytes, rows: Sequence[Row], now: float
    ) -> Step[None]:
        """Put rows in the place of their segment, if that is still the same."""
        ...

    def summaries(self, born: str) -> Step[dict[int, str]]:
        """Read the summaries of a session, by where they start."""
        ...

    def swap_summaries(
        self, head: Head, gone: Sequence[int], start: int, body: str
    ) -> Step[bool]:
        """Put one summary in the place of others, if the revision is still the same."""
        ...

    def matching(
        self, heads: Sequence[Head], words: Sequence[str]
    ) -> Step[dict[str, Fetched]]:
        """Read of each session, by `born`, the rows that may have all the words.

        More rows than that may come, and all segments do.
        """
        ...

    def close(self) -> None:
        """Close the connections; a later use opens new ones."""
        ...

    async def aclose(self) -> None:
        """Close the connections, those of this event loop too."""
        ...
