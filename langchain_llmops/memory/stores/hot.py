"""Rows that this process has seen lately, so that they need not travel again."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.memory.stores.log import Row

__all__ = ["HotRows"]

_ROW_BYTES: Final = 200
"""What a row takes beside its body, roughly."""


@dataclass(slots=True)
class _Run:
    """Rows of one life of a session, without holes, from `first` on."""

    first: int
    rows: list[Row] = field(default_factory=list)
    size: int = 0


class HotRows:
    """An LRU of runs of rows, bounded in bytes.

    Rows never change, and belong to one life of a session, so what is here is right for
    as long as the session lives: no other process can make it stale. Whether it still
    lives is for the caller to know. Safe across threads.

    Args:
        max_bytes: What all rows together may take, roughly.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._runs: OrderedDict[str, _Run] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, born: str, start: int, stop: int) -> list[Row]:
        """Return what is known of a range: rows without holes, maybe none."""
        with self._lock:
            run = self._runs.get(born)
            if run is None:
                return []
            self._runs.move_to_end(born)
            begin = max(start, run.first)
            return run.rows[begin - run.first : max(begin, stop) - run.first]

    def put(self, born: str, rows: Sequence[Row]) -> None:
        """Keep rows without holes; those that do not meet the known ones replace them.

        What is newest in a session stays if a session alone is too large.
        """
        if not rows:
            return
        with self._lock:
            run = self._runs.pop(born, None) or _Run(rows[0].seq)
            self._size -= run.size
            _join(run, rows)
            self._runs[born] = run
            self._size += run.size
            while self._size > self._max_bytes and len(self._runs) > 1:
                self._size -= self._runs.popitem(last=False)[1].size
            if self._size > self._max_bytes:
                self._size -= _shorten(run, self._size - self._max_bytes)

    def drop(self, born: str) -> None:
        """Forget a session."""
        with self._lock:
            run = self._runs.pop(born, None)
            if run is not None:
                self._size -= run.size


def _join(run: _Run, rows: Sequence[Row]) -> None:
    end, first = run.first + len(run.rows), rows[0].seq
    if run.first <= first <= end:
        added = rows[end - first :]
        run.rows.extend(added)
    elif first < run.first <= first + len(rows):
        added = rows[: run.first - first]
        beyond = rows[end - first :]  # it reaches over both ends
        run.rows[:0] = added
        run.rows.extend(beyond)
        run.first, added = first, [*added, *beyond]
    else:
        run.first, run.rows, run.size, added = first, list(rows), 0, rows
    run.size += sum(map(_size, added))


def _shorten(run: _Run, excess: int) -> int:
    freed = cut = 0
    while freed < excess and cut < len(run.rows):
        freed += _size(run.rows[cut])
        cut += 1
    del run.rows[:cut]
    run.first += cut
    run.size -= freed
    return freed


def _size(row: Row) -> int:
    return len(row.body) + _ROW_BYTES
