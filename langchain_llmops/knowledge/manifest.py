"""What a manifest says: versions, what each shows, who reads which. It only reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import and_, bindparam, func, select

from langchain_llmops.errors import StorageError
from langchain_llmops.knowledge.manifest_database import ManifestDatabase
from langchain_llmops.knowledge.sync_errors import StaleVersionError
from langchain_llmops.knowledge.tables import (
    BASES,
    ITEMS,
    OWED,
    REGIONS,
    REMOVED,
    VERSIONS,
)
from langchain_llmops.knowledge.view import View, lineage, shadow_id

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from sqlalchemy import Connection, Select

__all__ = ["Item", "Manifest", "State", "VersionRow"]

_VIEWS = 8
"""Versions whose view is remembered: the ones that readers are on."""

_ITEM_COLUMNS = (
    ITEMS.c.seq,
    ITEMS.c.name,
    ITEMS.c.added,
    ITEMS.c.content,
    ITEMS.c.metadata,
    ITEMS.c.regions,
)


class Item(NamedTuple):
    """A document as the manifest knows it."""

    seq: int
    name: str
    added: int
    content: bytes
    metadata: bytes
    regions: str

    @property
    def stored_id(self) -> str:
        """Its id in the stores."""
        return shadow_id(self.name, self.added)


class VersionRow(NamedTuple):
    """A version: `staging`, then `ready` or `failed`; `dropped` when collected."""

    version: int
    parent: int
    state: str
    documents: int
    created_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Everything but the documents, as of one moment.

    Args:
        active: The version that is switched to; 0 before the first.
        announced: The last version that `on_switch` was told of.
        sample: How the embedding model embeds a fixed text, if it did yet.
        versions: By number.
        regions: The version that readers of a region see.
        owed: Documents that a region that was down has to be given.
        absent: Regions of the manifest for which this process has no store.
    """

    active: int
    announced: int
    sample: bytes | None
    versions: dict[int, VersionRow]
    regions: dict[str, int]
    owed: dict[str, int]
    absent: tuple[str, ...]

    def lineage(self, version: int) -> frozenset[int]:
        """Return a version and all that it descends from."""
        return lineage(
            {row.version: row.parent for row in self.versions.values()}, version
        )

    @property
    def documents(self) -> int:
        """How many documents the active version has."""
        return self.versions[self.active].documents if self.active else 0


