"""Go back to an earlier version, and collect those that nobody reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.knowledge.recovery import settled, swept
from langchain_llmops.knowledge.reports import Collected, SyncEvent
from langchain_llmops.knowledge.steps import Work
from langchain_llmops.knowledge.sync_errors import StaleVersionError

if TYPE_CHECKING:
    from langchain_llmops.knowledge.manifest import State
    from langchain_llmops.knowledge.workshop import Workshop
    from langchain_llmops.storage.plans import Plan

__all__ = ["collected", "rolled_back"]


def rolled_back(parts: Workshop, version: int) -> Plan[None]:
    """Have readers see a version that is kept, by moving one pointer."""
    state = yield Work(parts.manifest.state)
    row = state.versions.get(version)
    if row is None or row.state != "ready":
        ready = [v.version for v in state.versions.values() if v.state == "ready"]
        raise StaleVersionError(
            f"version {version!r} of {parts.manifest.kb!r} cannot be read: roll back "
            f"to one of {sorted(ready)!r}"
        )
    yield Work(lambda: _move(parts, state, version))
    yield from parts.announce()


def collected(parts: Workshop, keep: int) -> Plan[Collected]:
    """Drop all but the newest versions and those that are read, then delete."""
    if keep < 1:
        raise ConfigurationError(
            f"keep={keep!r} must be 1 or more: the active version is always kept"
        )
    yield from settled(parts)
    state = yield Work(parts.manifest.state)
    ready = sorted(v.version for v in state.versions.values() if v.state == "ready")
    kept = {state.active, *state.regions.values(), *ready[-keep:]} - {0}
    dropped = tuple(version for version in ready if version not in kept)
    if dropped:
        # First of all: from now on readers refuse what is about to go.
        yield Work(lambda: parts.journal.drop(dropped))
    garbage = yield Work(lambda: parts.journal.garbage(state, kept))
    left = yield from swept(parts, garbage)
    total = len(garbage)
    parts.tell(
        SyncEvent(step="collect", version=state.active, done=total - left, total=total)
    )
    return Collected(versions=dropped, documents=total - left, left=left)


def _move(parts: Workshop, state: State, version: int) -> None:
    lineage = sorted(state.lineage(version))
    able = [
        region
        for region in state.regions
        if not state.owed.get(region) or not parts.journal.owed(region, lineage, 1)
    ]
    parts.journal.move(version, able)
