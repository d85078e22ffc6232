"""Which changes nobody means: a loader that found nothing, a folder that went away."""

from __future__ import annotations

from langchain_llmops.knowledge.sync_errors import SyncRefusedError

__all__ = ["check_deletions"]


def check_deletions(
    *, documents: int, deleted: int, known: int, max_delete_fraction: float
) -> None:
    """Refuse an empty source and a deletion of more than a share of all documents.

    Args:
        documents: How many the source has.
        deleted: How many known ones it no longer has.
        known: How many there are before.
        max_delete_fraction: The largest share of them that may go.

    Raises:
        SyncRefusedError: A guard says no.
    """
    if known and not documents:
        raise SyncRefusedError(
            f"the source is empty and all {known:,} documents would be deleted: check "
            "the loader, or pass force=True"
        )
    if known and deleted > known * max_delete_fraction:
        raise SyncRefusedError(
            f"{deleted:,} of {known:,} documents would be deleted, more than "
            f"max_delete_fraction={max_delete_fraction!r} of them: check the loader, "
            "or pass force=True"
        )
