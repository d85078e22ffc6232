"""Rows on disk before they are in the database, so that a killed process loses none.

Each process appends to a file of its own, holding a lock on it as long as it lives. A
file whose lock is free belongs to a process that died: whoever finds it brings its rows
in. A row that is in the database already counts once, so no moment to die is a bad one.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from langchain_llmops.cost.ledger.rows import CallRow, UnitPrice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

try:
    import fcntl
except ModuleNotFoundError:  # pragma: no cover - Windows
    fcntl = None  # type: ignore[assignment]

__all__ = ["Journal", "is_supported", "recover"]

_SUFFIX = ".journal"
_UNBORN = ".new"


class _Segment(NamedTuple):
    path: Path
    descriptor: int

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)  # and with it the lock


class Journal:
    """The journal of one process; its owner holds a lock around every method.

    Args:
        folder: Where the files are; made if needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._current: _Segment | None = None
        self._cut: list[_Segment] = []

    def append(self, row: CallRow) -> None:
        """Hand a row to the operating system, which keeps it if the process dies.

        Takes some ten microseconds: a write to memory that the system brings to the
        disk when it likes.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        if self._current is None:
            self._current = self._opened()
        # A line break first: whatever was cut off before it stands alone.
        line = b"\n" + _line(row)
        if os.write(self._current.descriptor, line) != len(line):
            raise OSError("a row was cut off: the disk is full")

    def cut(self) -> None:
        """Start a new file: `discard` will remove all rows that are there now."""
        if self._current is not None:
            self._cut.append(self._current)
            self._current = None

    def discard(self) -> None:
        """Remove the files that were cut off: their rows are in the database."""
        while self._cut:
            self._cut.pop().remove()

    def abandon(self) -> None:
        """Let go of files that belong to the parent of this forked process."""
        self.cut()
        while self._cut:
            os.close(self._cut.pop().descriptor)

    def _opened(self) -> _Segment:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{os.getpid()}-{uuid4().hex}{_SUFFIX}"
        unborn = path.with_suffix(_UNBORN)
        # A regular file never keeps a writer waiting; the flag says so to those who
        # watch event loops.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NONBLOCK
        descriptor = os.open(unborn, flags, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Only now can others see it, and it is locked.
        unborn.rename(path)
        return _Segment(path, descriptor)


def is_supported() -> bool:
    """Say whether this system can tell a dead process's files: POSIX ones can."""
    return fcntl is not None


def recover(folder: Path, write: Callable[[Iterable[CallRow]], object]) -> int:
    """Bring in the rows of processes that died; return how many there were.

    Safe when several processes do it at once.

    Args:
        folder: Where the files are; nothing happens if it is missing.
        write: Puts rows into the database, or raises; then the file stays.

    Raises:
        OSError: A file cannot be read.
    """
    count = 0
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        try:
            descriptor = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue  # somebody else was faster
        try:
            if _is_free(descriptor):
                rows = _rows(path.read_bytes())
                if rows:
                    write(rows)
                path.unlink(missing_ok=True)
                count += len(rows)
        except FileNotFoundError:
            continue
        finally:
            os.close(descriptor)
    return count


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _line(row: CallRow) -> bytes:
    return json.dumps((row.run_id.hex(), *row[1:])).encode()


def _rows(content: bytes) -> list[CallRow]:
    return [row for line in content.splitlines() if line and (row := _row(line))]


def _row(line: bytes) -> CallRow | None:
    """Read a line; one that was cut off never became a row."""
    try:
        run_id, *middle, price = json.loads(line)
        unit_price = None if price is None else UnitPrice(*price)
        return CallRow._make((bytes.fromhex(run_id), *middle, unit_price))
    except (ValueError, TypeError):
        return None
