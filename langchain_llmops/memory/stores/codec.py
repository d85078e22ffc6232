"""How messages are written down: LangChain's own schema as JSON, never pickle."""

from __future__ import annotations

import base64
import json
import uuid
import zlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    HumanMessageChunk,
    RemoveMessage,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)
from pydantic import BaseModel, ValidationError

from langchain_llmops.errors import ConfigurationError, StorageError
from langchain_llmops.memory.stores.base import KeyFact, LogEntry, SessionSummary
from langchain_llmops.memory.stores.log import Row

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "decode_entry",
    "decode_segment",
    "decode_summary",
    "encode_message",
    "encode_segment",
    "encode_summary",
    "with_id",
]

_TYPES: Final[dict[str, type[BaseMessage]]] = {
    "ai": AIMessage,
    "AIMessageChunk": AIMessageChunk,
    "chat": ChatMessage,
    "function": FunctionMessage,
    "human": HumanMessage,
    "HumanMessageChunk": HumanMessageChunk,
    "remove": RemoveMessage,
    "system": SystemMessage,
    "SystemMessageChunk": SystemMessageChunk,
    "tool": ToolMessage,
    "ToolMessageChunk": ToolMessageChunk,
}
"""What is made of a stored type; nothing else is ever instantiated."""

_UNREADABLE: Final = (
    AttributeError,
    LookupError,
    TypeError,
    ValidationError,
    ValueError,
    zlib.error,
)


def with_id(message: BaseMessage) -> BaseMessage:
    """Return the message, or a copy with an id if it has none."""
    if not isinstance(message, BaseMessage):
        raise ConfigurationError(
            f"{message!r} is not a message: give HumanMessage, AIMessage and the like"
        )
    if message.id:
        return message
    return message.model_copy(update={"id": str(uuid.uuid4())})


def encode_message(message: BaseMessage) -> str:
    """Return a message as JSON text that every database takes.

    Content, tool calls, usage and metadata come back as they are. What has no JSON
    form is kept as near as can be: models as dictionaries, bytes as base64, the rest
    as text.

    Raises:
        ConfigurationError: The message refers to itself.
    """
    data = message.model_dump()
    # A model turns what it holds into dictionaries by the field's type, not its own.
    data["additional_kwargs"] = message.additional_kwargs
    try:
        return _json(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"the message {message.id!r} cannot be stored: {error}"
        ) from error


def decode_entry(row: Row) -> LogEntry:
    """Return the entry of a row; its message is new.

    A type that LangChain does not have comes back as a `BaseMessage` of that type with
    all its fields.

    Raises:
        StorageError: The row is damaged.
    """
    try:
        data = json.loads(row.body)
        message = _TYPES.get(data["type"], BaseMessage)(**data)
    except _UNREADABLE as error:
        raise StorageError(
            f"the message at {row.seq} cannot be read ({type(error).__name__}): it is "
            "damaged, or a newer version wrote it"
        ) from error
    return LogEntry(
        seq=row.seq,
        message=message,
        at=datetime.fromtimestamp(row.at, UTC),
        tokens=row.tokens,
    )


def encode_segment(rows: Iterable[Row]) -> bytes:
    """Return rows compressed: about a fifth of their size."""
    text = _json([[row.seq, row.at, row.tokens, row.body] for row in rows])
    return zlib.compress(text.encode())


def decode_segment(segment: bytes) -> list[Row]:
    """Return the rows of a segment, in order.

    Raises:
        StorageError: The segment is damaged.
    """
    try:
        return [Row(*fields) for fields in json.loads(zlib.decompress(segment))]
    except _UNREADABLE as error:
        raise StorageError(
            f"a cold segment cannot be read ({error}): it is damaged, or a newer "
            "version wrote it"
        ) from error


def encode_summary(summary: SessionSummary) -> str:
    """Return a summary as JSON text."""
    facts = [[fact.text, fact.message_ids, fact.seqs] for fact in summary.facts]
    return _json(
        {
            "stop": summary.stop,
            "text": summary.text,
            "level": summary.level,
            "at": summary.at.timestamp(),
            "facts": facts,
        }
    )


def decode_summary(start: int, body: str) -> SessionSummary:
    """Return the summary that `encode_summary` wrote.

    Raises:
        StorageError: The summary is damaged.
    """
    try:
        data = json.loads(body)
        return SessionSummary(
            start=start,
            stop=data["stop"],
            text=data["text"],
            level=data["level"],
            at=datetime.fromtimestamp(data["at"], UTC),
            facts=tuple(
                KeyFact(text=text, message_ids=tuple(ids), seqs=tuple(seqs))
                for text, ids, seqs in data["facts"]
            ),
        )
    except _UNREADABLE as error:
        raise StorageError(
            f"the summary at {start} cannot be read ({type(error).__name__}): it is "
            "damaged, or a newer version wrote it"
        ) from error


def _json(data: Any) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=_nearest)
    if text.isascii() or _encodable(text):
        return text
    # A lone half of a character, which no database takes; escaped it comes back.
    return json.dumps(data, separators=(",", ":"), default=_nearest)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _nearest(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
