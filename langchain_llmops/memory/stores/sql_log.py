"""The log in a SQL database: a SQLite file, or PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import BigInteger, bindparam, delete, insert, or_, select, update

from langchain_llmops.memory.stores.base import ConversationConflictError
from langchain_llmops.memory.stores.log import BLOCK, Fetched, Head, Row
from langchain_llmops.memory.stores.sql_database import SQLDatabase, SQLOperation
from langchain_llmops.memory.stores.sql_tables import (
    DELETE,
    DELETE_IDLE,
    FIND_HEAD,
    HEAD_COLUMNS,
    HEADS,
    IDLE,
    INSERTS,
    LIST,
    LIST_BEFORE,
    METADATA,
    OF_LIFE,
    READ,
    READ_SUMMARIES,
    REVISE,
    ROWS,
    SEGMENTS,
    SUMMARIES,
    TOUCH,
    UNTOUCHED,
    WARM_SEGMENTS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from langchain_llmops.storage.plans import Step

__all__ = ["SQLLog"]

T = TypeVar("T")


class SQLLog:
    """Keep sessions in four tables; see `Log`.

    An append is one transaction: the row of the session hands out the places, under its
    lock, and the messages are written to them. So writers of one session go one after
    the other, and those of others are not in their way (in SQLite they are: a file has
    one writer at a time).

    Args:
        url: `sqlite:///path` or `postgresql://…`.
        timeout_s: Seconds that a transaction may wait.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._database = SQLDatabase(url, METADATA, timeout_s=timeout_s)
        inserting = INSERTS[self._database.dialect]
        new = inserting(HEADS)
        length = HEADS.c.length
        asked = bindparam("expected", type_=BigInteger)
        self._begin = new.on_conflict_do_update(
            index_elements=[HEADS.c.session_id],
            set_={
                "length": length + new.excluded.length,
                "tokens": HEADS.c.tokens + new.excluded.tokens,
                "updated_at": new.excluded.updated_at,
                "touched_at": new.excluded.touched_at,
                "warm": 1,
            },
            where=or_(asked < 0, length == asked),
        ).returning(*HEAD_COLUMNS)
        self._go_on = (
            update(HEADS)
            .where(HEADS.c.session_id == bindparam("session"), length == asked)
            .values(
                length=length + bindparam("more"),
                tokens=HEADS.c.tokens + bindparam("more_tokens"),
                updated_at=bindparam("now"),
                touched_at=bindparam("now"),
                warm=1,
            )
            .returning(*HEAD_COLUMNS)
        )
        self._bring_back = inserting(ROWS).on_conflict_do_nothing()
        segment = inserting(SEGMENTS)
        self._put_segment = segment.on_conflict_do_update(
            index_elements=[SEGMENTS.c.born, SEGMENTS.c.number],
            set_={"body": segment.excluded.body},
        )

    def head(self, session_id: str) -> Step[Head | None]:
        """Look up a session."""
        return self._reads(lambda connection: _find(connection, session_id))

    def append(
        self, session_id: str, rows: Sequence[Row], *, expected: int | None, born: str
    ) -> Step[Head]:
        """Add rows at the end."""
        now, tokens = rows[-1].at, sum(row.tokens for row in rows)
        statement: Any = self._begin
        values: dict[str, Any] = {
            "session_id": session_id,
            "born": born,
            "length": len(rows),
            "tokens": tokens,
            "created_at": now,
            "updated_at": now,
            "touched_at": now,
            "revision": 0,
            "warm": 1,
            "expected": -1 if expected is None else expected,
        }
        if expected:
            statement = self._go_on
            values = {
                "session": session_id,
                "expected": expected,
                "more": len(rows),
                "more_tokens": tokens,
                "now": now,
            }

        def add(connection: Connection) -> Head:
            found = connection.execute(statement, values).first()
            if found is None:
                known = _find(connection, session_id)
                raise ConversationConflictError(
                    session_id, expected or 0, known.length if known else 0
                )
            head = Head(*found)
            first = head.length - len(rows)
            connection.execute(insert(ROWS), _written(head.born, rows, first))
            return head

        return self._writes(add)

    def fetch(self, born: str, start: int, stop: int) -> Step[Fetched]:
        """Read the messages from `start` to before `stop`."""
        values = {
            "life": born,
            "start": start,
            "stop": stop,
            "first": start // BLOCK,
            "last": (stop - 1) // BLOCK,
        }

        def read(connection: Connection) -> Fetched:
            rows, segments = [], {}
            for place, at, tokens, body, segment in connection.execute(READ, values):
                if segment is None:
                    rows.append(Row(place, at, tokens, body))
                else:
                    segments[place] = bytes(segment)
            return Fetched(rows, segments)

        return self._reads(read)

    def sessions(
        self, limit: int, before: tuple[float, str] | None
    ) -> Step[list[Head]]:
        """List sessions, the latest written first."""
        values: dict[str, Any] = {"most": limit}
        if before is not None:
            values |= {"before_at": before[0], "before_id": before[1]}
        statement = LIST if before is None else LIST_BEFORE
        return self._reads(lambda c: [Head(*f) for f in c.execute(statement, values)])

    def delete(self, session_id: str) -> Step[bool]:
        """Remove a session with all that belongs to it, if it is there."""
        values = {"session": session_id}
        return self._writes(lambda connection: _remove(connection, DELETE, values) > 0)

    def delete_idle(self, until: float, limit: int) -> Step[int]:
        """Remove sessions that were last written at `until` or before."""
        values = {"until": until, "most": limit}
        return self._writes(lambda connection: _remove(connection, DELETE_IDLE, values))

    def idle(self, until: float, limit: int) -> Step[list[Head]]:
        """List sessions with rows, untouched since `until`."""
        values = {"until": until, "most": limit}
        return self._reads(
            lambda c: [Head(*found) for found in c.execute(IDLE, values)]
        )

    def warm_segments(self, born: str) -> Step[list[int]]:
        """Return the numbers of the segments that rows would belong to."""

        def read(connection: Connection) -> list[int]:
            numbers = connection.execute(WARM_SEGMENTS, {"life": born}).scalars()
            return sorted({int(number) for number in numbers})

        return self._reads(read)

    def pack(self, head: Head, number: int, segment: bytes) -> Step[bool]:
        """Put a segment in the place of its rows, unless the session was touched."""

        def swap(connection: Connection) -> bool:
            if not connection.execute(UNTOUCHED, _state(head, warm=1)).rowcount:
                return False
            values = {"born": head.born, "number": number, "body": segment}
            connection.execute(self._put_segment, values)
            connection.execute(
                delete(ROWS).where(
                    ROWS.c.born == head.born,
                    ROWS.c.seq >= number * BLOCK,
                    ROWS.c.seq < (number + 1) * BLOCK,
                )
            )
            return True

        return self._writes(swap)

    def seal(self, head: Head) -> Step[bool]:
        """Mark a session as one without rows, unless it was touched."""
        state = _state(head, warm=0)
        return self._writes(lambda c: c.execute(UNTOUCHED, state).rowcount > 0)

    def unpack(
        self, born: str, number: int, segment: bytes, rows: Sequence[Row], now: float
    ) -> Step[None]:
        """Put rows in the place of their segment, if that is still the same."""
        same = delete(SEGMENTS).where(
            SEGMENTS.c.born == born,
            SEGMENTS.c.number == number,
            SEGMENTS.c.body == segment,
        )

        def swap(connection: Connection) -> None:
            values = {"life": born, "now": now}
            if (
                connection.execute(TOUCH, values).rowcount
                and connection.execute(same).rowcount
            ):
                written = _written(born, rows, rows[0].seq)
                connection.execute(self._bring_back, written)

        return self._writes(swap)

    def summaries(self, born: str) -> Step[dict[int, str]]:
        """Read the summaries of a session, by where they start."""
        values = {"life": born}
        return self._reads(
            lambda c: {s: body for s, body in c.execute(READ_SUMMARIES, values)}  # noqa: C416 - rows are not pairs to mypy
        )

    def swap_summaries(
        self, head: Head, gone: Sequence[int], start: int, body: str
    ) -> Step[bool]:
        """Put one summary in the place of others, if none has changed meanwhile."""
        state = {"life": head.born, "was_revision": head.revision}

        def swap(connection: Connection) -> bool:
            if not connection.execute(REVISE, state).rowcount:
                return False
            connection.execute(
                delete(SUMMARIES).where(
                    SUMMARIES.c.born == head.born, SUMMARIES.c.start.in_(gone)
                )
            )
            row = {"born": head.born, "start": start, "body": body}
            connection.execute(insert(SUMMARIES), row)
            return True

        return self._writes(swap)

    def matching(
        self, heads: Sequence[Head], words: Sequence[str]
    ) -> Step[dict[str, Fetched]]:
        """Read of each session the rows that may have all the words."""
        lives = [head.born for head in heads]
        like = [ROWS.c.body.ilike(_pattern(word), escape="\\") for word in words]

        def read(connection: Connection) -> dict[str, Fetched]:
            found: dict[str, list[Row]] = {life: [] for life in lives}
            columns = (ROWS.c.born, ROWS.c.seq, ROWS.c.at, ROWS.c.tokens, ROWS.c.body)
            rows = select(*columns).where(ROWS.c.born.in_(lives), *like)
            for life, *fields in connection.execute(rows.order_by(ROWS.c.seq)):
                found[life].append(Row(*fields))
            packed: dict[str, dict[int, bytes]] = {life: {} for life in lives}
            segments = select(SEGMENTS).where(SEGMENTS.c.born.in_(lives))
            for life, number, body in connection.execute(segments):
                packed[life][number] = body
            return {life: Fetched(found[life], packed[life]) for life in lives}

        return self._reads(read)

    def close(self) -> None:
        """Close the connections of threads; those of an event loop end with it."""
        self._database.close()

    async def aclose(self) -> None:
        """Close the connections of threads and those of this event loop."""
        await self._database.aclose()

    def _reads(self, work: Callable[[Connection], T]) -> Step[T]:
        return SQLOperation(self._database, work, writes=False)

    def _writes(self, work: Callable[[Connection], T]) -> Step[T]:
        return SQLOperation(self._database, work, writes=True)


def _find(connection: Connection, session_id: str) -> Head | None:
    found = connection.execute(FIND_HEAD, {"session": session_id}).first()
    return None if found is None else Head(*found)


def _remove(connection: Connection, statement: Any, values: dict[str, Any]) -> int:
    lives = connection.execute(statement, values).scalars().all()
    for table in OF_LIFE if lives else ():
        connection.execute(delete(table).where(table.c.born.in_(lives)))
    return len(lives)


def _written(born: str, rows: Sequence[Row], first: int) -> list[dict[str, Any]]:
    return [
        {
            "born": born,
            "seq": seq,
            "at": row.at,
            "tokens": row.tokens,
            "body": row.body,
        }
        for seq, row in enumerate(rows, first)
    ]


def _state(head: Head, *, warm: int) -> dict[str, Any]:
    return {
        "life": head.born,
        "was_length": head.length,
        "was_touched": head.touched_at,
        "now_warm": warm,
    }


def _pattern(word: str) -> str:
    """Return what a body with the word is like: letters that every database folds."""
    kept = (c if c.isascii() and c.isalnum() else "%" for c in word)
    return f"%{''.join(kept)}%"
