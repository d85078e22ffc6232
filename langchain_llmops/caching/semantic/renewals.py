"""Stale answers found for another wording: which question then takes their place.

Of the callers who get a stale answer one is told to ask the model. If another wording
found it, the new answer is stored under the key of that wording; were the old question
kept, it would go on to offer its stale answer to all others.
"""

from __future__ import annotations

from threading import Lock
from typing import Final

__all__ = ["Renewals"]

_AT_ONCE: Final = 10_000


class Renewals:
    """The stale questions that are being asked anew; bounded, safe across threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._stale: dict[str, str] = {}

    def begin(self, key: str, stale_key: str) -> None:
        """Note that a request fetches a new answer in place of a stale one."""
        with self._lock:
            if len(self._stale) >= _AT_ONCE:
                self._stale.clear()
            self._stale[key] = stale_key

    def end(self, key: str) -> list[str]:
        """Return the keys whose answer the one to a request takes the place of."""
        if key not in self._stale:
            return []
        with self._lock:
            stale_key = self._stale.pop(key, key)
        return [] if stale_key == key else [stale_key]
