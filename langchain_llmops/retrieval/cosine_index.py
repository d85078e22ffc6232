"""Documents under their ids, and FAISS finding the nearest by exact cosine."""

from __future__ import annotations

from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any, cast

import faiss
import numpy as np

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.retrieval.filters import DocumentFilter, compile_filter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt
    from langchain_core.documents import Document

    Vectors = npt.NDArray[np.float32]

__all__ = ["CosineIndex", "Found"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One document that a search found.

    Args:
        document: A copy, safe to change.
        cosine: Its similarity to the query, from -1 to 1.
        vector: Its vector, of length 1 (or 0 where the embedding was all zeros).
    """

    document: Document
    cosine: float
    vector: Vectors


class CosineIndex:
    """Vectors of length 1 in a flat FAISS index, each under its document's id.

    Inner products of such vectors are cosines, computed exactly. Safe to use from
    several threads; a change is seen by other threads wholly or not at all.
    """

    def __init__(self) -> None:
        # Re-entrant: a filter runs under it and may look something up in the index.
        self._lock = RLock()
        self._vectors: faiss.IndexIDMap2 | None = None
        self._documents: dict[int, Document] = {}
        self._labels: dict[str, int] = {}
        self._next_label = 0

    @property
    def floats(self) -> int:
        """How many numbers one search has to read."""
        vectors = self._vectors
        return 0 if vectors is None else vectors.ntotal * vectors.d

    def put(
        self, documents: Mapping[str, Document], vectors: Sequence[Sequence[float]]
    ) -> None:
        """Add documents under their ids, replacing those that are known.

        Args:
            documents: Id to document.
            vectors: One per document, in the same order, of any length.

        Raises:
            ConfigurationError: The vectors cannot be stored; nothing was changed.
        """
        if not documents:
            return
        if len(vectors) != len(documents):
            raise ConfigurationError(
                f"the embeddings returned {len(vectors)} vectors for {len(documents)} "
                "texts: use an embedding model that returns one per text"
            )
        rows = _unit_rows(vectors)
        with self._lock:
            index = self._fitting(rows)
            self.drop(documents)
            labels = range(self._next_label, self._next_label + len(rows))
            index.add_with_ids(rows, np.asarray(labels, dtype=np.int64))
            self._next_label = labels.stop
            self._labels.update(zip(documents, labels, strict=True))
            self._documents.update(
                (label, _copy(document, name))
                for label, (name, document) in zip(
                    labels, documents.items(), strict=True
                )
            )

    def drop(self, ids: Iterable[str] | None) -> None:
        """Remove documents; unknown ids are skipped, `None` means all."""
        with self._lock:
            names = list(self._labels if ids is None else ids)
            labels = [
                label
                for name in names
                if (label := self._labels.pop(name, None)) is not None
            ]
            for label in labels:
                del self._documents[label]
            if labels and self._vectors is not None:
                self._vectors.remove_ids(
                    faiss.IDSelectorBatch(np.asarray(labels, dtype=np.int64))
                )

    def get(self, ids: Iterable[str]) -> list[Document]:
        """Return copies of the documents with these ids; unknown ids are skipped."""
        with self._lock:
            labels = [self._labels[name] for name in ids if name in self._labels]
            return [_copy(self._documents[label]) for label in labels]

    def search(
        self,
        embedding: Sequence[float],
        k: int = 4,
        *,
        filter: DocumentFilter | None = None,  # noqa: A002 - LangChain's name
    ) -> list[Found]:
        """Return the `k` nearest documents, nearest first.

        Args:
            embedding: The query's vector, of any length.
            k: How many at most.
            filter: Documents it rejects are left out before the search, not after.

        Raises:
            ConfigurationError: `k` is below 1, the filter is not understood, or the
                vector has another dimension than the stored ones.
        """
        if k < 1:
            raise ConfigurationError(f"k must be at least 1, got {k!r}")
        row = _unit_rows([embedding])
        with self._lock:
            if not self._documents:
                return []
            index = self._fitting(row)
            labels = self._kept(filter)
            limit = min(k, index.ntotal if labels is None else len(labels))
            if not limit:
                return []
            params = None
            if labels is not None:
                params = faiss.SearchParameters()
                selector = faiss.IDSelectorBatch(labels)  # FAISS only borrows it
                params.sel = selector
            scores, found = index.search(row, limit, params=params)
            return [
                Found(
                    document=_copy(self._documents[label]),
                    # Rounding may leave a hair more than 1 between equal vectors.
                    cosine=max(-1.0, min(1.0, score)),
                    vector=index.reconstruct(label),
                )
                for score, label in zip(
                    scores[0].tolist(), found[0].tolist(), strict=True
                )
            ]

    def dump(self) -> tuple[bytes, dict[int, Document]]:
        """Return the FAISS index as bytes, and the documents by their labels."""
        with self._lock:
            vectors = self._vectors
            data = b"" if vectors is None else faiss.serialize_index(vectors).tobytes()
            return data, dict(self._documents)

    def restore(self, data: bytes, documents: dict[int, Document]) -> None:
        """Replace everything by what `dump` returned."""
        with self._lock:
            self._vectors = None
            if data:
                vectors = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
                self._vectors = cast("faiss.IndexIDMap2", vectors)
            self._documents = documents
            self._labels = {str(doc.id): label for label, doc in documents.items()}
            self._next_label = max(documents, default=-1) + 1

    def _fitting(self, rows: Vectors) -> faiss.IndexIDMap2:
        """Return the FAISS index, made when empty; refuse another dimension."""
        dimension = rows.shape[1]
        if self._vectors is None or not self._documents:
            self._vectors = faiss.IndexIDMap2(faiss.IndexFlatIP(dimension))
        if self._vectors.d != dimension:
            raise ConfigurationError(
                f"the embeddings returned {dimension} dimensions, the store holds "
                f"vectors of {self._vectors.d}: use the embedding model it was built "
                "with, or build a new store"
            )
        return self._vectors

    def _kept(self, wanted: DocumentFilter | None) -> npt.NDArray[np.int64] | None:
        if wanted is None:
            return None
        keep = compile_filter(wanted)
        return np.asarray(
            [label for label, doc in self._documents.items() if keep(doc)],
            dtype=np.int64,
        )


def _copy(document: Document, name: str | None = None) -> Document:
    """Copy a document and its metadata, one level deep."""
    update: dict[str, Any] = {"metadata": dict(document.metadata)}
    if name is not None:
        update["id"] = name
    return document.model_copy(update=update)


def _unit_rows(vectors: Sequence[Sequence[float]]) -> Vectors:
    """Return vectors as rows of length 1; a vector of zeros stays as it is."""
    try:
        rows = np.array(vectors, dtype=np.float32)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"the embeddings returned vectors that are not equally long lists of "
            f"numbers ({error}): use one embedding model for all texts"
        ) from error
    if rows.ndim != 2 or not rows.shape[1]:  # noqa: PLR2004 - rows and columns
        raise ConfigurationError(
            f"the embeddings returned an array of shape {rows.shape!r} instead of one "
            "vector per text: use an embedding model that returns vectors"
        )
    # Squares in double precision, so that tiny and huge vectors keep their direction.
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    if not np.isfinite(squares).all():
        raise ConfigurationError(
            "the embeddings returned NaN or infinite numbers: check the embedding "
            "model and that no text is empty"
        )
    lengths = np.sqrt(squares)
    lengths[lengths == 0] = 1
    unit: Vectors = (rows / lengths[:, np.newaxis]).astype(np.float32)
    return unit
