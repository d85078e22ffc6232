"""Which items go into the next batch, and when: a policy without clock or threads."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = ["BatchEntry", "BatchLimits", "BatchQueue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """How large a batch may be, and how long it may be waited for.

    Attributes:
        max_batch: Items in one batch at most.
        max_wait_s: Seconds that a batch which is not full waits for more items.
        max_tokens: Tokens in one batch at most; a larger item goes alone.
    """

    max_batch: int
    max_wait_s: float = 0.0
    max_tokens: int | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class BatchEntry:
    """One item that waits for its batch.

    Attributes:
        item: What goes to the function.
        group: Only entries of an equal group share a batch.
        arrived: Seconds on the queue's clock.
        rank: When its turn is: its arrival, and the seconds it lets others pass.
        tokens: Its size.
        key: What it asks for; `None` for what is like nothing else.
        waiters: Who gets the result; the queue does not look at them.
    """

    item: Any
    group: Hashable
    arrived: float
    rank: float
    tokens: int = 0
    key: Hashable | None = None
    waiters: list[Any] = field(default_factory=list)


class _Group:
    """Entries that may share a batch: by arrival, and by rank."""

    __slots__ = ("by_rank", "tokens", "waiting")

    def __init__(self) -> None:
        self.waiting: dict[BatchEntry, None] = {}  # the first one is the oldest
        # Entries that left stay in the heap until they come up.
        self.by_rank: list[tuple[float, int, BatchEntry]] = []
        self.tokens = 0

    def head(self) -> tuple[float, int]:
        while self.by_rank[0][2] not in self.waiting:
            heapq.heappop(self.by_rank)
        return self.by_rank[0][:2]

    def remove(self, entry: BatchEntry) -> None:
        del self.waiting[entry]
        self.tokens -= entry.tokens


class BatchQueue:
    """Entries in line for a batch; whoever uses it brings the clock and the lock.

    A batch holds entries of one group, by rank: the group whose first entry has the
    lowest rank goes first among those that are ready. A group is ready once it fills a
    batch, or once its oldest entry has waited `max_wait_s`. Nothing overtakes an entry
    that does not fit into the rest of a batch, so that large ones do not starve.

    Not thread-safe. `push` costs the logarithm of the group's length, `take` that much
    per entry and one look at each group.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self._limits = limits
        self._groups: dict[Hashable, _Group] = {}
        self._pushed = 0

    def __bool__(self) -> bool:
        return bool(self._groups)

    def push(self, entry: BatchEntry) -> None:
        """Put an entry in line."""
        group = self._groups.get(entry.group)
        if group is None:
            group = self._groups[entry.group] = _Group()
        group.waiting[entry] = None
        group.tokens += entry.tokens
        self._pushed += 1
        heapq.heappush(group.by_rank, (entry.rank, self._pushed, entry))

    def hurry(self, entry: BatchEntry, rank: float) -> None:
        """Give a waiting entry a lower rank; a higher one changes nothing."""
        group = self._groups.get(entry.group)
        if group is None or entry not in group.waiting or rank >= entry.rank:
            return
        entry.rank = rank
        self._pushed += 1
        heapq.heappush(group.by_rank, (rank, self._pushed, entry))

    def remove(self, entry: BatchEntry) -> None:
        """Take an entry out of the line, if it is still there."""
        group = self._groups.get(entry.group)
        if group is None or entry not in group.waiting:
            return
        group.remove(entry)
        if not group.waiting:
            del self._groups[entry.group]

    def ready_in(self, now: float) -> float | None:
        """Return in how many seconds a batch is ready; `None` if nothing waits."""
        if not self._groups:
            return None
        return min(self._delay(group, now) for group in self._groups.values())

    def take(self, now: float) -> list[BatchEntry]:
        """Take the next batch out of the line; empty if none is ready."""
        ready = [
            (group.head(), key)
            for key, group in self._groups.items()
            if self._delay(group, now) <= 0
        ]
        if not ready:
            return []
        key = min(ready, key=lambda pair: pair[0])[1]
        group = self._groups[key]
        batch: list[BatchEntry] = []
        room = self._limits.max_tokens
        while group.waiting and len(batch) < self._limits.max_batch:
            group.head()
            entry = group.by_rank[0][2]
            if batch and room is not None and entry.tokens > room:
                break
            heapq.heappop(group.by_rank)
            group.remove(entry)
            batch.append(entry)
            room = None if room is None else room - entry.tokens
        if not group.waiting:
            del self._groups[key]
        return batch

    def _delay(self, group: _Group, now: float) -> float:
        limits = self._limits
        if len(group.waiting) >= limits.max_batch or (
            limits.max_tokens is not None and group.tokens >= limits.max_tokens
        ):
            return 0.0
        oldest = next(iter(group.waiting))
        # Compared as a point in time: `now` plus what is left must reach it exactly.
        due = oldest.arrived + limits.max_wait_s
        return 0.0 if now >= due else due - now
