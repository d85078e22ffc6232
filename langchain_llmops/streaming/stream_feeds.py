"""A stream read ahead by a task or a thread, so that waiting for it can be bounded."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self

from langchain_llmops.streaming.stream_course import ELAPSED, END

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

__all__ = ["TaskFeed", "ThreadFeed"]

_AHEAD = 16
"""Chunks that are read before they are asked for: beyond, the stream waits."""


class TaskFeed:
    """Reads an async stream in one task, in the context in which it is entered.

    Leaving it cancels that task and waits until the stream is closed. A cancellation
    that the stream swallows (`asyncio.wait_for` on Python 3.11, which `ChatOpenAI` puts
    around each chunk, loses some) ends it all the same, at the chunk that it was
    swallowed for. One event loop; one reader.

    Args:
        stream: What to read; it is closed in the end.
    """

    def __init__(self, stream: AsyncIterator[Any]) -> None:
        self.error: BaseException | None = None
        self._stream = stream
        self._items: deque[Any] = deque()
        self._loop = asyncio.get_running_loop()
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._leaving = False
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = self._loop.create_task(self._read())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._leaving = True
        if self._timer is not None:
            self._timer.cancel()
        task = self._task
        if task is not None and not task.done():
            task.cancel()
            await asyncio.wait((task,))

    async def get(self, until: float | None) -> Any:
        """Return the next chunk, `ELAPSED` at the loop's time `until`, or `END`.

        Of a stream that failed, `error` is what it failed with.
        """
        while until is None or self._loop.time() < until:
            if self._items:
                item = self._items.popleft()
                if self._writer is not None and len(self._items) <= _AHEAD // 2:
                    _wake(self._writer)
                return item
            self._reader = self._loop.create_future()
            self._arm(until)
            try:
                await self._reader
            finally:
                self._reader = None
        return ELAPSED

    def _arm(self, until: float | None) -> None:
        """See to it that the reader wakes at `until`, or earlier.

        A timer that fires too early costs one turn; making one for each chunk, of which
        hardly any ever fires, costs more.
        """
        if until is None:
            return
        if self._timer is not None:
            if self._timer.when() <= until:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(until, self._ring)

    def _ring(self) -> None:
        self._timer = None
        _wake(self._reader)

    async def _read(self) -> None:
        try:
            async for item in self._stream:
                if self._leaving:
                    break
                self._items.append(item)
                _wake(self._reader)
                if len(self._items) >= _AHEAD:
                    self._writer = self._loop.create_future()
                    try:
                        await self._writer
                    finally:
                        self._writer = None
            if (close := getattr(self._stream, "aclose", None)) is not None:
                await close()
        except BaseException as error:  # noqa: BLE001 # the consumer gets it
            self.error = error
        finally:
            self._items.append(END)
            _wake(self._reader)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)


class ThreadFeed:
    """Reads a sync stream on one thread, in a copy of the caller's context.

    No thread can be interrupted: a stream that hangs when this is left keeps its thread
    until its own client times out; another is closed at its next chunk.

    Args:
        stream: What to read; it is closed in the end.
    """

    def __init__(self, stream: Iterator[Any]) -> None:
        self.error: BaseException | None = None
        self._stream = stream
        self._items: queue.Queue[Any] = queue.Queue(maxsize=_AHEAD)
        self._leaving = False

    def __enter__(self) -> Self:
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._read,), name="stream-feed", daemon=True
        ).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._leaving = True
        while not self._items.empty():  # makes room, in case the thread waits for it
            self._items.get_nowait()

    def get(self, until: float | None) -> Any:
        """Return the next chunk, `ELAPSED` at the monotonic time `until`, or `END`."""
        if until is None:
            return self._items.get()
        left = until - time.monotonic()
        if left <= 0:
            return ELAPSED
        try:
            return self._items.get(timeout=left)
        except queue.Empty:
            return ELAPSED

    def _read(self) -> None:
        try:
            for item in self._stream:
                if self._leaving:
                    break
                self._items.put(item)
            if (close := getattr(self._stream, "close", None)) is not None:
                close()
        except BaseException as error:  # noqa: BLE001 # the consumer gets it
            self.error = error
        finally:
            self._items.put(END)
