"""What a conversation is made of: messages in a row, summaries of ranges, a head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_llmops.errors import LLMOpsError

if TYPE_CHECKING:
    from datetime import datetime

    from langchain_core.messages import BaseMessage

__all__ = [
    "ConversationConflictError",
    "FoundMessage",
    "KeyFact",
    "LogEntry",
    "SessionHead",
    "SessionSummary",
]


class ConversationConflictError(LLMOpsError):
    """A message was meant for the end of a log that has grown meanwhile.

    Nothing was stored. Read what is new, and append again.

    Args:
        session_id: The session.
        expected: The length that the caller knew.
        actual: The length that the log has.
    """

    def __init__(self, session_id: str, expected: int, actual: int) -> None:
        super().__init__(session_id, expected, actual)
        self.session_id = session_id
        self.expected = expected
        self.actual = actual

    def __str__(self) -> str:
        return (
            f"the session {self.session_id!r} has {self.actual} messages, not "
            f"{self.expected}: read what is new and append again, or leave out "
            "expected_seq"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """A message in the log of a session.

    Attributes:
        seq: Its place: 0, 1, 2 … without holes.
        message: The message; a new object at every read.
        at: When it was stored, in UTC.
        tokens: What it adds to a request, by the store's counter.
    """

    seq: int
    message: BaseMessage
    at: datetime
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHead:
    """What is known of a session without reading it.

    Attributes:
        session_id: Its name.
        born: A random id of this life of the session: another one means that it was
            deleted and begun anew. Empty for a session that is not there.
        length: Messages in its log; also the seq of the next one.
        tokens: The sum of their tokens.
        created_at: When its first message was stored, in UTC.
        updated_at: When its last message was stored, in UTC.
    """

    session_id: str
    born: str
    length: int
    tokens: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyFact:
    """Something that a summary must not lose, and where it was said.

    Attributes:
        text: The fact, in a sentence or less.
        message_ids: Ids of the messages that say it.
        seqs: Their places in the log.
    """

    text: str
    message_ids: tuple[str, ...] = ()
    seqs: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """What stands for the messages of a range when they do not fit.

    Attributes:
        start: Seq of the first message that it covers.
        stop: Seq after the last one.
        text: The summary.
        facts: What must not be lost.
        level: 0 for a summary of messages, 1 for one of summaries, and so on.
        at: When it was made, in UTC.
    """

    start: int
    stop: int
    text: str
    at: datetime
    facts: tuple[KeyFact, ...] = ()
    level: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundMessage:
    """A message that a search found, and the session that it belongs to."""

    session_id: str
    entry: LogEntry
