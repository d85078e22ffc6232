"""Rows on their way to the database: queued by calls, written by one thread."""

from __future__ import annotations

import atexit
import logging
import sys
import threading
import weakref
from collections import deque
from typing import TYPE_CHECKING

from langchain_llmops.cost.ledger.journal import Journal, recover
from langchain_llmops.cost.ledger.rows import CallRow, row_of

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_llmops.cost.charge import Charge, ChargeSource
    from langchain_llmops.cost.ledger.store import LedgerStore

__all__ = ["BatchWriter"]

logger = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 60.0


class BatchWriter:
    """The queue and the thread of one process.

    The thread sleeps until there is something, waits for more, writes all of it in one
    go, and tries again later if that fails. It begins with the first row and holds the
    writer alive until `close`, which also runs when the interpreter ends.

    Args:
        store: Where rows go.
        folder: Where journals are, of this process and of dead ones; `None`: nowhere.
        keeps_journal: Whether rows go there first.
        interval_s: Seconds that rows wait for more.
        batch_rows: Rows that are written at once, however early they are there.
        max_queued: Rows that may wait; more are dropped and counted.
    """

    def __init__(
        self,
        store: LedgerStore,
        *,
        folder: Path | None,
        keeps_journal: bool,
        interval_s: float,
        batch_rows: int,
        max_queued: int,
    ) -> None:
        self.store = store
        self.written = self.known = self.dropped = self.failures = 0
        self.last_error: str | None = None
        self._folder = folder
        self._journal = Journal(folder) if folder and keeps_journal else None
        self._interval_s = interval_s
        self._batch_rows = batch_rows
        self._max_queued = max_queued
        self._sources: weakref.WeakSet[ChargeSource] = weakref.WeakSet()
        self._queue: deque[CallRow | Charge] = deque()
        self._in_flight = 0
        self._holding: set[ChargeSource] = set()
        self._closing = False
        self._pause_s = 0.0
        self._wake = threading.Condition(threading.Lock())
        self._draining = threading.RLock()
        self._thread: threading.Thread | None = None
        self._told: set[str] = set()

    @property
    def queued(self) -> int:
        """How many rows are not in the database yet."""
        return len(self._queue) + self._in_flight

    @property
    def sources(self) -> list[ChargeSource]:
        """Those who may hold charges back."""
        return list(self._sources)

    def follow(self, source: ChargeSource) -> None:
        """Note who may hold charges back; it is not kept alive by this."""
        self._sources.add(source)

    def put(self, charge: Charge) -> None:
        """Queue a charge; never raises and never waits for the database."""
        try:
            item = charge if self._journal is None else row_of(charge)
            with self._wake:
                if self.queued >= self._max_queued:
                    self.dropped += 1
                    full = True
                else:
                    full = False
                    self._keep(item)
        except Exception as error:  # noqa: BLE001 # whatever a charge may hold
            self._unfit(error)
            return
        if full:
            self._tell_once(f"{self._max_queued:,} rows wait; more are dropped", None)

    def nudge(self, source: ChargeSource) -> None:
        """Note that a source holds something back; it is kept until that is fetched."""
        if source not in self._holding:
            with self._wake:
                self._holding.add(source)
                self._start()
                self._wake.notify_all()

    def drain(self) -> bool:
        """Write what is queued, on this thread; say whether nothing is left.

        Never raises: what cannot be written stays queued.
        """
        with self._draining:
            with self._wake:
                items = list(self._queue)
                self._queue.clear()
                self._in_flight = len(items)
                if self._journal is not None and items:
                    self._journal.cut()
            done = 0
            try:
                for done in range(0, len(items), self._batch_rows):
                    self._write(items[done : done + self._batch_rows])
                done = len(items)
                if self._journal is not None:
                    self._journal.discard()
            except Exception as error:  # noqa: BLE001 # the chain must not notice
                self._failed(error)
            else:
                self._pause_s = 0.0
            finally:
                with self._wake:
                    self._queue.extendleft(reversed(items[done:]))
                    self._in_flight = 0
            return done == len(items)

    def flush(self) -> bool:
        """Write what is queued or held back; say whether nothing is left."""
        self._collect()
        return self.drain()

    def recover(self) -> int:
        """Bring in what dead processes left in the journal; return how many rows.

        Raises:
            StorageError: The database cannot be used.
            OSError: The journal cannot be read.
        """
        return 0 if self._folder is None else recover(self._folder, self.store.write)

    def close(self) -> bool:
        """Write everything, calls under way as unsettled, and stop the thread.

        Returns:
            Whether nothing is left.
        """
        atexit.unregister(self.close)
        with self._wake:
            self._closing = True
            self._wake.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._collect()
        for source in self.sources:
            for charge in source.under_way():
                self.put(charge)
        done = self.drain()
        with self._wake:
            self._closing, self._thread = False, None
            if done and self._queue:  # recorded since then
                self._start()
        if not done:
            logger.warning("%d rows of the ledger were not written", self.queued)
        self.store.close()
        return done

    def abandon(self) -> None:
        """Let go of what belongs to the parent of this forked process."""
        if self._journal is not None:
            self._journal.abandon()

    def _keep(self, item: CallRow | Charge) -> None:
        if self._journal is not None and isinstance(item, CallRow):
            try:
                self._journal.append(item)
            except OSError as error:
                self.failures += 1
                self._tell_once("the journal cannot be written", error)
        self._queue.append(item)
        if self._thread is None:
            self._start()
        if len(self._queue) in {1, self._batch_rows}:
            self._wake.notify_all()

    def _start(self) -> None:
        if self._thread is None and not self._closing:
            self._thread = threading.Thread(
                target=self._run, name="llmops-ledger", daemon=True
            )
            atexit.register(self.close)
            _register_with_multiprocessing(self)
            self._thread.start()

    def _run(self) -> None:
        self._bring_in_the_dead()
        while True:
            with self._wake:
                self._wake.wait_for(self._has_work)
                self._wake.wait_for(self._is_urgent, self._interval_s)
                if self._pause_s:
                    self._wake.wait_for(lambda: self._closing, self._pause_s)
                if self._closing:
                    return
            self.flush()

    def _has_work(self) -> bool:
        return bool(self._queue or self._holding) or self._closing

    def _is_urgent(self) -> bool:
        return len(self._queue) >= self._batch_rows or self._closing

    def _collect(self) -> None:
        with self._wake:
            holding, self._holding = self._holding, set()
        for source in holding:
            try:
                source.count_estimates()
            except Exception as error:  # noqa: BLE001 # a source of the user's own
                self._tell_once("a source of charges failed", error)

    def _bring_in_the_dead(self) -> None:
        try:
            self.recover()
        except Exception as error:  # noqa: BLE001 # tried again by the next process
            self._failed(error)

    def _write(self, items: list[CallRow | Charge]) -> None:
        new, known = self.store.write(filter(None, map(self._row, items)))
        self.written += new
        self.known += known

    def _row(self, item: CallRow | Charge) -> CallRow | None:
        if isinstance(item, CallRow):
            return item
        try:
            return row_of(item)
        except Exception as error:  # noqa: BLE001 # whatever a charge may hold
            self._unfit(error)
            return None

    def _unfit(self, error: Exception) -> None:
        self.dropped += 1
        self._tell_once("a charge that cannot be kept is dropped", error)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self.last_error = str(error)
        self._pause_s = min(max(self._interval_s, 2 * self._pause_s), _LONGEST_PAUSE_S)
        self._tell_once("cannot be written now; rows wait", error)

    def _tell_once(self, what: str, error: Exception | None) -> None:
        if what not in self._told:
            self._told.add(what)
            logger.warning("Ledger: %s (%s). Not logged again.", what, error)


def _register_with_multiprocessing(writer: BatchWriter) -> None:
    """Close at the end of a `multiprocessing` child, which runs no `atexit`."""
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None and multiprocessing.parent_process() is not None:
        from multiprocessing.util import Finalize  # noqa: PLC0415 - loaded already

        Finalize(writer, writer.close, exitpriority=10)
