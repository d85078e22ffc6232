"""Vectors out of langchain_community's FAISS, whose scores cannot be trusted.

Nothing of langchain_community is imported: a store of that kind brings what is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from langchain_core.documents import Document

__all__ = ["CommunityFaissVectors", "is_community_faiss"]


def is_community_faiss(store: object) -> bool:
    """Return whether a store is langchain_community's `FAISS`, or a subclass of it."""
    return any(
        kind.__name__ == "FAISS" and kind.__module__.startswith("langchain_community.")
        for kind in type(store).__mro__
    )


class CommunityFaissVectors:
    """Read the vectors of documents that such a store returned.

    Args:
        store: A `langchain_community.vectorstores.FAISS`.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self._rows: dict[str, int] = {}

    def options(self) -> dict[str, int]:
        """Return what lets a filter see all documents, not only the nearest 20."""
        return {"fetch_k": max(1, self._store.index.ntotal)}

    def vectors(self, documents: Sequence[Document]) -> npt.NDArray[np.float32] | None:
        """Return one vector per document; `None` if one is gone by now."""
        rows = [self._row(str(document.id)) for document in documents]
        known = [row for row in rows if row is not None]
        if len(known) < len(rows):
            return None
        index = self._store.index
        return np.asarray([index.reconstruct(row) for row in known], np.float32)

    def _row(self, name: str) -> int | None:
        """Return the row of a document; deletions renumber the rows of the others."""
        names = self._store.index_to_docstore_id
        row = self._rows.get(name)
        if row is None or names.get(row) != name:
            self._rows = {known: number for number, known in names.items()}
            row = self._rows.get(name)
        return row
