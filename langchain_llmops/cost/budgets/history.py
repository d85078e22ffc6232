"""How long answers turn out to be: what a reservation expects of the next one."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import OrderedDict, deque
from threading import RLock
from typing import Final

__all__ = ["FIRST_GUESS", "OutputHistory"]

FIRST_GUESS: Final = 1_024
"""Tokens expected of a model that says no maximum and has not answered yet."""

_MODELS: Final = 256


class OutputHistory:
    """The lengths of the latest answers of each model, and a quantile of them.

    Exact over a sliding window; an answer costs about a microsecond to note. Memory is
    bounded. Safe across threads; each process learns by itself.

    Args:
        quantile: Share of answers that are to be no longer than expected.
        size: How many of a model's latest answers count.
        enough: How many are needed before they count.
    """

    def __init__(
        self, *, quantile: float = 0.95, size: int = 200, enough: int = 20
    ) -> None:
        self._quantile = quantile
        self._size = size
        self._enough = enough
        self._lock = RLock()  # a garbage-collected stream may settle in here
        self._models: OrderedDict[str, tuple[deque[int], list[int]]] = OrderedDict()

    def add(self, model: str, tokens: int) -> None:
        """Note the length of one answer."""
        with self._lock:
            lengths = self._models.get(model)
            if lengths is None:
                lengths = self._models[model] = (deque(), [])
                if len(self._models) > _MODELS:
                    self._models.popitem(last=False)
            latest, ordered = lengths
            latest.append(tokens)
            insort(ordered, tokens)
            if len(latest) > self._size:
                del ordered[bisect_left(ordered, latest.popleft())]

    def expected(self, model: str, at_most: int | None) -> int:
        """Return how long the next answer may well be.

        Args:
            model: The model that is asked.
            at_most: What the call allows, if it says so: never more than that, and
                that much as long as too few answers are known.
        """
        with self._lock:
            lengths = self._models.get(model)
            if lengths is None or len(lengths[1]) < self._enough:
                return FIRST_GUESS if at_most is None else at_most
            ordered = lengths[1]
            learnt = ordered[math.ceil(self._quantile * len(ordered)) - 1]
        return learnt if at_most is None else min(learnt, at_most)
