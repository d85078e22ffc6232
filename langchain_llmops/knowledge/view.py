"""Which documents of a store belong to a version: names and ancestry, nothing stored.

A document that version 7 adds is stored under the id `name@7`. It belongs to version 7
and to all that descend from it, until one of those removes it. So a new version is
written beside the old one, and what a version shows follows from its ancestors alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["View", "lineage", "shadow_id"]


def shadow_id(name: str, version: int) -> str:
    """Return the id under which a store holds what a version added."""
    return f"{name}@{version}"


def lineage(parents: Mapping[int, int], version: int) -> frozenset[int]:
    """Return a version and all that it descends from.

    Args:
        parents: Each version's parent; that of the first is 0.
        version: Where to start; 0, before the first, has no ancestors.

    Raises:
        KeyError: A version is not among `parents`.
    """
    found = set()
    while version:
        found.add(version)
        version = parents[version]
    return frozenset(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What readers of one version see. It never changes.

    Args:
        version: The version; 0 is empty.
        lineage: The version and its ancestors.
        removed: Ids in the stores that an ancestor added and a later one removed.
    """

    version: int
    lineage: frozenset[int]
    removed: frozenset[str]

    def name_of(self, stored_id: str | None) -> str | None:
        """Return the user's id of a stored document, or `None` if it is not shown.

        What somebody else put into the store, or a version under way, is not shown.
        """
        if stored_id is None or stored_id in self.removed:
            return None
        name, _, version = stored_id.rpartition("@")
        if name and version.isdecimal() and int(version) in self.lineage:
            return name
        return None
