"""What a retrieval asks of the outside: the steps of its plans (`storage.plans`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_core.runnables import run_in_executor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore

__all__ = ["Embed", "EmbedQuery", "Rerank", "Scored", "Search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Embed:
    """The vectors of documents' texts."""

    model: Embeddings
    texts: Sequence[str]

    def run(self) -> list[list[float]]:
        """Ask in this thread."""
        return self.model.embed_documents(list(self.texts))

    async def arun(self) -> list[list[float]]:
        """Ask without blocking the event loop."""
        return await self.model.aembed_documents(list(self.texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedQuery:
    """The vector of a query."""

    model: Embeddings
    text: str

    def run(self) -> list[float]:
        """Ask in this thread."""
        return self.model.embed_query(self.text)

    async def arun(self) -> list[float]:
        """Ask without blocking the event loop."""
        return await self.model.aembed_query(self.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Documents of a store, with its scores if its method returns any.

    Args:
        store: Where to search.
        method: Name of the synchronous method.
        query: A text or a vector, as the method takes it.
        k: How many.
        options: Further keyword arguments.
    """

    store: VectorStore
    method: str
    query: str | list[float]
    k: int
    options: dict[str, Any]

    def run(self) -> Any:
        """Search in this thread."""
        search = getattr(self.store, self.method)
        return search(self.query, k=self.k, **self.options)

    async def arun(self) -> Any:
        """Search without blocking the event loop."""
        amethod = self.method.replace("similarity", "asimilarity", 1)
        search = getattr(self.store, amethod, None)
        if search is not None:
            try:
                return await search(self.query, k=self.k, **self.options)
            except NotImplementedError:
                pass  # core's own, of a store that has only the synchronous method
        return await run_in_executor(None, self.run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerank:
    """Documents in another order, some of them perhaps left out."""

    compressor: BaseDocumentCompressor
    documents: Sequence[Document]
    query: str
    callbacks: Callbacks

    def run(self) -> Sequence[Document]:
        """Ask in this thread."""
        return self.compressor.compress_documents(
            self.documents, self.query, callbacks=self.callbacks
        )

    async def arun(self) -> Sequence[Document]:
        """Ask without blocking the event loop."""
        return await self.compressor.acompress_documents(
            self.documents, self.query, callbacks=self.callbacks
        )


Scored: TypeAlias = "list[tuple[Document, float]]"
"""Documents with their scores."""
