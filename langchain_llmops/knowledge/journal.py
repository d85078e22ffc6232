"""What is written into a manifest, each step of a synchronisation in one transaction.

The order makes it a journal: what will stand in the stores is written here before it is
written there, and readers are switched by one statement at the end. Whatever a process
was doing when it died, the version it was staging is known, shown to nobody, and can
be cleared away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import delete, func, insert, select, update

from langchain_llmops.knowledge.sync_errors import StaleVersionError
from langchain_llmops.knowledge.tables import (
    BASES,
    ITEMS,
    OWED,
    REGIONS,
    REMOVED,
    VERSIONS,
)
from langchain_llmops.knowledge.view import shadow_id

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from sqlalchemy import Connection

    from langchain_llmops.knowledge.manifest import Manifest, State

__all__ = ["Garbage", "Journal"]

_CHUNK = 500


class Garbage(NamedTuple):
    """What a store holds and nobody reads."""

    seq: int
    stored_id: str
    regions: str


class Journal:
    """The writing side of a manifest. Blocks; call it under the manifest's lock.

    Args:
        manifest: Where to write.
        clock: Seconds since the epoch.
    """

    def __init__(self, manifest: Manifest, clock: Callable[[], float]) -> None:
        self._manifest = manifest
        self._kb = manifest.kb
        self._clock = clock

    def begin(self, base: int, documents: int) -> int:
        """Open a version on top of another, and return its number."""
        with self._manifest.begin() as connection:
            highest = connection.execute(
                select(func.max(VERSIONS.c.version)).where(VERSIONS.c.kb == self._kb)
            ).scalar()
            version = int(highest or 0) + 1
            connection.execute(
                insert(VERSIONS).values(
                    kb=self._kb,
                    version=version,
                    parent=base,
                    state="staging",
                    documents=documents,
                    created_at=self._clock(),
                )
            )
        return version

    def record(
        self, version: int, items: Sequence[dict[str, Any]], removed: Sequence[int]
    ) -> None:
        """Write down what a version adds, and which items it removes."""
        with self._manifest.begin() as connection:
            if items:
                rows = [{**item, "kb": self._kb, "added": version} for item in items]
                connection.execute(insert(ITEMS), rows)
            if removed:
                connection.execute(
                    insert(REMOVED),
                    [{"kb": self._kb, "version": version, "seq": s} for s in removed],
                )

    def owe(self, region: str, version: int, rows: Iterable[tuple[str, str]]) -> None:
        """Write down documents that a region has to be given later."""
        values = [
            {
                "kb": self._kb,
                "region": region,
                "version": version,
                "name": name,
                "document": document,
            }
            for name, document in rows
        ]
        if values:
            with self._manifest.begin() as connection:
                connection.execute(insert(OWED), values)

    def switch(
        self, version: int, base: int, regions: Collection[str], sample: bytes | None
    ) -> None:
        """Show a version to the readers of these regions, all in one transaction.

        Raises:
            StaleVersionError: Somebody else changed the knowledge base meanwhile.
        """
        with self._manifest.begin() as connection:
            ready = connection.execute(
                update(VERSIONS)
                .where(*self._is(version), VERSIONS.c.state == "staging")
                .values(state="ready")
            )
            values: dict[str, Any] = {"active": version}
            if sample is not None:
                values["sample"] = sample
            moved = connection.execute(
                update(BASES)
                .where(BASES.c.kb == self._kb, BASES.c.active == base)
                .values(values)
            )
            if ready.rowcount != 1 or moved.rowcount != 1:
                # Leaving the transaction by an error undoes what it did.
                raise StaleVersionError(
                    f"{self._kb!r} was changed while version {version} was staged: "
                    "plan again"
                )
            self._point(connection, regions, version)

    def move(self, version: int, regions: Collection[str]) -> None:
        """Go back, or forth, to a version that is ready."""
        with self._manifest.begin() as connection:
            connection.execute(
                update(BASES).where(BASES.c.kb == self._kb).values(active=version)
            )
            self._point(connection, regions, version)

    def fail(self, version: int) -> None:
        """Give a version that was being staged up."""
        with self._manifest.begin() as connection:
            connection.execute(
                update(VERSIONS)
                .where(*self._is(version), VERSIONS.c.state == "staging")
                .values(state="failed")
            )
            for table in (REMOVED, OWED):
                connection.execute(
                    delete(table).where(
                        table.c.kb == self._kb, table.c.version == version
                    )
                )

    def drop(self, versions: Collection[int]) -> None:
        """Have versions never read again; to be done before their documents go."""
        with self._manifest.begin() as connection:
            connection.execute(
                update(VERSIONS)
                .where(VERSIONS.c.kb == self._kb, VERSIONS.c.version.in_(versions))
                .values(state="dropped")
            )

    def forget(self, seqs: Sequence[int]) -> None:
        """Remove items that no store holds any longer."""
        with self._manifest.begin() as connection:
            for start in range(0, len(seqs), _CHUNK):
                part = seqs[start : start + _CHUNK]
                same = (
                    select(ITEMS.c.seq)
                    .where(
                        ITEMS.c.seq.in_(part),
                        ITEMS.c.kb == OWED.c.kb,
                        ITEMS.c.name == OWED.c.name,
                        ITEMS.c.added == OWED.c.version,
                    )
                    .exists()
                )
                # Given to a region later, it would be shown there for ever.
                connection.execute(delete(OWED).where(same))
                connection.execute(delete(REMOVED).where(REMOVED.c.seq.in_(part)))
                connection.execute(delete(ITEMS).where(ITEMS.c.seq.in_(part)))

    def owed(
        self, region: str, versions: Collection[int], size: int
    ) -> list[tuple[int, str, str]]:
        """Return some of what a region has to be given: version, name, document."""
        with self._manifest.begin() as connection:
            rows = connection.execute(
                select(OWED.c.version, OWED.c.name, OWED.c.document)
                .where(
                    OWED.c.kb == self._kb,
                    OWED.c.region == region,
                    OWED.c.version.in_(versions),
                )
                .order_by(OWED.c.version, OWED.c.name)
                .limit(size)
            )
            return [(version, name, text) for version, name, text in rows]

    def paid(self, region: str, keys: Iterable[tuple[int, str]]) -> None:
        """Forget what a region was given."""
        with self._manifest.begin() as connection:
            for version, name in keys:
                connection.execute(
                    delete(OWED).where(
                        OWED.c.kb == self._kb,
                        OWED.c.region == region,
                        OWED.c.version == version,
                        OWED.c.name == name,
                    )
                )

    def point(self, regions: Collection[str], version: int) -> None:
        """Show a version to the readers of these regions."""
        with self._manifest.begin() as connection:
            self._point(connection, regions, version)

    def announced(self, version: int) -> None:
        """Note that `on_switch` was told."""
        with self._manifest.begin() as connection:
            connection.execute(
                update(BASES).where(BASES.c.kb == self._kb).values(announced=version)
            )

    def leftovers(self) -> list[Garbage]:
        """Return what versions that were given up may have left in the stores."""
        query = (
            select(ITEMS.c.seq, ITEMS.c.name, ITEMS.c.added, ITEMS.c.regions)
            .join(
                VERSIONS,
                (VERSIONS.c.kb == ITEMS.c.kb) & (VERSIONS.c.version == ITEMS.c.added),
            )
            .where(ITEMS.c.kb == self._kb, VERSIONS.c.state == "failed")
        )
        with self._manifest.begin() as connection:
            return [
                Garbage(seq, shadow_id(name, added), regions)
                for seq, name, added, regions in connection.execute(query)
            ]

    def garbage(self, state: State, kept: Collection[int]) -> list[Garbage]:
        """Return what no kept version shows."""
        lineages = [state.lineage(version) for version in kept]
        newest = state.lineage(state.active)
        gone: dict[int, set[int]] = {}
        candidates: dict[int, tuple[str, int, str]] = {}
        query = (
            select(
                ITEMS.c.seq,
                ITEMS.c.name,
                ITEMS.c.added,
                ITEMS.c.regions,
                REMOVED.c.version,
            )
            .outerjoin(REMOVED, REMOVED.c.seq == ITEMS.c.seq)
            .where(
                ITEMS.c.kb == self._kb,
                REMOVED.c.version.is_not(None) | ITEMS.c.added.not_in(newest),
            )
        )
        with self._manifest.begin() as connection:
            for seq, name, added, regions, removed in connection.execute(query):
                candidates[seq] = (name, added, regions)
                gone.setdefault(seq, set()).add(removed)
        return [
            Garbage(seq, shadow_id(name, added), regions)
            for seq, (name, added, regions) in candidates.items()
            if not any(added in line and not gone[seq] & line for line in lineages)
        ]

    def _point(
        self, connection: Connection, regions: Collection[str], version: int
    ) -> None:
        connection.execute(
            update(REGIONS)
            .where(REGIONS.c.kb == self._kb, REGIONS.c.region.in_(regions))
            .values(active=version)
        )

    def _is(self, version: int) -> tuple[Any, Any]:
        return VERSIONS.c.kb == self._kb, VERSIONS.c.version == version
