"""How a store of cosines is searched: every method of LangChain's, sync and async."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    from langchain_llmops.retrieval.cosine_index import CosineIndex, Found

__all__ = ["CosineSearches"]

_T = TypeVar("_T")

_INLINE_FLOATS: Final = 1_000_000
"""Up to this size a search takes less time than the hop to another thread and back."""


class CosineSearches(VectorStore):
    """The searching half of `FaissStore`.

    Args:
        embeddings: Turns texts and queries into vectors of one fixed dimension.
        index: Where documents and vectors are.
    """

    score_scale: Final = "cosine"
    """What a score is, for those who ask (`ThresholdRetriever`)."""

    def __init__(self, embeddings: Embeddings, index: CosineIndex) -> None:
        self._embeddings = embeddings
        self._index = index

    @property
    @override
    def embeddings(self) -> Embeddings:
        """The embeddings that the store was made with."""
        return self._embeddings

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

    def similarity_search_with_score_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the `k` documents nearest to a vector, each with its cosine."""
        return _scored(self._index.search(embedding, k, **kwargs))

    async def asimilarity_search_with_score_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the `k` documents nearest to a vector, each with its cosine."""
        return await self._run(
            lambda: self.similarity_search_with_score_by_vector(embedding, k, **kwargs)
        )

    @override
    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the `k` nearest documents, each with its cosine to the query."""
        vector = self._embeddings.embed_query(query)
        return self.similarity_search_with_score_by_vector(vector, k, **kwargs)

    @override
    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the `k` nearest documents, each with its cosine to the query."""
        vector = await self._embeddings.aembed_query(query)
        return await self.asimilarity_search_with_score_by_vector(vector, k, **kwargs)

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

    async def _run(self, operation: Callable[[], _T], floats: int = 0) -> _T:
        """Run something on the loop if it is quick, else on another thread."""
        if self._index.floats + floats > _INLINE_FLOATS:
            return await run_in_executor(None, operation)
        return operation()


def _scored(found: Iterable[Found]) -> list[tuple[Document, float]]:
    return [(one.document, one.cosine) for one in found]


def _reaching(
    threshold: float | None, found: list[tuple[Document, float]]
) -> list[tuple[Document, float]]:
    return [pair for pair in found if threshold is None or pair[1] >= threshold]
