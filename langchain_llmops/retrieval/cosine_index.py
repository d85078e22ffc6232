"""Documents under their ids, over vectors that a search compares by cosine."""

from __future__ import annotations

from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.retrieval.filters import DocumentFilter, compile_filter
from langchain_llmops.retrieval.vector_rows import VectorRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_core.documents import Document

    from langchain_llmops.retrieval.index_spec import IndexSpec, Vectors
    from langchain_llmops.retrieval.vector_rows import Mask

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
    """Vectors of length 1 in a FAISS index, each under its document's id.

    Inner products of such vectors are cosines. Safe to use from several threads; a
    change is seen by other threads wholly or not at all.

    Args:
        spec: Which FAISS index.
    """

    def __init__(self, spec: IndexSpec) -> None:
        # Re-entrant: a filter runs under it and may look something up in the index.
        self._lock = RLock()
        self._spec = spec
        self._rows: VectorRows | None = None
        # By row; `None` where a document was removed.
        self._documents: list[Document | None] = []
        self._places: dict[str, int] = {}
        self._generation = 0

    def __len__(self) -> int:
        return len(self._places)

    @property
    def generation(self) -> int:
        """How many changes there were."""
        return self._generation

    @property
    def floats(self) -> int:
        """How many numbers one search has to read, about."""
        rows = self._rows
        return 0 if rows is None else rows.floats

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
        units = _unit_rows(vectors)
        with self._lock:
            self._fitting(units)
            self.drop(documents)
            places = self._fitting(units).append(units)
            self._places.update(zip(documents, places, strict=True))
            self._documents += [_copy(doc, name) for name, doc in documents.items()]
            self._generation += 1

    def drop(self, ids: Iterable[str] | None) -> None:
        """Remove documents; unknown ids are skipped, `None` means all."""
        with self._lock:
            names = list(self._places if ids is None else ids)
            gone = [
                place
                for name in names
                if (place := self._places.pop(name, None)) is not None
            ]
            if not gone or self._rows is None:
                return
            self._generation += 1
            if not self._places:
                # Nothing is left that a vector of another dimension could not join.
                self._rows, self._documents = None, []
                return
            self._rows.remove(gone)
            for place in gone:
                self._documents[place] = None
            if self._rows.wasteful:
                self._compact()

    def get(self, ids: Iterable[str]) -> list[Document]:
        """Return copies of the documents with these ids; unknown ids are skipped."""
        with self._lock:
            return [
                _copy(document)
                for name in ids
                if (place := self._places.get(name)) is not None
                and (document := self._documents[place]) is not None
            ]

    def vectors(self, ids: Iterable[str]) -> dict[str, list[float]]:
        """Return the vectors of these ids, of length 1; unknown ids are skipped."""
        with self._lock:
            places = {n: self._places[n] for n in ids if n in self._places}
            if self._rows is None or not places:
                return {}
            stored = self._rows.vectors(np.asarray(list(places.values()), np.int64))
            return dict(zip(places, stored.tolist(), strict=True))

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
        query = _unit_rows([embedding])
        with self._lock:
            if not self._places:
                return []
            near = self._fitting(query).search(query, k, self._wanted(filter))
            return [
                Found(document=_copy(document), cosine=one.cosine, vector=one.vector)
                for one in near
                if (document := self._documents[one.row]) is not None
            ]

    def dump(self) -> tuple[bytes, list[Document]]:
        """Return the FAISS index as bytes, and the documents in its order."""
        with self._lock:
            if self._rows is None:
                return b"", []
            self._compact()
            return self._rows.dump(), [doc for doc in self._documents if doc]

    def restore(self, data: bytes, documents: Sequence[Document]) -> None:
        """Replace everything by what `dump` returned."""
        with self._lock:
            self._rows = VectorRows.restored(self._spec, data) if data else None
            self._documents = list(documents)
            self._places = {str(doc.id): row for row, doc in enumerate(documents)}
            self._generation += 1

    def _compact(self) -> None:
        if self._rows is None:
            return
        kept = self._rows.compact().tolist()
        self._documents = [self._documents[place] for place in kept]
        self._places = {
            str(document.id): row
            for row, document in enumerate(self._documents)
            if document is not None
        }

    def _fitting(self, rows: Vectors) -> VectorRows:
        """Return the rows, made when there are none; refuse another dimension."""
        dimension = rows.shape[1]
        if self._rows is None:
            self._rows = VectorRows(self._spec, dimension)
        if self._rows.dimension != dimension:
            raise ConfigurationError(
                f"the embeddings returned {dimension} dimensions, the store holds "
                f"vectors of {self._rows.dimension}: use the embedding model it was "
                "built with, or build a new store"
            )
        return self._rows

    def _wanted(self, wanted: DocumentFilter | None) -> Mask | None:
        if wanted is None:
            return None
        keep = compile_filter(wanted)
        return np.fromiter(
            (doc is not None and bool(keep(doc)) for doc in self._documents),
            dtype=np.bool_,
            count=len(self._documents),
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
