"""Knowledge bases that are never half updated: versions, regions, checks, rollback."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.knowledge.changes import Change, ChangeSet
    from langchain_llmops.knowledge.reader import KnowledgeBaseReader
    from langchain_llmops.knowledge.records import (
        arecorded_documents,
        recorded_documents,
    )
    from langchain_llmops.knowledge.reports import (
        Collected,
        KnowledgeBaseStatus,
        RegionStatus,
        SyncEvent,
        SyncReport,
        Verification,
        VersionInfo,
        VersionSwitch,
    )
    from langchain_llmops.knowledge.sync import KnowledgeBaseSync
    from langchain_llmops.knowledge.sync_errors import (
        KnowledgeBaseBusyError,
        KnowledgeBaseError,
        StaleVersionError,
        SyncFailedError,
        SyncRefusedError,
    )
    from langchain_llmops.knowledge.workshop import SyncLimits

__all__ = (
    "Change",
    "ChangeSet",
    "Collected",
    "KnowledgeBaseBusyError",
    "KnowledgeBaseError",
    "KnowledgeBaseReader",
    "KnowledgeBaseStatus",
    "KnowledgeBaseSync",
    "RegionStatus",
    "StaleVersionError",
    "SyncEvent",
    "SyncFailedError",
    "SyncLimits",
    "SyncRefusedError",
    "SyncReport",
    "Verification",
    "VersionInfo",
    "VersionSwitch",
    "arecorded_documents",
    "recorded_documents",
)

_MODULES = {
    "changes": ("Change", "ChangeSet"),
    "reader": ("KnowledgeBaseReader",),
    "records": ("arecorded_documents", "recorded_documents"),
    "reports": (
        "Collected",
        "KnowledgeBaseStatus",
        "RegionStatus",
        "SyncEvent",
        "SyncReport",
        "Verification",
        "VersionInfo",
        "VersionSwitch",
    ),
    "sync": ("KnowledgeBaseSync",),
    "sync_errors": (
        "KnowledgeBaseBusyError",
        "KnowledgeBaseError",
        "StaleVersionError",
        "SyncFailedError",
        "SyncRefusedError",
    ),
    "workshop": ("SyncLimits",),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        name: f"{__name__}.{module}"
        for module, names in _MODULES.items()
        for name in names
    },
)
