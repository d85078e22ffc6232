"""Which labels a metric may have: the most frequent ones, and never more than so many.

A metrics backend keeps each combination of labels for ever, so that one is told apart
only when it has earned it. Pure but for its own counts; no clock, no I/O.
"""

from __future__ import annotations

import math

__all__ = ["OTHER", "FrequentKeys", "LabelSets"]

OTHER = "other"
"""What stands for values that are not told apart."""

_ENOUGH = 10
_FOLLOWED = 128


class FrequentKeys:
    """Admits keys until there is no room; the later half must be frequent.

    Half of the room goes to whoever comes first, so that a small service sees all of
    its keys at once. Of the others the 128 most frequent are followed (Space-Saving,
    Metwally 2005), and one is admitted when it has had its fair share: ten calls, and
    one in `room`. A key that was admitted stays, as backends do not forget it either.

    Args:
        room: Keys that are admitted in all.
    """

    def __init__(self, room: int) -> None:
        self._room = room
        self._free = math.ceil(room / 2)
        self._seen = 0
        self._admitted: set[tuple[str, ...]] = set()
        self._waiting: dict[tuple[str, ...], tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._admitted)

    def admits(self, key: tuple[str, ...]) -> bool:
        """Count a key and say whether it is told apart. Takes 10 µs at worst."""
        self._seen += 1
        if key in self._admitted:
            return True
        if len(self._admitted) >= self._room:
            return False
        if len(self._admitted) >= self._free and not self._is_frequent(key):
            return False
        self._admitted.add(key)
        if len(self._admitted) >= self._room:
            self._waiting.clear()
        return True

    def _is_frequent(self, key: tuple[str, ...]) -> bool:
        count, surplus = self._waiting.pop(key, (0, 0))
        if not count and len(self._waiting) >= _FOLLOWED:
            # The rarest gives its place, and its count as a bound of what was missed.
            rarest = min(self._waiting, key=self._waiting.__getitem__)
            count = surplus = self._waiting.pop(rarest)[0]
        if count + 1 - surplus >= max(_ENOUGH, self._seen / self._room):
            return True
        self._waiting[key] = count + 1, surplus
        return False


class LabelSets:
    """Bounds combinations of labels, giving up the last labels first.

    A combination that is not told apart is counted with its last label as `other`,
    then the last two, and so on; what comes first in a key is kept longest.

    Args:
        most: Combinations in all.
        fixed: How many labels at the start of a key are given up only together, and
            last.
    """

    def __init__(self, most: int, *, width: int, fixed: int) -> None:
        levels = width - fixed + 1
        rooms = [max(1, most // (2 * levels))] * levels
        rooms[0] = max(1, most - 1 - sum(rooms[1:]))
        self._levels = [FrequentKeys(room) for room in rooms]
        self._width = width

    def __len__(self) -> int:
        return sum(map(len, self._levels)) + 1

    def bounded(self, key: tuple[str, ...]) -> tuple[str, ...]:
        """Return the combination that a call with these labels is counted under.

        Not safe across threads: its owner holds a lock.
        """
        for given_up, level in enumerate(self._levels):
            kept = key[: self._width - given_up] + (OTHER,) * given_up
            if level.admits(kept):
                return kept
        return (OTHER,) * self._width
