"""Who fetches a new answer in place of a stale one: one caller per key."""

from __future__ import annotations

from threading import Lock
from typing import Final

__all__ = ["Refreshes"]

_PATIENCE_S: Final = 30.0
"""Seconds after which a refresh that brought nothing is left to another caller."""

_AT_ONCE: Final = 10_000


class Refreshes:
    """The refreshes that are under way in this process; safe across threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._since: dict[str, float] = {}

    def begin(self, key: str, now: float) -> bool:
        """Return whether the caller is the one to refresh a key."""
        with self._lock:
            since = self._since.get(key)
            if since is not None and 0 <= now - since < _PATIENCE_S:
                return False
            if len(self._since) >= _AT_ONCE:
                self._since.clear()
            self._since[key] = now
            return True

    def end(self, key: str) -> None:
        """Note that a key has a new answer."""
        if self._since:
            with self._lock:
                self._since.pop(key, None)
