"""UsageLedger: every call's cost as a durable row."""

from __future__ import annotations

import asyncio
import os
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, get_args

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from langchain_llmops.cost.ledger.batch_writer import BatchWriter
from langchain_llmops.cost.ledger.journal import is_supported
from langchain_llmops.cost.ledger.store import LedgerStore
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import URL, Engine

    from langchain_llmops.cost.charge import Charge, ChargeSource

__all__ = ["Durability", "LedgerStatus", "UsageLedger"]

Durability: TypeAlias = Literal["batched", "journal", "commit"]
"""What a call waits for before it goes on; see `UsageLedger`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerStatus:
    """What became of this process's charges so far.

    Attributes:
        written: Rows that were added.
        known: Rows that the ledger had already, and which count once.
        queued: Rows that are not in the database yet.
        dropped: Rows that were lost, since too many waited.
        failures: Attempts to write that failed.
        under_way: Calls that have not ended, as far as anybody knows. Those that are
            left at the end become rows marked `unsettled`.
        last_error: Why the last attempt that failed did.
    """

    written: int
    known: int
    queued: int
    dropped: int
    failures: int
    under_way: int
    last_error: str | None


class UsageLedger:
    """Keeps a row for every call: what it used and cost, for whom, at which prices.

    Give it to `CostCallbackHandler(ledger)`, or call `record` yourself. Rows are keyed
    by run id, so that a call counts once however often it is recorded. Sums by hour and
    by day are kept in the same transaction: they always equal the rows, and
    `CostAnalyzer` reads them in milliseconds. Several processes may share a ledger.

    What a call waits for is yours to choose (`durability`):

    - `batched`: nothing. A thread writes once a second. `kill -9` loses what was
      recorded since its last write: a second's worth, or more while the database is
      away. A normal exit, Ctrl-C or an exception lose nothing.
    - `journal`: a write of a few hundred bytes to a local file, some ten microseconds,
      never for the database. `kill -9` loses nothing that `record` returned for; the
      next process that uses the ledger brings the rows in. POSIX only.
    - `commit`: the transaction. `kill -9` loses nothing that `record` returned for. On
      a thread whose event loop runs it would stop every other task, so that there the
      row is only queued, as with `batched`.

    None of them counts a row twice. A power cut may take the last rows in each mode: a
    SQLite file is not synced on each commit, nor is the journal.

    Recording never raises and never waits for the database (but in `commit`). While it
    is locked, read-only, full or gone, rows are kept in memory and tried again with
    longer and longer pauses, up to `max_queued`; further ones are dropped. `status`
    counts all of this; each kind of trouble is logged once.

    Safe across threads, event loops and forks. Making one touches no file.

    Args:
        url: A SQLAlchemy URL, or the path of a SQLite file. PostgreSQL needs the extra
            `postgres`.
        durability: See above.
        journal: Folder of the journal; beside the SQLite file by default. Processes
            that share a ledger share it.
        interval_s: Seconds that rows wait for more before they are written.
        batch_rows: Rows in one transaction.
        max_queued: Rows that may wait, about a kilobyte each.
        create: Whether tables that are missing are made. `False` for readers.

    Raises:
        ConfigurationError: The URL is malformed, a number is not positive, or a journal
            is asked for that cannot be.

    Example:
        ```python
        from langchain_core.language_models import FakeListChatModel
        from langchain_llmops import CostAnalyzer, CostCallbackHandler, UsageLedger

        with UsageLedger("sqlite:///llmops.db") as ledger:
            costs = CostCallbackHandler(ledger)
            model = FakeListChatModel(responses=["Hello!"])
            about = {"feature": "greeting", "tenant": "acme", "user": "ada"}
            model.invoke("Hi", {"callbacks": [costs], "metadata": about})
            analysis = CostAnalyzer(ledger).analyze(by=("feature",))
        assert analysis.groups[("greeting",)].calls == 1
        ```
    """

    def __init__(
        self,
        url: str | Path = "sqlite:///llmops.db",
        *,
        durability: Durability = "batched",
        journal: str | Path | None = None,
        interval_s: float = 1.0,
        batch_rows: int = 5_000,
        max_queued: int = 100_000,
        create: bool = True,
    ) -> None:
        if durability not in get_args(Durability):
            raise ConfigurationError(
                f"durability={durability!r}: choose from {get_args(Durability)!r}"
            )
        if min(interval_s, batch_rows, max_queued) <= 0:
            raise ConfigurationError(
                f"interval_s={interval_s!r}, batch_rows={batch_rows!r} and "
                f"max_queued={max_queued!r} must be more than 0"
            )
        self._url = _parsed(url)
        self._folder = _journal_folder(self._url, durability, journal)
        self._durability = durability
        self._interval_s = interval_s
        self._batch_rows = batch_rows
        self._max_queued = max_queued
        self._create = create
        self._writers: dict[int, BatchWriter] = {}

    @property
    def url(self) -> str:
        """Where the ledger is, without its password."""
        return self._url.render_as_string()

    def record(self, charge: Charge) -> None:
        """Keep a charge. Never raises; what it waits for is `durability`'s matter."""
        writer = self._writer()
        writer.put(charge)
        if self._durability == "commit" and not _loop_runs():
            writer.drain()

    def follow(self, source: ChargeSource) -> Callable[[], None]:
        """Count what a source sets aside on the ledger's thread.

        `CostCallbackHandler` calls this. A source is not kept alive by it.

        Args:
            source: Asked for its estimates before each write, and at the end for the
                calls that are still under way.

        Returns:
            To be called when the source has set something aside.
        """
        self._writer().follow(source)
        alive = weakref.ref(source)

        def nudge() -> None:
            if (holding := alive()) is not None:
                self._writer().nudge(holding)

        return nudge

    def flush(self) -> bool:
        """Write all that was recorded; say whether nothing is left.

        Never raises: `status().last_error` says what failed. Blocks.
        """
        return self._writer().flush()

    async def aflush(self) -> bool:
        """Write all that was recorded, as `flush` does, from a thread."""
        return await asyncio.to_thread(self.flush)

    def recover(self) -> int:
        """Bring in what killed processes left in the journal; return how many rows.

        The ledger's thread does this when it starts. Blocks.

        Raises:
            StorageError: The database cannot be used; nothing is lost.
            OSError: The journal cannot be read.
        """
        return self._writer().recover()

    def status(self) -> LedgerStatus:
        """Return what became of this process's charges; no I/O."""
        writer = self._writer()
        return LedgerStatus(
            written=writer.written,
            known=writer.known,
            queued=writer.queued,
            dropped=writer.dropped,
            failures=writer.failures,
            under_way=sum(len(source.under_way()) for source in writer.sources),
            last_error=writer.last_error,
        )

    def engine(self) -> Engine:
        """Return the database with its tables, for queries of your own. Blocks.

        Raises:
            ConfigurationError: There is no ledger and `create` is off.
            StorageError: The database cannot be used.
        """
        return self._writer().store.engine()

    def close(self) -> bool:
        """Write everything and let the database go; a later use opens it again.

        Calls under way become rows marked `unsettled`, which give way if their end is
        recorded after all. Runs by itself when the interpreter ends. Blocks.

        Returns:
            Whether everything was written.
        """
        return self._writer().close()

    async def aclose(self) -> bool:
        """Close as `close` does, from a thread."""
        return await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _writer(self) -> BatchWriter:
        """Return this process's writer: a fork has neither the thread nor the files."""
        found = self._writers.get(os.getpid())
        return self._new_writer() if found is None else found

    def _new_writer(self) -> BatchWriter:
        store = LedgerStore(
            self._url.render_as_string(hide_password=False), create=self._create
        )
        writer = BatchWriter(
            store,
            folder=self._folder,
            keeps_journal=self._durability == "journal",
            interval_s=self._interval_s,
            batch_rows=self._batch_rows,
            max_queued=self._max_queued,
        )
        ours = self._writers.setdefault(os.getpid(), writer)
        for pid in [pid for pid in self._writers if pid != os.getpid()]:
            inherited = self._writers.pop(pid, None)
            if inherited is not None:
                inherited.abandon()
                for source in inherited.sources:
                    ours.follow(source)
        return ours


