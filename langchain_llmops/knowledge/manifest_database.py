"""The database of a manifest: opened on first use, its tables made, its rows there."""

from __future__ import annotations

import hashlib
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from langchain_llmops.errors import ConfigurationError, StorageError
from langchain_llmops.knowledge.tables import BASES, METADATA, REGIONS, SCHEMA_VERSION
from langchain_llmops.storage import create_tables, open_engine, storage_error

if TYPE_CHECKING:
    from collections.abc import Collection
    from contextlib import AbstractContextManager
    from types import TracebackType

    from sqlalchemy import Connection, Engine

__all__ = ["ManifestDatabase", "Transaction"]


class ManifestDatabase:
    """A SQLite file or a PostgreSQL database with the tables of knowledge bases.

    Opens on first use and makes what is missing. Blocks. Safe across threads.

    Args:
        url: SQLAlchemy URL, or the path of a SQLite file.
        kb: Name of the knowledge base.
        regions: Names of its regions.

    Raises:
        ConfigurationError: The URL is of a database in memory.
    """

    def __init__(self, url: str, kb: str, regions: Collection[str]) -> None:
        if ":memory:" in url or url in {"sqlite://", "sqlite:///"}:
            raise ConfigurationError(
                f"manifest={url!r} would forget what the stores hold: use a file, as "
                "in sqlite:///kb.db, or postgresql+psycopg://…"
            )
        self.kb = kb
        self._url = url
        self._regions = tuple(regions)
        self._lock = Lock()
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        """The engine; opened, and the tables made, on first use."""
        with self._lock:
            if self._engine is None:
                engine = open_engine(self._url)
                try:
                    create_tables(engine, METADATA)
                    self._enrol(engine)
                except BaseException:
                    engine.dispose()
                    raise
                self._engine = engine
            return self._engine

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        with self._lock:
            if self._engine is not None:
                self._engine.dispose()
                self._engine = None

    def begin(self) -> AbstractContextManager[Connection]:
        """Open a transaction whose errors are `StorageError`."""
        return Transaction(self.engine)

    @property
    def lock_key(self) -> int:
        """A number for the knowledge base, for locks of a database server."""
        digest = hashlib.blake2b(f"llmops-kb {self.kb}".encode(), digest_size=8)
        return int.from_bytes(digest.digest(), signed=True)

    def _enrol(self, engine: Engine) -> None:
        insert = (
            postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
        )
        base = {
            "kb": self.kb,
            "schema": SCHEMA_VERSION,
            "active": 0,
            "announced": 0,
            "sample": None,
        }
        with Transaction(engine) as connection:
            connection.execute(insert(BASES).values(base).on_conflict_do_nothing())
            schema, active = connection.execute(
                select(BASES.c.schema, BASES.c.active).where(BASES.c.kb == self.kb)
            ).one()
            if schema != SCHEMA_VERSION:
                raise StorageError(
                    f"the manifest of {self.kb!r} has format {schema!r}, this release "
                    f"knows {SCHEMA_VERSION}: use the release that wrote it"
                )
            known = set(
                connection.execute(
                    select(REGIONS.c.region).where(REGIONS.c.kb == self.kb)
                ).scalars()
            )
            new = sorted(set(self._regions) - known)
            if known and new and active:
                raise ConfigurationError(
                    f"regions {new!r} are new to {self.kb!r}, whose documents they do "
                    "not hold: give the knowledge base another name to fill them"
                )
            for region in new:
                connection.execute(
                    insert(REGIONS)
                    .values(kb=self.kb, region=region, active=0)
                    .on_conflict_do_nothing()
                )


class Transaction:
    """A transaction that tells what is wrong with the database in one sentence."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __enter__(self) -> Connection:
        try:
            self._open = self._engine.begin()
            return self._open.__enter__()
        except DBAPIError as error:
            raise storage_error(self._engine, error) from error

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._open.__exit__(kind, error, trace)
        except DBAPIError as failed:
            raise storage_error(self._engine, failed) from failed
        if isinstance(error, DBAPIError):
            raise storage_error(self._engine, error) from error
