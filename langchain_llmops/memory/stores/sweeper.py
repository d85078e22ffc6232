"""What a writer does for all: remove what has expired, pack what is idle."""

from __future__ import annotations

import logging
import math
from threading import Lock
from typing import TYPE_CHECKING, Final

from langchain_llmops.errors import StorageError

if TYPE_CHECKING:
    from langchain_llmops.memory.stores.plans import ConversationPlans
    from langchain_llmops.storage.plans import Plan

__all__ = ["Sweeper"]

_LOGGER: Final = logging.getLogger(__name__)
_EVERY_S: Final = 60.0
"""Seconds between two sweeps of a process; each takes a few sessions only."""


class Sweeper:
    """Sweeps now and then, a little at a time. Safe across threads.

    Args:
        plans: Of the store to sweep.
        ttl_s: Seconds without a write after which sessions go; `None`: never.
        cold_s: Idle seconds after which sessions are packed; `None`: never.

    Attributes:
        failures: Sweeps that failed; the first one was logged.
    """

    def __init__(
        self, plans: ConversationPlans, *, ttl_s: float | None, cold_s: float | None
    ) -> None:
        self._plans = plans
        self._ttl_s = ttl_s
        self._cold_s = cold_s
        self._next_at = -math.inf
        self._lock = Lock()
        self.failures = 0

    def sweep(self) -> Plan[None]:
        """Sweep if it is time for that; never raises what a database does."""
        now = self._plans.clock()
        with self._lock:
            if now < self._next_at:
                return
            self._next_at = now + _EVERY_S
        try:
            if self._ttl_s is not None:
                yield from self._plans.expire(self._ttl_s, once=True)
            if self._cold_s is not None:
                yield from self._plans.compact(self._cold_s, once=True)
        except StorageError:
            # What the writer came for is stored: nobody is told but the log.
            self.failures += 1
            if self.failures == 1:
                _LOGGER.warning("sessions cannot be expired or packed", exc_info=True)