def _parsed(url: str | Path) -> URL:
    text = os.fspath(url)
    if "://" not in text:
        return make_url("sqlite://").set(database=str(Path(text).expanduser()))
    try:
        parsed = make_url(text)
    except ArgumentError as error:
        raise ConfigurationError(
            f"{text!r} is not a database URL: use a file path, sqlite:///path "
            "or postgresql+psycopg://…"
        ) from error
    if parsed.get_backend_name() not in {"sqlite", "postgresql"}:
        raise ConfigurationError(
            f"{text!r} is neither SQLite nor PostgreSQL: the ledger keeps to these two"
        )
    return parsed


def _journal_folder(
    url: URL, durability: Durability, journal: str | Path | None
) -> Path | None:
    """Return where journals are; readers look there as well, whatever they write."""
    if not is_supported():
        if durability == "journal":
            raise ConfigurationError(
                "durability='journal' needs a POSIX system: use durability='commit'"
            )
        return None
    if journal is not None:
        return Path(journal)
    if url.get_backend_name() == "sqlite" and url.database not in {None, ":memory:"}:
        return Path(f"{url.database}.journal")
    if durability == "journal":
        raise ConfigurationError(
            f"durability='journal' with {url.render_as_string()!r} needs a folder on "
            "this machine: pass journal='/var/lib/…'"
        )
    return None


def _loop_runs() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
