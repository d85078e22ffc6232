"""One region's vector store: how it is written, read back and asked."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore

from langchain_llmops.knowledge.steps import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_core.documents import Document

    Vectors = Sequence[Sequence[float]]

__all__ = ["RegionStore"]


class RegionStore:
    """Calls to a vector store, each with a limit of time.

    A store that takes vectors gets them, so that two regions embed a text once: by
    `add_embeddings`, in `FaissStore`'s form or either of those that LangChain's stores
    have. Any other embeds by itself.

    Args:
        name: The region.
        store: Its store.
        timeout_s: Seconds for one call; `None` waits for ever.
    """

    def __init__(self, name: str, store: VectorStore, timeout_s: float | None) -> None:
        self.name = name
        self.store = store
        self._timeout_s = timeout_s
        self._add = _adding(store)

    @property
    def takes_vectors(self) -> bool:
        """Whether it can be given vectors."""
        return self._add is not None

    @property
    def finds_by_vector(self) -> bool:
        """Whether it can be asked by vector."""
        by_vector = type(self.store).similarity_search_by_vector
        return by_vector is not VectorStore.similarity_search_by_vector

    def write(self, documents: list[Document], vectors: Vectors | None) -> Call[Any]:
        """Add documents under their ids, with vectors if it takes them."""
        ids = [str(document.id) for document in documents]
        store = self.store
        if self._add is None or vectors is None:
            return self._call(
                lambda: store.add_documents(documents, ids=ids),
                lambda: store.aadd_documents(documents, ids=ids),
            )
        do, ado = self._add
        return self._call(
            partial(do, documents, vectors, ids), partial(ado, documents, vectors, ids)
        )

    def delete(self, ids: list[str]) -> Call[Any]:
        """Delete documents."""
        return self._call(
            lambda: self.store.delete(ids), lambda: self.store.adelete(ids)
        )

    def fetch(self, ids: list[str]) -> Call[list[Document]]:
        """Read documents back."""
        return self._call(
            lambda: self.store.get_by_ids(ids), lambda: self.store.aget_by_ids(ids)
        )

    def near(
        self, text: str, vector: Sequence[float] | None, k: int
    ) -> Call[list[Document]]:
        """Ask for what is nearest to a vector, or to a text where there is none."""
        store = self.store
        if vector is None:
            return self._call(
                lambda: store.similarity_search(text, k=k),
                lambda: store.asimilarity_search(text, k=k),
            )
        row = list(vector)
        return self._call(
            lambda: store.similarity_search_by_vector(row, k=k),
            lambda: store.asimilarity_search_by_vector(row, k=k),
        )

    def _call(self, do: Callable[[], Any], ado: Callable[[], Any]) -> Call[Any]:
        return Call(do, ado, self._timeout_s)


def _adding(store: Any) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """Return how a store is given vectors, sync and async; `None` if it is not."""
    if not hasattr(store, "add_embeddings"):
        return None
    parameters = inspect.signature(store.add_embeddings).parameters
    pairs = "text_embeddings" in parameters

    def arguments(documents: Any, vectors: Any, ids: Any) -> dict[str, Any]:
        if "documents" in parameters:
            return {"documents": documents, "vectors": vectors, "ids": ids}
        texts = [document.page_content for document in documents]
        rest = {"metadatas": [document.metadata for document in documents], "ids": ids}
        if pairs:
            return {"text_embeddings": list(zip(texts, vectors, strict=True)), **rest}
        return {"texts": texts, "embeddings": [list(v) for v in vectors], **rest}

    def embed(documents: Any, vectors: Any, ids: Any) -> Any:
        return store.add_embeddings(**arguments(documents, vectors, ids))

    async def aembed(documents: Any, vectors: Any, ids: Any) -> Any:
        given = arguments(documents, vectors, ids)
        if hasattr(store, "aadd_embeddings"):
            return await store.aadd_embeddings(**given)
        return await run_in_executor(None, partial(store.add_embeddings, **given))

    return embed, aembed
