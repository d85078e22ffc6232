"""`FaissStore`: a LangChain vector store on FAISS whose score is the true cosine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import run_in_executor
from typing_extensions import override

from langchain_llmops.retrieval.cosine_searches import CosineSearches
from langchain_llmops.retrieval.faiss_files import (
    SavedStore,
    read_store,
    write_store,
)
from langchain_llmops.retrieval.incoming import (
    by_id,
    contents,
    with_metadata,
    with_vectors,
)
from langchain_llmops.retrieval.index_spec import IndexSpec

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    from langchain_llmops.retrieval.index_spec import IndexKind

__all__ = ["FaissStore"]


class FaissStore(CosineSearches):
    """Hold documents and find the nearest by cosine similarity.

    Every score is the cosine between query and document, from -1 to 1, whatever the
    scale of the embeddings: `similarity_search_with_score`, relevance scores and
    `score_threshold` all mean the same number.

    Every search takes `filter`: a function of a document, or a mapping from metadata
    keys to wanted values (a list means "any of these"). It is applied before the
    search, so `k` documents come back whenever `k` documents pass it. Arguments that
    no search knows, such as `top_k`, raise a `TypeError`.

    The default index is exact and reads every vector. Another kind (`index="hnsw"`, see
    `IndexSpec`) takes its place once there are enough vectors; it may miss a near
    document, but it returns `k` of them all the same, and scores stay cosines: exact
    for `hnsw` and `ivf`, within 0.001 for `bits` and about 0.002 for `sq8`.

    Safe to use from several threads and event loops. Asynchronous methods await the
    embeddings' own asynchronous methods; a big store is searched on another thread.
    Adding costs one `embed_documents` call, searching one `embed_query` call.

    Args:
        embeddings: Turns texts and queries into vectors of one fixed dimension.
        index: Which FAISS index: a kind, or an `IndexSpec` with its settings.

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

    def __init__(
        self, embeddings: Embeddings, *, index: IndexKind | IndexSpec = "flat"
    ) -> None:
        # FAISS takes 150 ms to import: the first store pays, reading the name does not.
        from langchain_llmops.retrieval.cosine_index import CosineIndex  # noqa: PLC0415

        self._spec = IndexSpec(kind=index) if isinstance(index, str) else index
        super().__init__(embeddings, CosineIndex(self._spec))

    def __len__(self) -> int:
        return len(self._index)

    @property
    def generation(self) -> int:
        """How often the contents have changed (`GenerationSource`)."""
        return self._index.generation

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
            **kwargs: `batch_size`, which LangChain's `index()` passes, is of no use
                here; others are unknown.

        Returns:
            The id of each document, in order.

        Raises:
            ConfigurationError: The numbers of ids and documents differ, or the vectors
                do not fit those that are stored.
        """
        kwargs.pop("batch_size", None)
        names, fresh = by_id(documents, ids, **kwargs)
        if fresh:
            self._index.put(fresh, self._embeddings.embed_documents(contents(fresh)))
        return names

    @override
    async def aadd_documents(
        self, documents: list[Document], ids: list[str] | None = None, **kwargs: Any
    ) -> list[str]:
        """Add documents, replacing those whose id is known; see `add_documents`."""
        kwargs.pop("batch_size", None)
        names, fresh = by_id(documents, ids, **kwargs)
        if fresh:
            vectors = await self._embeddings.aembed_documents(contents(fresh))
            await self._put(fresh, vectors)
        return names

    def add_embeddings(
        self,
        documents: Sequence[Document],
        vectors: Sequence[Sequence[float]],
        *,
        ids: list[str] | None = None,
    ) -> list[str]:
        """Add documents whose vectors are known, without a call to the embeddings.

        Args:
            documents: What to add, as `add_documents` takes it.
            vectors: One per document, of any length.
            ids: One id per document, instead of the documents' own ids.

        Returns:
            The id of each document, in order.

        Raises:
            ConfigurationError: The numbers of documents, vectors and ids differ, or the
                vectors do not fit those that are stored.
        """
        names, fresh, kept = with_vectors(documents, vectors, ids)
        self._index.put(fresh, kept)
        return names

    async def aadd_embeddings(
        self,
        documents: Sequence[Document],
        vectors: Sequence[Sequence[float]],
        *,
        ids: list[str] | None = None,
    ) -> list[str]:
        """Add documents whose vectors are known; see `add_embeddings`."""
        names, fresh, kept = with_vectors(documents, vectors, ids)
        await self._put(fresh, kept)
        return names

    def vectors(self, ids: Sequence[str]) -> dict[str, list[float]]:
        """Return the stored vectors, of length 1, by id; missing ids are left out."""
        return self._index.vectors(ids)

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
        await self._write(lambda: self._index.drop(ids))
        return True

    @override
    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents with these ids; those that are missing are left out."""
        return self._index.get(ids)

    @override
    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents with these ids; those that are missing are left out."""
        return await self._run(lambda: self._index.get(ids))

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
        write_store(folder, SavedStore(*self._index.dump(), self._spec))

    @classmethod
    def load(cls, folder: str | os.PathLike[str], embeddings: Embeddings) -> FaissStore:
        """Read a store that `save` wrote, given the model that it was built with.

        Raises:
            StorageError: No store is there, or it is damaged.
        """
        saved = read_store(folder)
        store = cls(embeddings, index=saved.spec)
        store._index.restore(saved.vectors, saved.documents)
        return store

    async def _put(
        self, documents: dict[str, Document], vectors: Sequence[Sequence[float]]
    ) -> None:
        floats = len(vectors) * len(vectors[0]) if len(vectors) else 0
        await self._write(lambda: self._index.put(documents, vectors), floats)

    async def _write(self, operation: Callable[[], None], floats: int = 0) -> None:
        """Run a change; one that may learn a graph or lists never holds up the loop."""
        if self._spec.kind == "flat":
            await self._run(operation, floats)
        else:
            await run_in_executor(None, operation)
