"""`FaissStore`: a LangChain vector store on FAISS whose score is the true cosine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from typing_extensions import override

from langchain_llmops.retrieval.faiss_files import read_store, write_store
from langchain_llmops.retrieval.incoming import by_id, contents, with_metadata

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    from langchain_llmops.retrieval.cosine_index import Found

__all__ = ["FaissStore"]

_T = TypeVar("_T")

_INLINE_FLOATS = 1_000_000
"""Up to this size a search takes less time than the hop to another thread and back."""


class FaissStore(VectorStore):
    """Hold documents and find the nearest by exact cosine similarity.

    Every score is the cosine between query and document, from -1 to 1, whatever the
    scale of the embeddings: `similarity_search_with_score`, relevance scores and
    `score_threshold` all mean the same number.

    Every search takes `filter`: a function of a document, or a mapping from metadata
    keys to wanted values (a list means "any of these"). It is applied before the
    search, so `k` documents come back whenever `k` documents pass it. Arguments that
    no search knows, such as `top_k`, raise a `TypeError`.

    Safe to use from several threads and event loops. Asynchronous methods await the
    embeddings' own asynchronous methods; a big store is searched on another thread.
    Adding costs one `embed_documents` call, searching one `embed_query` call.

    Args:
        embeddings: Turns texts and queries into vectors of one fixed dimension.

    Example:
        ```python
        from langchain_core.documents import Document
        from langchain_core.embeddings import DeterministicFakeEmbedding
        from langchain_llmops import FaissStore

        store = FaissStore(DeterministicFakeEmbedding(size=64))
        store.add_documents([Document("A tuple is immutable.", id="tuple")])
        assert store.similarity_search("What is a tuple?", k=1)[0].id == "tuple"
        ```
    """

    def __init__(self, embeddings: Embeddings) -> None:
        # FAISS takes 150 ms to import: the first store pays, reading the name does not.
        from langchain_llmops.retrieval.cosine_index import CosineIndex  # noqa: PLC0415

        self._embeddings = embeddings
        self._index = CosineIndex()

    @property
    @override
    def embeddings(self) -> Embeddings:
        """The embeddings that the store was made with."""
        return self._embeddings

    @override
    def add_documents(
        self, documents: list[Document], ids: list[str] | None = None, **kwargs: Any
    ) -> list[str]:
        """Add documents, replacing those whose id is known.

        An id that occurs twice in one call keeps its last document. Either all
        documents are added or, after an error, none.

        Args:
            documents: What to add; metadata are copied one level deep.
            ids: One id per document, instead of the documents' own ids. A document
                without any id gets a new one.
            **kwargs: None are known.

        Returns:
            The id of each document, in order.

        Raises:
            ConfigurationError: The numbers of ids and documents differ, or the vectors
                do not fit those that are stored.
        """
        names, fresh = by_id(documents, ids, **kwargs)
        if fresh:
            self._index.put(fresh, self._embeddings.embed_documents(contents(fresh)))
        return names

    @override
    async def aadd_documents(
        self, documents: list[Document], ids: list[str] | None = None, **kwargs: Any
    ) -> list[str]:
        """Add documents, replacing those whose id is known; see `add_documents`."""
        names, fresh = by_id(documents, ids, **kwargs)
        if fresh:
            vectors = await self._embeddings.aembed_documents(contents(fresh))
            await self._run(lambda: self._index.put(fresh, vectors))
        return names

    @override
    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add texts with their metadata; otherwise like `add_documents`."""
        return self.add_documents(with_metadata(texts, metadatas), ids, **kwargs)

    @override
    async def aadd_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> list[str]:
        """Add texts with their metadata; otherwise like `add_documents`."""
        return await self.aadd_documents(with_metadata(texts, metadatas), ids, **kwargs)

    @override
    def delete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents; ids that are not there are skipped.

        `None` deletes everything, as LangChain defines it. `kwargs` are ignored, for
        LangChain's indexing passes some.
        """
        self._index.drop(ids)
        return True

    @override
    async def adelete(self, ids: Sequence[str] | None = None, **kwargs: Any) -> bool:
        """Delete documents; see `delete`."""
        await self._run(lambda: self._index.drop(ids))
        return True

    @override
    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents with these ids; those that are missing are left out."""
        return self._index.get(ids)

    @override
    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents with these ids; those that are missing are left out."""
        return await self._run(lambda: self._index.get(ids))

    @override
    def similarity_search(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the `k` nearest documents, nearest first.

        Args:
            query: What to look for.
            k: How many; fewer come back only if fewer pass the filter.
            **kwargs: `filter`, see the class.

        Returns:
            Copies, safe to change.

        Raises:
            ConfigurationError: `k` is below 1, the filter is not understood, or the
                query's vector does not fit those that are stored.
        """
        vector = self._embeddings.embed_query(query)
        return self.similarity_search_by_vector(vector, k, **kwargs)

    @override
    async def asimilarity_search(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the `k` nearest documents; see `similarity_search`."""
        vector = await self._embeddings.aembed_query(query)
        return await self.asimilarity_search_by_vector(vector, k, **kwargs)

    @override
    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the `k` documents nearest to a vector; see `similarity_search`."""
        return [found.document for found in self._index.search(embedding, k, **kwargs)]

    @override
    async def asimilarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the `k` documents nearest to a vector; see `similarity_search`."""
        return await self._run(
            lambda: self.similarity_search_by_vector(embedding, k, **kwargs)
        )

    @override
    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the `k` nearest documents, each with its cosine to the query."""
        vector = self._embeddings.embed_query(query)
        return _scored(self._index.search(vector, k, **kwargs))

    @override
    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the `k` nearest documents, each with its cosine to the query."""
        vector = await self._embeddings.aembed_query(query)
        return _scored(await self._run(lambda: self._index.search(vector, k, **kwargs)))

    @override
    def similarity_search_with_relevance_scores(
        self,
        query: str,
        k: int = 4,
        *,
        score_threshold: float | None = None,
        **kwargs: Any,
    ) -> list[tuple[Document, float]]:
        """Return the `k` nearest documents whose cosine reaches the threshold.

        Core's version warns about every negative score; a cosine may be negative.
        """
        found = self.similarity_search_with_score(query, k, **kwargs)
        return _reaching(score_threshold, found)

    @override
    async def asimilarity_search_with_relevance_scores(
        self,
        query: str,
        k: int = 4,
        *,
        score_threshold: float | None = None,
        **kwargs: Any,
    ) -> list[tuple[Document, float]]:
        """Return the `k` nearest documents whose cosine reaches the threshold."""
        found = await self.asimilarity_search_with_score(query, k, **kwargs)
        return _reaching(score_threshold, found)

    @override
    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return lambda cosine: cosine

    @override
    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Return `k` of the `fetch_k` nearest documents that differ from each other.

        Args:
            query: What to look for.
            k: How many to return.
            fetch_k: How many to choose from.
            lambda_mult: From 0, most diverse, to 1, most similar to the query.
            **kwargs: `filter`, see the class.
        """
        vector = self._embeddings.embed_query(query)
        return self.max_marginal_relevance_search_by_vector(
            vector, k, fetch_k, lambda_mult, **kwargs
        )

    @override
    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Return `k` diverse documents; see `max_marginal_relevance_search`."""
        vector = await self._embeddings.aembed_query(query)
        return await self.amax_marginal_relevance_search_by_vector(
            vector, k, fetch_k, lambda_mult, **kwargs
        )

    @override
    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Return `k` diverse documents; see `max_marginal_relevance_search`."""
        found = self._index.search(embedding, max(k, fetch_k), **kwargs)
        chosen = maximal_marginal_relevance(
            np.asarray(embedding, dtype=np.float32),
            [one.vector.tolist() for one in found],
            lambda_mult,
            k,
        )
        return [found[place].document for place in chosen]

    @override
    async def amax_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Return `k` diverse documents; see `max_marginal_relevance_search`."""
        return await self._run(
            lambda: self.max_marginal_relevance_search_by_vector(
                embedding, k, fetch_k, lambda_mult, **kwargs
            )
        )

    @classmethod
    @override
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> FaissStore:
        """Make a store and add texts to it."""
        store = cls(embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store

    @classmethod
    @override
    async def afrom_texts(
        cls,
        texts: list[str],
        embedding: Embeddings,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        **kwargs: Any,
    ) -> FaissStore:
        """Make a store and add texts to it."""
        store = cls(embedding, **kwargs)
        await store.aadd_texts(texts, metadatas, ids=ids)
        return store

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the store into a folder, as JSON and a FAISS file, without pickle.

        The folder is made if it does not exist. A store that is there is replaced; a
        crash leaves the old one readable.

        Raises:
            ConfigurationError: Metadata hold something that JSON cannot.
            StorageError: The folder cannot be written.
        """
        write_store(folder, *self._index.dump())

    @classmethod
    def load(cls, folder: str | os.PathLike[str], embeddings: Embeddings) -> FaissStore:
        """Read a store that `save` wrote, given the model that it was built with.

        Raises:
            StorageError: No store is there, or it is damaged.
        """
        store = cls(embeddings)
        store._index.restore(*read_store(folder))
        return store

    async def _run(self, operation: Callable[[], _T]) -> _T:
        if self._index.floats > _INLINE_FLOATS:
            return await run_in_executor(None, operation)
        return operation()


def _scored(found: Iterable[Found]) -> list[tuple[Document, float]]:
    return [(one.document, one.cosine) for one in found]


def _reaching(
    threshold: float | None, found: list[tuple[Document, float]]
) -> list[tuple[Document, float]]:
    return [pair for pair in found if threshold is None or pair[1] >= threshold]
