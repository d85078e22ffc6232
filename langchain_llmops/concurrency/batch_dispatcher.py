"""The threads behind `DynamicBatcher`: a batch starts as soon as a slot is free."""

from __future__ import annotations

import asyncio
import copy
import inspect
import logging
import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Condition
from typing import TYPE_CHECKING, Any, Final

from langchain_llmops.concurrency.batch_call import call_batch
from langchain_llmops.concurrency.batch_queue import BatchEntry, BatchQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_llmops.concurrency.batch_queue import BatchLimits

__all__ = ["BatchDispatcher", "BatchStats"]

_logger = logging.getLogger(__name__)
_LOOK_AT_LOOP_S: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStats:
    """What a batcher has done so far.

    Attributes:
        batches: Batches that were sent.
        items: Items in them.
        merged: Requests that shared an identical one under way.
        left: Requests that were cancelled or ran out of time.
        searches: Further calls, made to find the items that fail.
        callback_errors: Times that `on_result` raised.
    """

    batches: int = 0
    items: int = 0
    merged: int = 0
    left: int = 0
    searches: int = 0
    callback_errors: int = 0


class _Flight:
    """A batch under way, and how to stop it."""

    __slots__ = ("abandoned", "entries", "running")

    def __init__(self, entries: list[BatchEntry]) -> None:
        self.entries = entries
        self.running: Future[Any] | None = None
        self.abandoned = False


