"""Questions and their vectors on disk, so that they outlive the process.

A vector is worth a call to an embedding model, and an index that starts empty serves
nothing for hours. The table is a log: each process appends what it learns and reads
what the others appended since.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np
from sqlalchemy import (
    Boolean,
    Column,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    bindparam,
    delete,
    select,
)
from sqlalchemy.dialects.sqlite import insert

from langchain_llmops.caching.semantic.index import LoggedQuestion
from langchain_llmops.errors import StorageError
from langchain_llmops.storage.engine import create_tables, open_engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from sqlalchemy import Delete


__all__ = ["QuestionLog"]

_SWEEP_EVERY: Final = 256
_BATCH: Final = 500

_METADATA = MetaData()
_QUESTIONS = Table(
    "llmops_questions",
    _METADATA,
    # Without AUTOINCREMENT a number could come back after its row was deleted.
    Column("seq", Integer, primary_key=True),
    Column("embedding", String, nullable=False),
    Column("key", String, nullable=False),
    Column("partition", String, nullable=False),
    Column("question", String, nullable=False),
    Column("vector", LargeBinary, nullable=False),
    Column("quarantined", Boolean, nullable=False),
    UniqueConstraint("embedding", "key"),
    sqlite_autoincrement=True,
)
_CALIBRATIONS = Table(
    "llmops_question_calibrations",
    _METADATA,
    Column("embedding", String, primary_key=True),
    Column("record", String, nullable=False),
)
_APPEND = insert(_QUESTIONS).prefix_with("OR REPLACE")
_AFTER = (
    select(_QUESTIONS)
    .where(
        _QUESTIONS.c.embedding == bindparam("embedding"),
        _QUESTIONS.c.seq > bindparam("seq"),
    )
    .order_by(_QUESTIONS.c.seq)
)


_KEEP = insert(_CALIBRATIONS).prefix_with("OR REPLACE")
_KEPT = select(_CALIBRATIONS.c.record).where(
    _CALIBRATIONS.c.embedding == bindparam("embedding")
)


class QuestionLog:
    """Questions of one embedding model in a SQLite file that processes may share.

    Methods block and raise what the database raises. Safe across threads and forks.

    Args:
        path: The file; made with its folder if it is not there.
        embedding: Identity of the model; vectors of another are never returned.
        max_entries: How many questions of the model are kept; checked now and then.

    Raises:
        StorageError: The file cannot be used: not a database, locked, read-only.
    """

    def __init__(self, path: str | Path, *, embedding: str, max_entries: int) -> None:
        self._embedding = embedding
        self._max_entries = max_entries
        self._engine = open_engine(path, busy_timeout_s=1.0)
        try:
            create_tables(self._engine, _METADATA)
        except StorageError:
            self._engine.dispose()
            raise
        self._lock = Lock()
        self._writes = 0
        self._seq = 0

    def append(self, question: LoggedQuestion) -> None:
        """Write a question, in place of the one with its key."""
        row = {
            **question._asdict(),
            "embedding": self._embedding,
            "vector": question.vector.astype(np.float16).tobytes(),
        }
        with self._lock:
            sweep = self._writes % _SWEEP_EVERY == 0
            self._writes += 1
        with self._engine.begin() as connection:
            connection.execute(_APPEND, row)
            if sweep:
                connection.execute(self._surplus())

    def forget(self, keys: Sequence[str]) -> None:
        """Remove questions."""
        with self._engine.begin() as connection:
            for start in range(0, len(keys), _BATCH):
                connection.execute(
                    delete(_QUESTIONS).where(
                        _QUESTIONS.c.embedding == self._embedding,
                        _QUESTIONS.c.key.in_(keys[start : start + _BATCH]),
                    )
                )

    def news(self) -> Iterator[LoggedQuestion]:
        """Yield what was written since this was last called, by any process.

        The first call yields the whole log. A caller that stops half-way gets the rest
        the next time. Not for two threads at once.
        """
        with self._engine.connect() as connection:
            rows = connection.execution_options(yield_per=_BATCH).execute(
                _AFTER, {"embedding": self._embedding, "seq": self._seq}
            )
            for row in rows:
                yield LoggedQuestion(
                    key=row.key,
                    partition=row.partition,
                    question=row.question,
                    vector=np.frombuffer(row.vector, np.float16).astype(np.float32),
                    quarantined=row.quarantined,
                )
                self._seq = row.seq

    def rewind(self) -> None:
        """Let `news` begin at the first question again."""
        self._seq = 0

    def calibration(self) -> str | None:
        """Return the record that was kept last; `None` if there is none."""
        with self._engine.connect() as connection:
            record = connection.scalar(_KEPT, {"embedding": self._embedding})
        return None if record is None else str(record)

    def keep_calibration(self, record: str) -> None:
        """Keep a record, in place of the one before."""
        with self._engine.begin() as connection:
            connection.execute(_KEEP, {"embedding": self._embedding, "record": record})

    def clear(self) -> None:
        """Remove every question of the model."""
        with self._engine.begin() as connection:
            connection.execute(
                delete(_QUESTIONS).where(_QUESTIONS.c.embedding == self._embedding)
            )

    def close(self) -> None:
        """Close the connections; the questions stay."""
        self._engine.dispose()

    def _surplus(self) -> Delete:
        mine = _QUESTIONS.c.embedding == self._embedding
        kept = (
            select(_QUESTIONS.c.seq)
            .where(mine)
            .order_by(_QUESTIONS.c.seq.desc())
            .offset(self._max_entries)
            .limit(1)
            .scalar_subquery()
        )
        return delete(_QUESTIONS).where(mine, _QUESTIONS.c.seq <= kept)
