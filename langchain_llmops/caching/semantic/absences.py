"""Questions whose answer is not there: gone for good, or only out of reach."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Absences"]

_GRACE_S: Final = 30.0
"""How long an answer must be out of reach before its question is dropped: a tier that
failed rests for a few seconds, and its answers come back."""

_REMEMBERED: Final = 10_000


class Absences:
    """Remember since when answers are missing; bounded, safe across threads.

    Args:
        clock: Seconds that only go up.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = Lock()
        self._since: OrderedDict[str, float] = OrderedDict()
        self._expected_until = float("-inf")

    def present(self, key: str) -> None:
        """Note that an answer is there."""
        if self._since:
            with self._lock:
                self._since.pop(key, None)

    def missing(self, key: str) -> bool:
        """Note that an answer is not there; return whether to drop its question."""
        now = self._clock()
        with self._lock:
            since = self._since.setdefault(key, now)
            if now - since < _GRACE_S and now >= self._expected_until:
                if len(self._since) > _REMEMBERED:
                    self._since.popitem(last=False)
                return False
            del self._since[key]
            return True

    def expect(self) -> None:
        """Note that answers were just invalidated: one that is missing now is gone."""
        self._expected_until = self._clock() + _GRACE_S

    def clear(self) -> None:
        """Forget what is missing."""
        with self._lock:
            self._since.clear()
