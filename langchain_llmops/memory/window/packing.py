"""What goes into a window: what must, then what is worth most for its tokens."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

import numpy as np

from langchain_llmops.memory.window.index import cost_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy.typing as npt

    from langchain_llmops.memory.window.index import WindowIndex
    from langchain_llmops.memory.window.units import UnitLog
    from langchain_llmops.tokens import TokenCounter

__all__ = ["Packing"]

_SMALLEST = 5
"""Tokens below which no message fits: a role, its frame and a word."""
_AT_ONCE = 1024
_MISSES = 200
"""Units in a row that did not fit before the rest is given up."""


class Packing:
    """Fills a budget with the units of a conversation; used once.

    Attributes:
        room: Tokens that are left.
        taken: Units that are in, as they came.
    """

    def __init__(
        self,
        index: WindowIndex,
        units: UnitLog,
        counter: TokenCounter,
        room: int,
    ) -> None:
        self.room = room
        self.taken: dict[int, bool] = {}
        self._units = units
        self._bounds = units.bounds
        self._messages = index.messages
        self._counter = counter
        self._costs = index.costs(counter)

    def cost(self, unit: int) -> int:
        """Return the tokens of a unit, counting its messages if nobody has."""
        total, costs = 0, self._costs
        for place in range(self._bounds[unit], self._bounds[unit + 1]):
            tokens = costs[place]
            if tokens < 0:
                tokens = costs[place] = cost_of(self._messages[place], self._counter)
            total += tokens
        return total

    def keep(self, units: Iterable[int]) -> None:
        """Take units that the caller has made room for."""
        for unit in units:
            if unit not in self.taken:
                self.room -= self.cost(unit)
                self.taken[unit] = True

    def keep_if_fits(self, unit: int) -> bool:
        """Take a unit if there is room and it can be sent; say whether it is in."""
        if unit in self.taken:
            return True
        if not self._units.sendable[unit] or self.cost(unit) > self.room:
            return False
        self.keep((unit,))
        return True

    def fill(self, worth: npt.NDArray[np.float32]) -> None:
        """Take optional units, the best first, until nothing fits.

        Args:
            worth: What each unit is worth for its tokens.
        """
        misses = 0
        sendable, taken = self._units.sendable, self.taken
        for unit in _best_first(worth):
            if self.room < _SMALLEST or misses > _MISSES:
                return
            if unit in taken or not sendable[unit]:
                continue
            tokens = self.cost(unit)
            if tokens > self.room:
                misses += 1
                continue
            misses = 0
            self.room -= tokens
            taken[unit] = False

    def begin_with_human(self) -> None:
        """Let the first message be a user's, as several providers ask.

        The user's message before the first one comes in, for what is worth less than
        that one; where this does not do, what comes before the user is left out.
        """
        humans, systems = self._units.humans, set(self._units.systems)
        while humans:
            first = min((u for u in self.taken if u not in systems), default=None)
            if first is None or first in humans[:1]:
                return
            place = bisect_left(humans, first)
            if place < len(humans) and humans[place] == first:
                return
            if place and self._make_room(self.cost(humans[place - 1]), of=first):
                self.keep((humans[place - 1],))
                return
            self._drop(first)

    def _make_room(self, tokens: int, *, of: int) -> bool:
        """Drop what is worth less than a unit until there is room; say if there is."""
        units = list(self.taken)
        later = units[units.index(of) + 1 :]
        optional = [unit for unit in later if not self.taken[unit]]
        if self.room + sum(map(self.cost, optional)) < tokens:
            return False
        while self.room < tokens:
            self._drop(optional.pop())
        return True

    def _drop(self, unit: int) -> None:
        self.room += self.cost(unit)
        del self.taken[unit]


def _best_first(worth: npt.NDArray[np.float32]) -> Iterator[int]:
    """Yield the units by what they are worth, sorting no more than is read."""
    if len(worth) <= _AT_ONCE:
        yield from np.argsort(-worth, kind="stable").tolist()
        return
    parted = np.argpartition(-worth, _AT_ONCE)
    best = parted[:_AT_ONCE]
    yield from best[np.argsort(-worth[best], kind="stable")].tolist()
    rest = parted[_AT_ONCE:]
    yield from rest[np.argsort(-worth[rest], kind="stable")].tolist()
