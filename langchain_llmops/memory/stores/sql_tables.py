"""The four tables of conversations in a SQL database, and statements on them."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    null,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from langchain_llmops.memory.stores.log import BLOCK

__all__ = [
    "DELETE",
    "DELETE_IDLE",
    "FIND_HEAD",
    "HEADS",
    "HEAD_COLUMNS",
    "IDLE",
    "INSERTS",
    "LIST",
    "LIST_BEFORE",
    "METADATA",
    "OF_LIFE",
    "READ",
    "READ_SUMMARIES",
    "REVISE",
    "ROWS",
    "SEGMENTS",
    "SUMMARIES",
    "TOUCH",
    "UNTOUCHED",
    "WARM_SEGMENTS",
]

METADATA: Final = MetaData()
HEADS: Final = Table(
    "llmops_session",
    METADATA,
    Column("session_id", String, primary_key=True),
    Column("born", String, nullable=False, index=True, unique=True),
    Column("length", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("updated_at", Float(53), nullable=False),
    Column("touched_at", Float(53), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("warm", Integer, nullable=False),
    Index("ix_llmops_session_updated", "updated_at", "session_id"),
    Index("ix_llmops_session_touched", "warm", "touched_at"),
)
ROWS: Final = Table(
    "llmops_message",
    METADATA,
    Column("born", String, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Float(53), nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("body", Text, nullable=False),
)
SEGMENTS: Final = Table(
    "llmops_message_segment",
    METADATA,
    Column("born", String, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)
SUMMARIES: Final = Table(
    "llmops_summary",
    METADATA,
    Column("born", String, primary_key=True),
    Column("start", BigInteger, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),
)
OF_LIFE: Final = (ROWS, SEGMENTS, SUMMARIES)
"""Tables whose rows belong to one life of a session."""
INSERTS: Final[dict[str, Any]] = {
    "postgresql": postgresql.insert,
    "sqlite": sqlite.insert,
}
HEAD_COLUMNS: Final = tuple(column for column in HEADS.c if column.name != "warm")
"""In the order of `Head`."""

_H: Final = HEADS.c
_PLACE: Final = (_H.updated_at, _H.session_id)

FIND_HEAD: Final = select(*HEAD_COLUMNS).where(_H.session_id == bindparam("session"))
LIST: Final = (
    select(*HEAD_COLUMNS)
    .order_by(*(column.desc() for column in _PLACE))
    .limit(bindparam("most"))
)
LIST_BEFORE: Final = LIST.where(
    tuple_(*_PLACE) < tuple_(bindparam("before_at"), bindparam("before_id"))
)
IDLE: Final = (
    select(*HEAD_COLUMNS)
    .where(_H.warm == 1, _H.touched_at <= bindparam("until"))
    .limit(bindparam("most"))
)
DELETE: Final = (
    delete(HEADS).where(_H.session_id == bindparam("session")).returning(_H.born)
)
DELETE_IDLE: Final = (
    delete(HEADS)
    .where(
        _H.session_id.in_(
            select(_H.session_id)
            .where(_H.updated_at <= bindparam("until"))
            .limit(bindparam("most"))
        ),
        # Again: a session that is written meanwhile stays.
        _H.updated_at <= bindparam("until"),
    )
    .returning(_H.born)
)
UNTOUCHED: Final = (
    update(HEADS)
    .where(
        _H.born == bindparam("life"),
        _H.length == bindparam("was_length"),
        _H.touched_at == bindparam("was_touched"),
    )
    .values(warm=bindparam("now_warm"))
)
"""Locks a session for the rest of the transaction, if nobody touched it."""
TOUCH: Final = (
    update(HEADS)
    .where(_H.born == bindparam("life"))
    .values(touched_at=bindparam("now"), warm=1)
)
REVISE: Final = (
    update(HEADS)
    .where(_H.born == bindparam("life"), _H.revision == bindparam("was_revision"))
    .values(revision=_H.revision + 1)
)
READ: Final = union_all(
    select(
        ROWS.c.seq.label("place"),
        ROWS.c.at,
        ROWS.c.tokens,
        ROWS.c.body,
        cast(null(), LargeBinary).label("segment"),
    ).where(
        ROWS.c.born == bindparam("life"),
        ROWS.c.seq >= bindparam("start"),
        ROWS.c.seq < bindparam("stop"),
    ),
    select(
        SEGMENTS.c.number,
        cast(null(), Float(53)),
        cast(null(), Integer),
        cast(null(), Text),
        SEGMENTS.c.body,
    ).where(
        SEGMENTS.c.born == bindparam("life"),
        SEGMENTS.c.number >= bindparam("first"),
        SEGMENTS.c.number <= bindparam("last"),
    ),
)
"""One statement, so that a message that is packed meanwhile is in one of both."""
WARM_SEGMENTS: Final = (
    select((ROWS.c.seq // BLOCK).label("number"))
    .where(ROWS.c.born == bindparam("life"))
    .distinct()
)
READ_SUMMARIES: Final = select(SUMMARIES.c.start, SUMMARIES.c.body).where(
    SUMMARIES.c.born == bindparam("life")
)
