"""Times between chunks, kept until somebody collects them.

The conventions ask for a record for every chunk, and a record takes some seven
microseconds: too much for the path of a token. So a call only hands over the times that
it has, and they are recorded on the thread that collects metrics.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Gaps"]


class Gaps:
    """Arrivals of chunks by call, until they are recorded. Safe across threads.

    Args:
        histogram: Where they are recorded.
        max_calls: Calls whose times are kept; beyond, the oldest are forgotten, which
            happens only where nobody collects.
    """

    def __init__(self, histogram: Any, max_calls: int = 10_000) -> None:
        self._histogram = histogram
        self._waiting: deque[tuple[Sequence[float], Mapping[str, str]]] = deque(
            maxlen=max_calls
        )

    def add(self, arrivals: Sequence[float], labels: Mapping[str, str]) -> None:
        """Keep the times of a call's chunks."""
        if len(arrivals) > 1:
            self._waiting.append((arrivals, labels))

    def record(self) -> None:
        """Record what is kept. Takes 7 µs for each chunk."""
        while self._waiting:
            try:
                arrivals, labels = self._waiting.popleft()
            except IndexError:  # another thread was quicker
                return
            for before, after in pairwise(arrivals):
                self._histogram.record(max(0.0, after - before), labels)
