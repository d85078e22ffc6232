"""What a knowledge base tells: its state, what a synchronisation did, what it found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = [
    "Collected",
    "KnowledgeBaseStatus",
    "RegionStatus",
    "SyncEvent",
    "SyncReport",
    "Verification",
    "VersionInfo",
    "VersionState",
    "VersionSwitch",
]

VersionState = Literal["staging", "ready", "failed", "dropped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncEvent:
    """How far a synchronisation is.

    Args:
        step: `recover`, `stage`, `verify`, `switch`, `catch_up`, `collect`.
        version: The version that is worked on.
        done: Documents that are through this step.
        total: Documents in all.
    """

    step: Literal["recover", "stage", "verify", "switch", "catch_up", "collect"]
    version: int
    done: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionSwitch:
    """Readers see another version; handed to `on_switch`.

    Args:
        name: The knowledge base.
        version: What readers see now.
        generation: The same as one text, as readers tell it.
        regions: The version of each region; one that lags is behind.
    """

    name: str
    version: int
    generation: str
    regions: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What `apply` did.

    Args:
        version: The version that readers see now.
        previous: The one before; the same if nothing had changed.
        written: Documents written.
        deleted: Documents that readers no longer see.
        lagging: Regions that stayed behind, each with the reason.
    """

    version: int
    previous: int
    written: int
    deleted: int
    lagging: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What a store holds of the version that its readers see.

    Args:
        region: The region.
        version: The version.
        documents: How many it should hold.
        missing: Ids of those that it does not.
        altered: Ids of those whose content or metadata are others.
        unfound: Ids of those that a search for their own text did not find.
    """

    region: str
    version: int
    documents: int
    missing: tuple[str, ...]
    altered: tuple[str, ...]
    unfound: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether the store is as it should be."""
        return not (self.missing or self.altered or self.unfound)

    @property
    def damaged(self) -> tuple[str, ...]:
        """All ids to be written again: for `plan(docs, rewrite=…)`."""
        return tuple(dict.fromkeys((*self.missing, *self.altered, *self.unfound)))

    def __str__(self) -> str:
        if self.ok:
            return f"{self.region}: {self.documents:,} documents as they should be"
        return (
            f"{self.region}: of {self.documents:,} documents {len(self.missing):,} "
            f"missing, {len(self.altered):,} altered, {len(self.unfound):,} not found"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionInfo:
    """One version.

    Args:
        version: Its number.
        parent: The version it was made from; 0 for the first.
        state: `staging`, then `ready` (can be read and rolled back to) or `failed`;
            `dropped` when `gc` has removed it.
        documents: How many it has.
        created_at: When its making began, in UTC.
    """

    version: int
    parent: int
    state: VersionState
    documents: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionStatus:
    """One region.

    Args:
        version: The version that its readers see.
        lags: Whether that is not the active version.
        owed: Documents that it must be given to catch up.
    """

    version: int
    lags: bool
    owed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeBaseStatus:
    """Where a knowledge base stands, read from its manifest.

    Args:
        name: Its name.
        version: The active version; 0 before the first.
        documents: How many documents that has.
        regions: By name.
        versions: The newest last.
    """

    name: str
    version: int
    documents: int
    regions: Mapping[str, RegionStatus]
    versions: tuple[VersionInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What `gc` removed.

    Args:
        versions: Versions that can no longer be read.
        documents: Documents deleted from the stores.
        left: Documents whose store did not delete them; the next `gc` tries again.
    """

    versions: tuple[int, ...]
    documents: int
    left: int
