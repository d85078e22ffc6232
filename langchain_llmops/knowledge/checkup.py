"""Where a knowledge base stands, by its manifest and by its stores."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, cast

from langchain_llmops.knowledge.examining import examined
from langchain_llmops.knowledge.reports import (
    KnowledgeBaseStatus,
    RegionStatus,
    Verification,
    VersionInfo,
    VersionState,
)
from langchain_llmops.knowledge.steps import Work
from langchain_llmops.knowledge.sync_errors import StaleVersionError, SyncFailedError

if TYPE_CHECKING:
    from collections.abc import Collection

    from langchain_llmops.knowledge.manifest import State
    from langchain_llmops.knowledge.workshop import Workshop
    from langchain_llmops.storage.plans import Plan

__all__ = ["status_of", "verified"]


def verified(
    parts: Workshop, regions: Collection[str]
) -> Plan[dict[str, Verification]]:
    """Ask the stores of regions for all that their readers should see."""
    state = yield Work(parts.manifest.state)
    reports = {}
    for region in regions:
        reports[region] = yield from _verified_region(parts, region, state)
    return reports


def _verified_region(parts: Workshop, region: str, state: State) -> Plan[Verification]:
    version = state.regions[region]
    view = yield Work(partial(parts.manifest.view, version))
    total = state.versions[version].documents if version else 0
    findings = yield from examined(parts, [region], view, total=total)
    found = findings[region]
    if found.error is not None:
        failure = SyncFailedError(region, "verify", repr(found.error))
        raise failure from found.error
    if not (yield Work(partial(parts.manifest.is_readable, version))):
        raise StaleVersionError(
            f"version {version!r} of {parts.manifest.kb!r} was collected while it was "
            "verified: verify again"
        )
    return Verification(
        region=region,
        version=version,
        documents=found.documents,
        missing=tuple(found.missing),
        altered=tuple(found.altered),
        unfound=tuple(found.unfound),
    )


def status_of(name: str, state: State) -> KnowledgeBaseStatus:
    """Return what a manifest says, as the caller is told."""
    return KnowledgeBaseStatus(
        name=name,
        version=state.active,
        documents=state.documents,
        regions={
            region: RegionStatus(
                version=version,
                lags=version != state.active,
                owed=state.owed.get(region, 0),
            )
            for region, version in state.regions.items()
        },
        versions=tuple(
            VersionInfo(
                version=row.version,
                parent=row.parent,
                state=cast("VersionState", row.state),
                documents=row.documents,
                created_at=datetime.fromtimestamp(row.created_at, UTC),
            )
            for _, row in sorted(state.versions.items())
        ),
    )
