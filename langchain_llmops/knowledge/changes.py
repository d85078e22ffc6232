"""What a synchronisation would change: counted, and kept on disk until applied."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Literal, NamedTuple

from langchain_core.documents import Document

from langchain_llmops.knowledge.fingerprints import canonical_metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType
    from typing import Self

__all__ = ["Change", "ChangeKind", "ChangeSet", "ChangeSpool", "PlannedChange"]

ChangeKind = Literal["new", "content", "metadata", "deleted"]

_TABLE = """
CREATE TABLE changes (
    place INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, kind TEXT NOT NULL,
    replaces INTEGER, content BLOB, metadata BLOB, regions TEXT, document TEXT
)
"""
_INSERT = "INSERT INTO changes VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)"
_BATCH = "SELECT * FROM changes WHERE place > ? ORDER BY place LIMIT ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One document that is not as it was.

    Args:
        id: The document's id.
        kind: `new`; `content`, which is embedded again; `metadata` (or its regions),
            which is not; `deleted`.
    """

    id: str
    kind: ChangeKind


class PlannedChange(NamedTuple):
    """A change with all that applying it takes."""

    place: int
    name: str
    kind: ChangeKind
    replaces: int | None
    content: bytes | None
    metadata: bytes | None
    regions: str | None
    document: str | None

    def read(self, stored_id: str) -> Document:
        """Return the document, under the id that it gets in the stores."""
        return read_document(self.document or "", stored_id)


def write_document(document: Document) -> str:
    """Return a document as JSON, without its id."""
    # Both halves are JSON already; metadata were checked when they were hashed.
    text = json.dumps(document.page_content)
    return f"[{text},{canonical_metadata(document.metadata, document.id)}]"


def read_document(text: str, stored_id: str) -> Document:
    """Return what `write_document` wrote, under another id."""
    content, metadata = json.loads(text)
    return Document(id=stored_id, page_content=content, metadata=metadata)


class ChangeSpool:
    """Changes in a temporary file of this process, which nobody else can open.

    However many there are, little memory is taken. Safe across threads.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        # An empty name: SQLite's own temporary database, gone when it is closed.
        self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._file.execute(_TABLE)
        self._file.execute("BEGIN")  # never committed: nobody else will read it

    def add(self, changes: Sequence[tuple[object, ...]]) -> None:
        """Add changes: all columns but the place.

        Raises:
            sqlite3.IntegrityError: A name is there already.
        """
        with self._lock:
            self._file.executemany(_INSERT, changes)

    def has(self, names: Sequence[str]) -> set[str]:
        """Return which of these names are there already."""
        marks = ",".join("?" * len(names))
        query = f"SELECT name FROM changes WHERE name IN ({marks})"  # noqa: S608 - marks
        with self._lock:
            return {name for (name,) in self._file.execute(query, names)}

    def batches(self, size: int) -> Iterator[list[PlannedChange]]:
        """Yield the changes in the order of the source, deletions last."""
        place = 0
        while rows := self._page(place, size):
            place = rows[-1].place
            yield rows

    def close(self) -> None:
        """Delete the file; the changes can no longer be applied."""
        with self._lock:
            self._file.close()

    def _page(self, place: int, size: int) -> list[PlannedChange]:
        with self._lock:
            return [
                PlannedChange(*row) for row in self._file.execute(_BATCH, (place, size))
            ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSet:
    """What `apply` would do: made by `plan`, which changes nothing.

    Iterating yields each `Change`. The documents wait in a temporary file, so memory
    does not grow with them; `close()`, or leaving a `with` block, deletes it, as does
    the end of the process.

    Args:
        base: The version that the source was compared with.
        known: Documents of that version.
        documents: Documents of the source.
        unchanged: Those that stay as they are: neither embedded nor written.
        new: Those that are new.
        content: Those whose text is another.
        metadata: Those of whom only metadata or regions are; they are not embedded.
        deleted: Known documents that the source no longer has.
        repeated: Documents without an id that stood in the source more than once.
        spool: Where they wait.
    """

    base: int
    known: int
    documents: int
    unchanged: int
    new: int
    content: int
    metadata: int
    deleted: int
    repeated: int
    spool: ChangeSpool

    @property
    def changed(self) -> int:
        """How many documents would be written or deleted."""
        return self.new + self.content + self.metadata + self.deleted

    def __iter__(self) -> Iterator[Change]:
        for batch in self.spool.batches(500):
            for row in batch:
                yield Change(id=row.name, kind=row.kind)

    def __str__(self) -> str:
        return (
            f"{self.new:,} new, {self.content:,} with other content, "
            f"{self.metadata:,} with other metadata, {self.deleted:,} deleted, "
            f"{self.unchanged:,} unchanged"
        )

    def close(self) -> None:
        """Delete the temporary file; the changes can no longer be applied."""
        self.spool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
