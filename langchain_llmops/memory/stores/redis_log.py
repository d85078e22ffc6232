"""The log in a Redis or Valkey server that processes and machines share."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from langchain_llmops._lazy import require
from langchain_llmops.errors import StorageError
from langchain_llmops.memory.stores import redis_scripts as scripts
from langchain_llmops.memory.stores.base import ConversationConflictError
from langchain_llmops.memory.stores.log import BLOCK, Fetched, Head, Row
from langchain_llmops.storage.redis_clients import RedisClients

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from langchain_llmops.storage.plans import Step

__all__ = ["RedisLog"]

T = TypeVar("T")

_PREFIX: Final = "llmops:session:"


@dataclass(frozen=True, slots=True)
class _Script(Generic[T]):
    """One round trip: a script with its arguments, and what its answer means."""

    log: RedisLog
    script: str
    values: Sequence[Any]
    read: Callable[[Any], T]

    def run(self) -> T:
        return self.read(self.log.evaluate(self.script, self.values))

    async def arun(self) -> T:
        return self.read(await self.log.aevaluate(self.script, self.values))


class RedisLog:
    """Keep sessions in hashes; see `Log`. Every step is a script of the server.

    The server must not evict conversations (`maxmemory-policy noeviction`), and what
    survives its own crash is up to its `appendfsync`.

    Args:
        url: `redis://host:6379/0`, `rediss://…` or `unix://…`.
        timeout_s: Seconds that the server may take for a step.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._clients = RedisClients(
            url, timeout_s=timeout_s, feature="ConversationStore on Redis"
        )
        self._lost: type[Exception] = require(
            "redis.exceptions", feature="ConversationStore on Redis", extra="redis"
        ).RedisError

    def evaluate(self, script: str, values: Sequence[Any]) -> Any:
        """Have the server run a script.

        Raises:
            StorageError: The server is lost, slow or full.
        """
        client: Any = self._clients.threads
        try:
            return client.eval(script, 1, _PREFIX, *values)
        except (self._lost, OSError) as error:
            raise _gone(error) from error

    async def aevaluate(self, script: str, values: Sequence[Any]) -> Any:
        """Have the server run a script; never blocks the event loop."""
        try:
            async with self._clients.turn() as client:
                run: Any = client.eval
                return await run(script, 1, _PREFIX, *values)
        except (self._lost, OSError) as error:
            raise _gone(error) from error

    def head(self, session_id: str) -> Step[Head | None]:
        """Look up a session."""
        return self._do(
            scripts.HEAD, [session_id], lambda found: _head(found) if found else None
        )

    def append(
        self, session_id: str, rows: Sequence[Row], *, expected: int | None, born: str
    ) -> Step[Head]:
        """Add rows at the end; the server remembers for a minute that it has."""

        def read(found: Any) -> Head:
            if isinstance(found, int):
                raise ConversationConflictError(session_id, expected or 0, found)
            if not found:  # stored, its answer lost, and deleted since
                raise StorageError(
                    f"the session {session_id!r} was deleted while it was written to: "
                    "append again to begin it anew"
                )
            return _head(found)

        values = [
            session_id,
            born,
            "" if expected is None else expected,
            repr(rows[-1].at),
            sum(row.tokens for row in rows),
            uuid.uuid4().hex,
            *map(_written, rows),
        ]
        return self._do(scripts.APPEND, values, read)

    def fetch(self, born: str, start: int, stop: int) -> Step[Fetched]:
        """Read the messages from `start` to before `stop`."""
        return self._do(scripts.FETCH, [born, start, stop, BLOCK], _fetched)

    def sessions(
        self, limit: int, before: tuple[float, str] | None
    ) -> Step[list[Head]]:
        """List sessions, the latest written first."""
        at, session_id = before or ("", "")
        values = [limit, repr(at) if before else "", session_id]
        return self._do(scripts.LIST, values, _heads)

    def delete(self, session_id: str) -> Step[bool]:
        """Remove a session with all that belongs to it, if it is there."""
        return self._do(scripts.DELETE, [session_id], bool)

    def delete_idle(self, until: float, limit: int) -> Step[int]:
        """Remove sessions that were last written at `until` or before."""
        return self._do(scripts.DELETE_IDLE, [repr(until), limit], int)

    def idle(self, until: float, limit: int) -> Step[list[Head]]:
        """List sessions with rows, untouched since `until`."""
        return self._do(scripts.IDLE, [repr(until), limit], _heads)

    def warm_segments(self, born: str) -> Step[list[int]]:
        """Return the numbers of the segments that rows would belong to."""
        return self._do(scripts.WARM_SEGMENTS, [born, BLOCK], sorted)

    def pack(self, head: Head, number: int, segment: bytes) -> Step[bool]:
        """Put a segment in the place of its rows, unless the session was touched."""
        values = [*_state(head), number, BLOCK, segment]
        return self._do(scripts.PACK, values, bool)

    def seal(self, head: Head) -> Step[bool]:
        """Mark a session as one without rows, unless it was touched."""
        return self._do(scripts.SEAL, _state(head), bool)

    def unpack(
        self, born: str, number: int, segment: bytes, rows: Sequence[Row], now: float
    ) -> Step[None]:
        """Put rows in the place of their segment, if that is still the same."""
        written = map(_written, rows)
        values = [born, number, segment, repr(now), rows[0].seq, *written]
        return self._do(scripts.UNPACK, values, lambda _: None)

    def summaries(self, born: str) -> Step[dict[int, str]]:
        """Read the summaries of a session, by where they start."""
        return self._do(
            scripts.SUMMARIES,
            [born],
            lambda found: {start: body.decode() for start, body in _pairs(found)},
        )

    def swap_summaries(
        self, head: Head, gone: Sequence[int], start: int, body: str
    ) -> Step[bool]:
        """Put one summary in the place of others, if none has changed meanwhile."""
        values = [head.born, head.revision, start, body, *gone]
        return self._do(scripts.SWAP_SUMMARIES, values, bool)

    def matching(
        self,
        heads: Sequence[Head],
        words: Sequence[str],  # noqa: ARG002 - the server cannot look for them
    ) -> Step[dict[str, Fetched]]:
        """Read all that the sessions have."""
        lives = [head.born for head in heads]

        def read(found: Any) -> dict[str, Fetched]:
            return {
                life: _fetched(parts) for life, parts in zip(lives, found, strict=True)
            }

        return self._do(scripts.MATCHING, lives, read)

    def close(self) -> None:
        """Close the connections of threads; those of an event loop end with it."""
        self._clients.close()

    async def aclose(self) -> None:
        """Close the connections as `close` does."""
        await asyncio.to_thread(self._clients.close)

    def _do(
        self, script: str, values: Sequence[Any], read: Callable[[Any], T]
    ) -> Step[T]:
        return _Script(self, script, values, read)


def _written(row: Row) -> bytes:
    return f"{row.at!r} {row.tokens} {row.body}".encode()


def _fetched(found: Any) -> Fetched:
    rows = []
    for seq, raw in sorted(_pairs(found[0])):
        at, tokens, body = raw.decode().split(" ", 2)
        rows.append(Row(seq, float(at), int(tokens), body))
    return Fetched(rows, dict(_pairs(found[1])))


def _pairs(flat: Sequence[Any]) -> Iterator[tuple[int, bytes]]:
    return ((int(flat[n]), flat[n + 1]) for n in range(0, len(flat), 2))


def _heads(found: Any) -> list[Head]:
    return [_head(each) for each in found]


def _head(found: Any) -> Head:
    session, born, length, tokens, created, updated, touched, revision = found
    return Head(
        session.decode(),
        born.decode(),
        int(length),
        int(tokens),
        float(created),
        float(updated),
        float(touched),
        int(revision),
    )


def _state(head: Head) -> list[Any]:
    return [head.born, head.length, repr(head.touched_at)]


def _gone(error: Exception) -> StorageError:
    return StorageError(
        f"the Redis server cannot be used ({error}): check that it runs and its address"
    )
