"""`BreakerSync`: a thread that exchanges news with a store, beside the calls."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Final
from weakref import WeakMethod

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_llmops.routing.breaker_store import BreakerStore, CircuitNews

    Listener = Callable[[Mapping[str, CircuitNews]], None]

__all__ = ["BreakerSync"]

logger = logging.getLogger(__name__)

_EVERY_S: Final = 0.4
_REST_S: Final = 2.0
"""How long a store that failed is left alone."""
_IDLE_S: Final = 10.0
"""Without a call for so long the thread ends; the next call starts another."""


class BreakerSync:
    """Tell a store what changed here, and a breaker what changed elsewhere.

    News are told at once, and asked for every 0.4 s while there are calls. A store that
    fails is logged once, counted in `errors`, and asked again two seconds later; what
    it was to be told is old by then, and dropped.
    Safe across threads and event loops; but for `exchange`, which is the thread's, no
    method waits for the store. A fork starts a thread of its own.

    Args:
        store: Where the news are.
        listener: A bound method, called on the thread with what was not told before. It
            is held weakly: the thread ends with its owner.
        clock: Seconds that only go up.
    """

    def __init__(
        self,
        store: BreakerStore,
        listener: Listener,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.errors = 0
        self._store = store
        self._listener = WeakMethod(listener)
        self._clock = clock
        self._names: set[str] = set()
        self._news: dict[str, CircuitNews] = {}
        self._known: dict[str, str] = {}
        self._lock = Lock()
        self._wake = Event()
        self._used_at = 0.0
        self._running_in: int | None = None
        self._closed = False

    def used(self, name: str) -> None:
        """Note that a candidate is asked: its news are wanted from now on."""
        self._used_at = self._clock()
        if name not in self._names:
            with self._lock:
                self._names.add(name)
            self._wake.set()
        if self._running_in != os.getpid():
            self._start()

    def tell(self, name: str, news: CircuitNews) -> None:
        """Put down what is new, for the store to be told."""
        with self._lock:
            self._names.add(name)
            self._news[name] = news
            self._known[name] = news.id
        self._wake.set()

    def exchange(self) -> bool:
        """Make one exchange; `False` if the store failed."""
        with self._lock:
            news, self._news = self._news, {}
            names = sorted(self._names)
        try:
            found = self._store.exchange(news, names)
        except Exception as error:  # noqa: BLE001 - a lost store never fails a call
            self._failed(error)
            return False
        with self._lock:
            fresh = {
                name: latest
                for name, latest in found.items()
                # What happened here meanwhile is newer.
                if latest.id != self._known.get(name) and name not in self._news
            }
            self._known.update({name: latest.id for name, latest in fresh.items()})
        listener = self._listener()
        if fresh and listener is not None:
            listener(fresh)
        return True

    def close(self) -> None:
        """End the thread, which a later call does not start again."""
        self._closed = True
        self._wake.set()

    def _start(self) -> None:
        with self._lock:
            if self._closed or self._running_in == os.getpid():
                return
            self._running_in = os.getpid()
        thread = Thread(target=self._run, name="llmops-breaker", daemon=True)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            thread.start()
        else:  # Who starts a thread waits for it: that is left to another thread.
            loop.run_in_executor(None, thread.start)

    def _run(self) -> None:
        while not self._over():
            self._wake.clear()
            self._wake.wait(_EVERY_S if self.exchange() else _REST_S)

    def _over(self) -> bool:
        with self._lock:
            idle = self._clock() - self._used_at > _IDLE_S and not self._news
            if over := self._closed or idle or self._listener() is None:
                self._running_in = None
        return over

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self.errors += 1
            first = self.errors == 1
        if first:
            logger.warning(
                "the store of circuit breakers failed (%s: %s): until it is back, each "
                "process goes by what it sees itself. Further failures are only "
                "counted in CircuitBreaker.store_errors.",
                type(error).__name__,
                error,
            )
