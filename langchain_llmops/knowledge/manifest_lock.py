"""One synchronisation at a time, across processes; a killed one holds nothing."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from langchain_llmops.errors import StorageError
from langchain_llmops.knowledge.sync_errors import KnowledgeBaseBusyError
from langchain_llmops.storage import storage_error

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from langchain_llmops.knowledge.manifest import Manifest

__all__ = ["ManifestLock"]


class ManifestLock:
    """Who may change a knowledge base: the one that holds this.

    With SQLite it is a transaction on a file of its own beside the manifest, with
    PostgreSQL an advisory lock of a connection. Both are gone the moment their process
    is, so there is no lease to wait for and no clock to trust. Blocks; one thread may
    take it and another release it.

    Args:
        manifest: What to lock.
        wait_s: Seconds to wait for another holder.
    """

    def __init__(self, manifest: Manifest, wait_s: float) -> None:
        self._manifest = manifest
        self._wait_s = wait_s
        self._file: sqlite3.Connection | None = None
        self._connection: Connection | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            KnowledgeBaseBusyError: Another one kept it for too long.
        """
        if self._manifest.engine.dialect.name == "sqlite":
            self._acquire_file()
        else:
            self._acquire_advisory()

    def release(self) -> None:
        """Give the lock back."""
        if self._file is not None:
            self._file.close()
            self._file = None
        if self._connection is not None:
            # Not back into the pool: the lock belongs to the connection.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def _acquire_file(self) -> None:
        path = f"{self._manifest.engine.url.database}.lock"
        try:
            file = sqlite3.connect(
                path,
                timeout=self._wait_s,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise StorageError(
                f"the lock {path!r} cannot be made ({error}): make its folder writable"
            ) from error
        try:
            file.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            file.close()
            raise self._busy() from error
        self._file = file

    def _acquire_advisory(self) -> None:
        engine = self._manifest.engine
        connection: Connection | None = None
        try:
            connection = engine.connect().execution_options(
                isolation_level="AUTOCOMMIT"
            )
            limit = max(1, int(self._wait_s * 1000))
            connection.exec_driver_sql(f"SET lock_timeout = {limit}")
            connection.exec_driver_sql(
                f"SELECT pg_advisory_lock({self._manifest.lock_key})"
            )
        except DBAPIError as error:
            if connection is not None:
                connection.invalidate()
                connection.close()
            if getattr(error.orig, "sqlstate", None) == "55P03":  # lock_not_available
                raise self._busy() from error
            raise storage_error(engine, error) from error
        self._connection = connection

    def _busy(self) -> KnowledgeBaseBusyError:
        return KnowledgeBaseBusyError(
            f"another synchronisation of {self._manifest.kb!r} is under way and did "
            f"not end within {self._wait_s:g} s: let it end, then plan again"
        )
