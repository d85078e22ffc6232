"""What a caller hands to a store, made regular: documents under their ids."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = ["by_id", "contents", "with_metadata", "with_vectors"]


def by_id(
    documents: Sequence[Document], ids: Sequence[str | None] | None
) -> tuple[list[str], dict[str, Document]]:
    """Give every document an id.

    Args:
        documents: The documents, in the caller's order.
        ids: One per document, or `None` to use the documents' own. Where there is
            none, a random one is made.

    Returns:
        The id of each document in order, and the last document of each id.

    Raises:
        ConfigurationError: The numbers of ids and documents differ.
    """
    if ids is not None and len(ids) != len(documents):
        raise ConfigurationError(
            f"got {len(ids)} ids for {len(documents)} documents: pass one id per "
            "document, or none"
        )
    given = ids if ids is not None else [document.id for document in documents]
    names = [name or str(uuid.uuid4()) for name in given]
    return names, dict(zip(names, documents, strict=True))


def with_metadata(
    texts: Iterable[str], metadatas: Sequence[dict[str, Any]] | None
) -> list[Document]:
    """Make documents of texts and, where given, one mapping of metadata per text.

    Raises:
        ConfigurationError: The numbers of texts and metadatas differ.
    """
    pages = list(texts)
    if metadatas is None:
        return [Document(page_content=page) for page in pages]
    if len(metadatas) != len(pages):
        raise ConfigurationError(
            f"got {len(metadatas)} metadatas for {len(pages)} texts: pass one per "
            "text, or none"
        )
    return [
        Document(page_content=page, metadata=metadata)
        for page, metadata in zip(pages, metadatas, strict=True)
    ]


def contents(documents: Mapping[str, Document]) -> list[str]:
    """Return the texts to embed, in order."""
    return [document.page_content for document in documents.values()]


def with_vectors(
    documents: Sequence[Document],
    vectors: Sequence[Sequence[float]],
    ids: Sequence[str | None] | None,
) -> tuple[list[str], dict[str, Document], list[Sequence[float]]]:
    """Give every document an id and keep its vector beside it.

    Returns:
        What `by_id` returns, and the vectors of the documents that it kept.

    Raises:
        ConfigurationError: The numbers of documents, vectors and ids differ.
    """
    if len(vectors) != len(documents):
        raise ConfigurationError(
            f"got {len(vectors)} vectors for {len(documents)} documents: pass one per "
            "document"
        )
    names, fresh = by_id(documents, ids)
    last = dict(zip(names, vectors, strict=True))
    return names, fresh, [last[name] for name in fresh]
