"""ConversationStore: conversations that last, in memory, a SQL database or Redis."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.memory.stores.arguments import (
    check_numbers,
    search_words,
    seconds,
)
from langchain_llmops.memory.stores.base import SessionHead
from langchain_llmops.memory.stores.hot import HotRows
from langchain_llmops.memory.stores.open_log import open_log
from langchain_llmops.memory.stores.plans import ConversationPlans
from langchain_llmops.memory.stores.search import search
from langchain_llmops.memory.stores.sweeper import Sweeper
from langchain_llmops.storage.plans import arun, run
from langchain_llmops.tokens import TokenCounter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.messages import BaseMessage

    from langchain_llmops.memory.stores.base import (
        FoundMessage,
        LogEntry,
        SessionSummary,
    )
    from langchain_llmops.memory.stores.log import Head
    from langchain_llmops.storage.plans import Plan

__all__ = ["ConversationStore"]

_NOBODY: Final = datetime.fromtimestamp(0, UTC)


class ConversationStore:
    """Keep the messages of every session: an append-only log that loses nothing.

    Messages get consecutive places in their session, whoever writes at the same time:
    threads, event loops, processes, machines. An append is one atomic step; what it
    returned for is stored, also if the process is killed right after it (a crash of
    the whole machine may take the last writes of a SQLite file, never the file).
    Reading the end of a session costs the same however long it is.

    Rows that were read lately are kept in memory (hot), the rest in the database
    (warm). A session that nobody touched for `cold_after` is packed into compressed
    segments (cold), and what is read of it is brought back.

    The constructor opens nothing. Safe across threads, event loops and forks. The
    asynchronous side is native; SQLite works in a thread.

    ```python
    from langchain_core.messages import AIMessage, HumanMessage

    from langchain_llmops import ConversationStore

    store = ConversationStore("memory://")
    store.append("anna", [HumanMessage("Hello!"), AIMessage("Good morning.")])
    assert [entry.message.text for entry in store.tail("anna", limit=1)] == [
        "Good morning."
    ]
    ```

    Args:
        url: `memory://`, `sqlite:///path`, `postgresql://…` (extra `postgres`) or
            `redis://…` (extra `redis`; `rediss://` and `unix://` too). Of several, each
            session lives in one by the hash of its name: always give the same ones in
            the same order.
        counter: Counts the tokens of what is stored; of `gpt-4o` by default.
        ttl: Sessions without a write for so long are removed, a few at a time, by
            those who write. By default none are.
        cold_after: Sessions that nobody touched for so long are packed, in the same
            way; `None`: never.
        hot_bytes: Bytes that rows may take in this process's memory.
        timeout_s: Seconds that a database may take for one step.
        clock: Seconds since the epoch.

    Attributes:
        counter: The counter that `LogEntry.tokens` are by.

    Raises:
        ConfigurationError: The URL, or a number, makes no sense.
        MissingExtraError: The driver of the database is not installed.
    """

    def __init__(
        self,
        url: str | Sequence[str] = "memory://",
        *,
        counter: TokenCounter | None = None,
        ttl: timedelta | None = None,
        cold_after: timedelta | None = timedelta(days=7),
        hot_bytes: int = 64 * 1024 * 1024,
        timeout_s: float = 10.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        urls = [url] if isinstance(url, str) else list(url)
        if not urls:
            raise ConfigurationError('url=[] names no database: use "memory://"')
        if not 0 < timeout_s < math.inf:
            raise ConfigurationError(
                f"timeout_s={timeout_s!r} must be positive seconds, e.g. 10"
            )
        check_numbers(hot_bytes=hot_bytes)
        self.counter = counter or TokenCounter("gpt-4o")
        self._counter_loaded = False
        self._logs = [open_log(each, timeout_s) for each in urls]
        self._plans = ConversationPlans(
            logs=self._logs, hot=HotRows(hot_bytes), counter=self.counter, clock=clock
        )
        self._sweeper = Sweeper(
            self._plans,
            ttl_s=None if ttl is None else seconds("ttl", ttl),
            cold_s=None if cold_after is None else seconds("cold_after", cold_after),
        )

    def append(
        self,
        session_id: str,
        messages: Sequence[BaseMessage],
        *,
        expected_seq: int | None = None,
    ) -> tuple[LogEntry, ...]:
        """Add messages at the end of a session, all of them or none, side by side.

        Args:
            session_id: The session; begun if it is not there.
            messages: What to store. A message without an id is stored with one.
            expected_seq: Store only if the log has just this length. By default the
                messages go to the end, wherever that is.

        Returns:
            What was stored, with its places.

        Raises:
            ConversationConflictError: The log has another length than expected.
            ConfigurationError: A message or an argument makes no sense.
            StorageError: The database cannot be used.
        """
        check_numbers(expected_seq=expected_seq)
        return run(self._append(session_id, messages, expected_seq))

    async def aappend(
        self,
        session_id: str,
        messages: Sequence[BaseMessage],
        *,
        expected_seq: int | None = None,
    ) -> tuple[LogEntry, ...]:
        """Add messages as `append` does.

        If the caller is cancelled, the messages are stored all or not at all.
        """
        check_numbers(expected_seq=expected_seq)
        if not self._counter_loaded:
            await self.counter.aload()  # reads a file
            self._counter_loaded = True
        return await arun(self._append(session_id, messages, expected_seq))

    def head(self, session_id: str) -> SessionHead:
        """Return length, tokens and times of a session; one that is not there is empty.

        Raises:
            StorageError: The database cannot be used.
        """
        return _public(session_id, run(self._plans.head(session_id)))

    async def ahead(self, session_id: str) -> SessionHead:
        """Return what `head` returns."""
        return _public(session_id, await arun(self._plans.head(session_id)))

    def read(
        self, session_id: str, start: int = 0, stop: int | None = None
    ) -> list[LogEntry]:
        """Return the messages with `start <= seq < stop`, in order.

        Args:
            session_id: The session; one that is not there has no messages.
            start: The first seq, from 0.
            stop: The seq after the last; by default the end.

        Raises:
            StorageError: The database cannot be used.
        """
        check_numbers(start=start, stop=stop)
        return run(self._plans.read(session_id, start, stop))

    async def aread(
        self, session_id: str, start: int = 0, stop: int | None = None
    ) -> list[LogEntry]:
        """Return what `read` returns."""
        check_numbers(start=start, stop=stop)
        return await arun(self._plans.read(session_id, start, stop))

    def tail(
        self,
        session_id: str,
        *,
        max_tokens: int | None = None,
        limit: int | None = None,
    ) -> list[LogEntry]:
        """Return the newest messages, in order; no more is read than that.

        Args:
            session_id: The session.
            max_tokens: What they may have together; the newest comes in any case.
            limit: How many there may be.

        Raises:
            StorageError: The database cannot be used.
        """
        check_numbers(max_tokens=max_tokens, limit=limit)
        return list(run(self._plans.tail(session_id, max_tokens, limit)))

    async def atail(
        self,
        session_id: str,
        *,
        max_tokens: int | None = None,
        limit: int | None = None,
    ) -> list[LogEntry]:
        """Return what `tail` returns."""
        check_numbers(max_tokens=max_tokens, limit=limit)
        return list(await arun(self._plans.tail(session_id, max_tokens, limit)))

    def summaries(self, session_id: str) -> list[SessionSummary]:
        """Return the summaries of a session, in order; no two overlap.

        Raises:
            StorageError: The database cannot be used.
        """
        return run(self._plans.summaries(session_id))

    async def asummaries(self, session_id: str) -> list[SessionSummary]:
        """Return what `summaries` returns."""
        return await arun(self._plans.summaries(session_id))

    def put_summary(self, session_id: str, summary: SessionSummary) -> bool:
        """Store a summary, in the place of those that lie wholly in its range.

        Returns:
            Whether it was stored. It is not if its range is empty or goes beyond the
            log, or if it overlaps another summary in part: nothing is changed then.

        Raises:
            StorageError: The database cannot be used.
        """
        return run(self._plans.put_summary(session_id, summary))

    async def aput_summary(self, session_id: str, summary: SessionSummary) -> bool:
        """Store a summary as `put_summary` does."""
        return await arun(self._plans.put_summary(session_id, summary))

    def list_sessions(
        self, *, limit: int = 100, before: SessionHead | None = None
    ) -> list[SessionHead]:
        """Return sessions, the latest written first.

        Args:
            limit: How many.
            before: The last one of the page before, to go on from there.

        Raises:
            StorageError: A database cannot be used.
        """
        check_numbers(limit=limit)
        heads = run(self._plans.sessions(limit, _place(before)))
        return [_public(head.session_id, head) for head in heads]

    async def alist_sessions(
        self, *, limit: int = 100, before: SessionHead | None = None
    ) -> list[SessionHead]:
        """Return what `list_sessions` returns."""
        check_numbers(limit=limit)
        heads = await arun(self._plans.sessions(limit, _place(before)))
        return [_public(head.session_id, head) for head in heads]

    def delete(self, session_id: str) -> bool:
        """Remove a session with its messages and summaries; whether it was there.

        Raises:
            StorageError: The database cannot be used.
        """
        return run(self._plans.delete(session_id))

    async def adelete(self, session_id: str) -> bool:
        """Remove a session as `delete` does."""
        return await arun(self._plans.delete(session_id))

    def expire(self, ttl: timedelta) -> int:
        """Remove the sessions without a write for `ttl`; how many there were.

        Raises:
            StorageError: A database cannot be used.
        """
        return run(self._plans.expire(seconds("ttl", ttl)))

    async def aexpire(self, ttl: timedelta) -> int:
        """Remove sessions as `expire` does."""
        return await arun(self._plans.expire(seconds("ttl", ttl)))

    def compact(self, idle: timedelta) -> int:
        """Pack the sessions that nobody touched for `idle`; how many there were.

        Raises:
            StorageError: A database cannot be used.
        """
        return run(self._plans.compact(seconds("idle", idle)))

    async def acompact(self, idle: timedelta) -> int:
        """Pack sessions as `compact` does."""
        return await arun(self._plans.compact(seconds("idle", idle)))

    def search(
        self, query: str, *, session_id: str | None = None, limit: int = 10
    ) -> list[FoundMessage]:
        """Find the messages whose text has all the words, whatever their case.

        Goes through the sessions, the latest written first, until enough is found:
        rare words cost a look at everything. SQL databases send only rows that may
        match; from Redis, and out of the cold, everything is read.

        Args:
            query: Words or parts of words, apart by spaces.
            session_id: Look only into this session.
            limit: How many messages.

        Returns:
            The messages; in each session the newest first.

        Raises:
            ConfigurationError: The query has no word.
            StorageError: A database cannot be used.
        """
        words = search_words(query)
        check_numbers(limit=limit)
        return run(search(self._plans, words, session_id, limit))

    async def asearch(
        self, query: str, *, session_id: str | None = None, limit: int = 10
    ) -> list[FoundMessage]:
        """Find messages as `search` does."""
        words = search_words(query)
        check_numbers(limit=limit)
        return await arun(search(self._plans, words, session_id, limit))

    def close(self) -> None:
        """Close the connections; conversations in `memory://` stay with the object."""
        for log in self._logs:
            log.close()

    async def aclose(self) -> None:
        """Close the connections, those of this event loop too."""
        for log in self._logs:
            await log.aclose()

    def _append(
        self, session_id: str, messages: Sequence[BaseMessage], expected: int | None
    ) -> Plan[tuple[LogEntry, ...]]:
        stored = yield from self._plans.append(session_id, messages, expected)
        yield from self._sweeper.sweep()
        return stored


def _public(session_id: str, head: Head | None) -> SessionHead:
    if head is None:
        return SessionHead(
            session_id=session_id,
            born="",
            length=0,
            tokens=0,
            created_at=_NOBODY,
            updated_at=_NOBODY,
        )
    return SessionHead(
        session_id=session_id,
        born=head.born,
        length=head.length,
        tokens=head.tokens,
        created_at=datetime.fromtimestamp(head.created_at, UTC),
        updated_at=datetime.fromtimestamp(head.updated_at, UTC),
    )


def _place(head: SessionHead | None) -> tuple[float, str] | None:
    return None if head is None else (head.updated_at.timestamp(), head.session_id)