class Manifest(ManifestDatabase):
    """The tables of one knowledge base in a SQLite file or a PostgreSQL database.

    Opens on first use and makes what is missing. Blocks. Safe across threads.

    Args:
        url: SQLAlchemy URL, or the path of a SQLite file.
        kb: Name of the knowledge base.
        regions: Names of its regions.
    """

    def __init__(self, url: str, kb: str, regions: Collection[str]) -> None:
        super().__init__(url, kb, regions)
        self._views: dict[int, View] = {}

    def state(self) -> State:
        """Return everything but the documents."""
        with self.begin() as connection:
            base = connection.execute(
                select(BASES.c.active, BASES.c.announced, BASES.c.sample).where(
                    BASES.c.kb == self.kb
                )
            ).one()
            versions = {
                row.version: VersionRow(*row)
                for row in connection.execute(
                    select(
                        VERSIONS.c.version,
                        VERSIONS.c.parent,
                        VERSIONS.c.state,
                        VERSIONS.c.documents,
                        VERSIONS.c.created_at,
                    ).where(VERSIONS.c.kb == self.kb)
                )
            }
            regions = self._pairs(
                connection,
                select(REGIONS.c.region, REGIONS.c.active).where(
                    REGIONS.c.kb == self.kb
                ),
            )
            owed = self._pairs(
                connection,
                select(OWED.c.region, func.count())
                .where(OWED.c.kb == self.kb)
                .group_by(OWED.c.region),
            )
        if not {base.active, *regions.values()} <= {0, *versions}:
            raise StorageError(
                f"the manifest of {self.kb!r} is damaged: a version that is read has "
                "no row; restore the database, or give another manifest and new stores"
            )
        return State(
            active=base.active,
            announced=base.announced,
            sample=base.sample,
            versions=versions,
            regions={
                name: active
                for name, active in regions.items()
                if name in self._regions
            },
            owed=owed,
            absent=tuple(sorted(set(regions) - set(self._regions))),
        )

    def active(self, region: str) -> int:
        """Return the version that readers of a region see now."""
        with self.begin() as connection:
            return int(
                connection.execute(
                    select(REGIONS.c.active).where(
                        REGIONS.c.kb == self.kb, REGIONS.c.region == region
                    )
                ).scalar_one()
            )

    def is_readable(self, version: int) -> bool:
        """Say whether a version's documents are still kept."""
        if not version:
            return True
        with self.begin() as connection:
            state = connection.execute(
                select(VERSIONS.c.state).where(
                    VERSIONS.c.kb == self.kb, VERSIONS.c.version == version
                )
            ).scalar()
        return state == "ready"

    def remembered_view(self, version: int) -> View | None:
        """Return what a version shows, if it was asked for before; does not block."""
        return self._views.get(version)

    def view(self, version: int) -> View:
        """Return what a version shows; remembered, since it never changes.

        Raises:
            StaleVersionError: There is no such version to read.
        """
        if (known := self.remembered_view(version)) is not None:
            return known
        state = self.state()
        row = state.versions.get(version)
        if version and (row is None or row.state != "ready"):
            raise StaleVersionError(
                f"version {version!r} of {self.kb!r} "
                f"{'does not exist' if row is None else f'is {row.state}'}: "
                "status() shows those that can be read"
            )
        ancestors = state.lineage(version)
        with self.begin() as connection:
            removed = frozenset(
                shadow_id(name, added)
                for name, added, gone in connection.execute(
                    select(ITEMS.c.name, ITEMS.c.added, REMOVED.c.version)
                    .join(REMOVED, REMOVED.c.seq == ITEMS.c.seq)
                    .where(
                        REMOVED.c.kb == self.kb,
                        REMOVED.c.version <= version,
                        ITEMS.c.added <= version,
                    )
                )
                if gone in ancestors and added in ancestors
            )
        view = View(version=version, lineage=ancestors, removed=removed)
        with self._lock:
            while len(self._views) >= _VIEWS:
                del self._views[next(iter(self._views))]
            self._views[version] = view
        return view

    def known(self, names: Sequence[str], view: View) -> dict[str, Item]:
        """Return the documents with these names that a version shows."""
        with self.begin() as connection:
            rows = connection.execute(
                _KNOWN, {"kb": self.kb, "names": list(names)}
            ).all()
        added, removed = view.lineage, view.removed
        return {
            row[1]: Item(*row)
            for row in rows
            if row[2] in added
            and (not removed or shadow_id(row[1], row[2]) not in removed)
        }

    def items(
        self, view: View, *, added: int | None = None, size: int = 500
    ) -> Iterator[list[Item]]:
        """Yield what a version shows, in batches; its own documents come last.

        Args:
            view: The version.
            added: Only those that this version added, shown or not.
            size: Documents per batch.
        """
        last = -1
        while rows := self._page(last, added, size):
            last = rows[-1].seq
            kept = (
                rows
                if added is not None
                else [
                    item
                    for item in rows
                    if item.added in view.lineage and item.stored_id not in view.removed
                ]
            )
            if kept:
                yield kept

    def highest_seq(self) -> int:
        """Return the highest number of an item."""
        with self.begin() as connection:
            query = select(func.max(ITEMS.c.seq)).where(ITEMS.c.kb == self.kb)
            return int(connection.execute(query).scalar() or 0)

    def _page(self, last: int, added: int | None, size: int) -> list[Item]:
        query = select(*_ITEM_COLUMNS).where(ITEMS.c.kb == self.kb, ITEMS.c.seq > last)
        if added is not None:
            query = query.where(ITEMS.c.added == added)
        with self.begin() as connection:
            rows = connection.execute(query.order_by(ITEMS.c.seq).limit(size))
            return [Item(*row) for row in rows]

    @staticmethod
    def _pairs(connection: Connection, query: Select[Any]) -> dict[str, int]:
        return {key: int(value) for key, value in connection.execute(query)}


_KNOWN = select(*_ITEM_COLUMNS).where(
    and_(
        ITEMS.c.kb == bindparam("kb"),
        ITEMS.c.name.in_(bindparam("names", expanding=True)),
    )
)