class BatchDispatcher:
    """Runs batches on at most `max_in_flight` threads of its own.

    A thread takes the next batch when it is done with one, and goes when nothing waits.
    An async function runs on the loop its items came from, since clients belong to
    their loop; the thread waits for it. Safe across threads and event loops.
    """

    def __init__(
        self,
        fn: Callable[[list[Any]], Any],
        limits: BatchLimits,
        *,
        max_in_flight: int,
        on_result: Callable[[Any, Any], object] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.is_async: Final = inspect.iscoroutinefunction(
            fn
        ) or inspect.iscoroutinefunction(type(fn).__call__)
        self.clock: Final = clock
        self._fn = fn
        self._max_in_flight = max_in_flight
        self._on_result = on_result
        self._changed = Condition()
        self._queue = BatchQueue(limits)
        self._entries: dict[Any, BatchEntry] = {}
        self._flights: dict[BatchEntry, _Flight] = {}
        self._stats = BatchStats()
        self._threads: ThreadPoolExecutor | None = None
        self._working = self._waiting = 0

    @property
    def stats(self) -> BatchStats:
        """The counts so far."""
        return self._stats

    def add(self, entry: BatchEntry) -> Future[Any]:
        """Put an entry in line, or join an identical one; `start` does the rest.

        Returns:
            A future of its own for each call. To cancel it leaves the batch.
        """
        future: Future[Any] = Future()
        with self._changed:
            known = None if entry.key is None else self._entries.get(entry.key)
            if known is not None:
                self._queue.hurry(known, entry.rank)
                self._count(merged=1)
                entry = known
            else:
                if entry.key is not None:
                    self._entries[entry.key] = entry
                self._queue.push(entry)
            entry.waiters.append(future)
        future.add_done_callback(lambda done: self._leave(entry, done))
        return future

    def start(self) -> None:
        """See to it that a thread takes what waits."""
        with self._changed:
            self._start()

    def _start(self) -> None:
        if self._waiting:
            self._changed.notify()
        elif self._queue and self._working < self._max_in_flight:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._max_in_flight, "llmops-batch")
            self._working += 1
            self._threads.submit(self._work)

    def _leave(self, entry: BatchEntry, future: Future[Any]) -> None:
        """Forget a cancelled future, and stop what nobody waits for any more."""
        if not future.cancelled():
            return
        with self._changed:
            if future not in entry.waiters:
                return  # its batch has just ended, and settles it
            entry.waiters.remove(future)
            self._count(left=1)
            flight = self._flights.get(entry)
            if flight is None and not entry.waiters:
                self._queue.remove(entry)
                self._forget(entry)
            stop = flight is not None and self._abandon(flight)
        future.set_running_or_notify_cancel()
        if stop and flight is not None and flight.running is not None:
            flight.running.cancel()

    def _abandon(self, flight: _Flight) -> bool:
        """Say whether a batch is to be stopped, which only an async one can be."""
        if not self.is_async or any(entry.waiters for entry in flight.entries):
            return False
        flight.abandoned = True
        for entry in flight.entries:
            self._forget(entry)  # whoever asks from now on is not stopped with it
        return True

    def _forget(self, entry: BatchEntry) -> None:
        if entry.key is not None and self._entries.get(entry.key) is entry:
            del self._entries[entry.key]

    def _work(self) -> None:
        while (flight := self._next()) is not None:
            outcomes: list[Any]
            try:
                outcomes, searches = call_batch(
                    lambda items, flight=flight: self._call(items, flight),  # type: ignore[misc]
                    [entry.item for entry in flight.entries],
                )
            except BaseException as error:  # noqa: BLE001 - the callers raise it
                outcomes, searches = [error] * len(flight.entries), 0
            self._settle(flight, outcomes, searches)

    def _next(self) -> _Flight | None:
        with self._changed:
            while True:
                now = self.clock()
                delay = self._queue.ready_in(now)
                if delay is None:
                    self._working -= 1
                    return None
                if delay <= 0:
                    break
                self._waiting += 1
                self._changed.wait(delay)
                self._waiting -= 1
            flight = _Flight(self._queue.take(now))
            self._flights.update(dict.fromkeys(flight.entries, flight))
            self._count(batches=1, items=len(flight.entries))
            self._start()  # there may be more, and a slot for it
            return flight

    def _call(self, items: list[Any], flight: _Flight) -> Any:
        if not self.is_async:
            return self._fn(items)

        async def call() -> Any:
            return await self._fn(items)

        loop = flight.entries[0].group[0]  # type: ignore[index]
        if loop is None:
            return asyncio.run(call())
        return self._call_on(loop, call(), flight)

    def _call_on(
        self, loop: asyncio.AbstractEventLoop, call: Any, flight: _Flight
    ) -> Any:
        try:
            running = asyncio.run_coroutine_threadsafe(call, loop)
        except RuntimeError:  # the loop is closed
            call.close()
            raise
        with self._changed:
            flight.running = running
            abandoned = flight.abandoned
        if abandoned:
            running.cancel()
        # A loop may be closed without a word to its tasks; the slot must come back.
        while not wait((running,), timeout=_LOOK_AT_LOOP_S).done:
            if loop.is_closed():
                raise asyncio.CancelledError
        try:
            return running.result()
        except CancelledError:
            raise asyncio.CancelledError from None  # no error of an item

    def _settle(self, flight: _Flight, outcomes: list[Any], searches: int) -> None:
        told: list[tuple[list[Future[Any]], BatchEntry, Any]] = []
        with self._changed:
            self._count(searches=searches)
            for entry, outcome in zip(flight.entries, outcomes, strict=True):
                del self._flights[entry]
                self._forget(entry)
                told.append((entry.waiters, entry, outcome))
                entry.waiters = []
        for futures, entry, outcome in told:
            for place, future in enumerate(futures):
                if not future.set_running_or_notify_cancel():
                    with self._changed:
                        self._count(left=1)
                    continue
                # Who shares a request must not share a list that another changes.
                own = _copied(outcome) if place else outcome
                if isinstance(own, BaseException):
                    future.set_exception(own)
                else:
                    future.set_result(own)
                self._tell(entry.item, own)

    def _tell(self, item: Any, outcome: Any) -> None:
        if self._on_result is None:
            return
        try:
            self._on_result(item, outcome)
        except Exception:
            with self._changed:
                first = not self._stats.callback_errors
                self._count(callback_errors=1)
            if first:
                _logger.warning("on_result failed; logged once", exc_info=True)

    def _count(self, **more: int) -> None:
        self._stats = replace(
            self._stats,
            **{name: getattr(self._stats, name) + by for name, by in more.items()},
        )


def _copied(outcome: Any) -> Any:
    if isinstance(outcome, BaseException):
        return outcome
    try:
        return copy.deepcopy(outcome)
    except Exception:  # noqa: BLE001 - a result that cannot be copied is shared
        return outcome
