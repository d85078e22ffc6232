"""What a synchronisation refuses, and how it says that it failed.

```text
LLMOpsError
├── KnowledgeBaseError
│   ├── SyncRefusedError     a guard said no: look at the changes, or use force=True
│   ├── SyncFailedError      a store or its check failed: the old version stays
│   └── StaleVersionError    what was planned or pinned is gone: plan or pin again
└── StorageError
    └── KnowledgeBaseBusyError   another synchronisation is under way
```
"""

from __future__ import annotations

from langchain_llmops.errors import LLMOpsError, StorageError

__all__ = [
    "KnowledgeBaseBusyError",
    "KnowledgeBaseError",
    "StaleVersionError",
    "SyncFailedError",
    "SyncRefusedError",
]


class KnowledgeBaseError(LLMOpsError):
    """Root of what a knowledge base refuses or cannot do."""


class SyncRefusedError(KnowledgeBaseError):
    """A guard refused a change; nothing was written."""


class SyncFailedError(KnowledgeBaseError):
    """A region could not be brought to the new version; readers see the old one.

    Args:
        region: The region that failed.
        step: What it was doing: `write`, `verify`, `probe`.
        why: What went wrong, as the message shows it.
    """

    def __init__(self, region: str, step: str, why: str) -> None:
        super().__init__(region, step, why)
        self.region = region
        self.step = step
        self.why = why

    def __str__(self) -> str:
        return (
            f"region {self.region!r} failed at {self.step}: {self.why}; readers stay "
            "on the version they had. Repair the store and apply again, or use "
            'unavailable="lag" to go on without it'
        )


class StaleVersionError(KnowledgeBaseError):
    """The version that a plan or a reader is based on is no longer there."""


class KnowledgeBaseBusyError(StorageError):
    """Another synchronisation of the same knowledge base is under way."""
