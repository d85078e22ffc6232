"""`ThresholdRetriever`: documents above a true cosine, out of a store or the cache."""

from __future__ import annotations

import json
import operator
import time
import unicodedata
from collections.abc import Callable  # noqa: TC003 - pydantic reads the annotations
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from langchain_core.documents import BaseDocumentCompressor  # noqa: TC002 - a field's type
from langchain_core.embeddings import Embeddings  # noqa: TC002 - a field's type
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore  # noqa: TC002 - a field's type
from pydantic import Field, PrivateAttr
from typing_extensions import override

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.retrieval.cosine_source import CosineSource
from langchain_llmops.retrieval.retrieval_cache import (
    Near,
    RetrievalCache,
    Same,
    marked,
    twin,
)
from langchain_llmops.retrieval.steps import EmbedQuery, Rerank
from langchain_llmops.storage.plans import arun, run

if TYPE_CHECKING:
    from collections.abc import Hashable

    from langchain_core.callbacks import (
        AsyncCallbackManagerForRetrieverRun,
        CallbackManagerForRetrieverRun,
        Callbacks,
    )
    from langchain_core.documents import Document

    from langchain_llmops.retrieval.retrieval_cache import Key
    from langchain_llmops.retrieval.steps import Scored
    from langchain_llmops.storage.plans import Plan

__all__ = ["ThresholdRetriever"]

_SLACK: Final = 1e-4
"""How much below the threshold a cosine may be: single precision errs by less."""
_PER_RERANKED: Final = 4
"""Documents that a reranker chooses one from, unless `fetch_k` says how many."""


class ThresholdRetriever(BaseRetriever):
    """Return the documents whose cosine to the query reaches a threshold.

    The threshold is the true cosine, within 0.001, whatever the store's distance and
    whether or not its vectors have length 1. Stores that rank by another measure are
    asked for 100 documents at least. Where the cosine cannot be known the first call
    raises a `ConfigurationError` that says how to tell the retriever.

    Every document carries `score`, its cosine, and `store_version`, the store's
    `generation` if it has one, in its metadata. Documents are copies, safe to change.

    What was found is kept for `ttl` seconds, by the question (whitespace apart), `k`,
    the filter, the threshold and the store's generation: once that changes nothing
    older is returned. Equal questions at the same time make one search.

    Safe across threads and event loops; both sides are native. A search costs one call
    of `embed_query` and one of the store; the first one, if the store's score is not
    known, two calls of `embed_documents` and two searches more.

    Args:
        vectorstore: Where to search.
        threshold: Smallest cosine of a document that is returned.
        k: How many documents at most.
        fetch_k: How many the store is asked for; `k` by default, `4 * k` before a
            reranker.
        filter: What the store's searches take as `filter`.
        cache: Whether to keep what was found, or a `RetrievalCache` to share.
        ttl: How long it is kept, in seconds or as a `timedelta`; `None` for ever.
        max_entries: How many questions are kept.
        near_duplicates: Smallest cosine between two questions of which the second gets
            the first one's documents, with the scores of the first. Off by default;
            questions that differ in a number, a negation or an opposite never share.
        reranker: Reorders, and may drop, what reached the threshold.
        embeddings: What the store's vectors were made with, if it does not say.
        cosine_from: `auto` finds out what the store's score means; `embed` embeds the
            texts found instead; a function turns a score into a cosine.
        clock: Seconds that only go up, for `ttl`.

    `k`, `threshold` and `filter` may also be given with a single call:
    `retriever.invoke(question, k=2)`.

    Raises:
        ConfigurationError: A number makes no sense.

    Example:
        ```python
        from langchain_core.documents import Document
        from langchain_core.embeddings import DeterministicFakeEmbedding
        from langchain_core.vectorstores import InMemoryVectorStore
        from langchain_llmops import ThresholdRetriever

        store = InMemoryVectorStore(DeterministicFakeEmbedding(size=64))
        store.add_documents([Document("A tuple is immutable.", id="tuple")])
        retriever = ThresholdRetriever(store, threshold=0.7)
        (found,) = retriever.invoke("A tuple is immutable.")
        assert round(found.metadata["score"], 3) == 1.0
        assert retriever.invoke("What is tea?") == []
        ```
    """

    vectorstore: VectorStore
    threshold: float = 0.7
    k: int = 4
    fetch_k: int | None = None
    filter: Any = None
    cache: bool | RetrievalCache = True
    ttl: float | timedelta | None = 300.0
    max_entries: int = 10_000
    near_duplicates: float | None = None
    reranker: BaseDocumentCompressor | None = None
    embeddings: Embeddings | None = None
    cosine_from: Literal["auto", "embed"] | Callable[[float], float] = "auto"
    clock: Callable[[], float] = Field(default=time.monotonic, exclude=True)
    _source: CosineSource | None = PrivateAttr(default=None)
    _source_of: tuple[object, ...] = PrivateAttr(default=())

    def __init__(self, vectorstore: VectorStore, **fields: Any) -> None:
        super().__init__(vectorstore=vectorstore, **fields)  # type: ignore[call-arg]
        # Here, not in a validator: pydantic would wrap the error in one of its own.
        _check(self.k, self.threshold, self.fetch_k)
        if self.near_duplicates is not None and not 0 < self.near_duplicates <= 1:
            raise ConfigurationError(
                f"near_duplicates={self.near_duplicates!r}: give a cosine such as "
                "0.97, or None"
            )
        if self.cache is True:
            ttl = self.ttl
            # Kept in the field, so that what is made from the fields shares it.
            self.cache = RetrievalCache(
                ttl_s=ttl.total_seconds() if isinstance(ttl, timedelta) else ttl,
                max_entries=self.max_entries,
                clock=self.clock,
            )

    @override
    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        threshold: float | None = None,
        filter: Any = None,
    ) -> list[Document]:
        wanted = self._wanted(query, k, threshold, filter)
        cache, key = self.cache, wanted.key
        if not isinstance(cache, RetrievalCache) or key is None:
            return list(run(self._fetch(wanted, run_manager.get_child)).documents)
        since = cache.flights.landings
        found = cache.get(key)
        if found is None:
            with cache.flights.seat(repr(key), since=since) as seat:
                found = cache.get(key) if seat.look_again else None
                if found is None:
                    fetched = run(self._fetch(wanted, run_manager.get_child))
                    seat.end(committed=fetched.kept)
                    found = fetched.documents
        return list(map(twin, found))

    @override
    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        threshold: float | None = None,
        filter: Any = None,
    ) -> list[Document]:
        wanted = self._wanted(query, k, threshold, filter)
        cache, key = self.cache, wanted.key
        if not isinstance(cache, RetrievalCache) or key is None:
            return list(
                (await arun(self._fetch(wanted, run_manager.get_child))).documents
            )
        since = cache.flights.landings
        found = cache.get(key)
        if found is None:
            async with cache.flights.seat(repr(key), since=since) as seat:
                found = cache.get(key) if seat.look_again else None
                if found is None:
                    fetched = await arun(self._fetch(wanted, run_manager.get_child))
                    seat.end(committed=fetched.kept)
                    found = fetched.documents
        return list(map(twin, found))

    def _wanted(
        self, query: str, k: int | None, threshold: float | None, filter_: Any
    ) -> _Wanted:
        """Return what one call asks for, and its key; `None` if it has none."""
        if k is not None or threshold is not None:
            _check(1 if k is None else k, threshold or 0.0, None)
        k = self.k if k is None else k
        threshold = self.threshold if threshold is None else threshold
        filter_ = self.filter if filter_ is None else filter_
        generation = getattr(self.vectorstore, "generation", None)
        key: Key | None = None
        if self.cache is not False and (sieve := _filter_key(filter_)) is not None:
            key = (
                " ".join(_composed(query).split()),
                (
                    k,
                    threshold,
                    sieve,
                    generation,
                    self.fetch_k,
                    self.near_duplicates,
                    Same(
                        self.vectorstore,
                        self.reranker,
                        self.embeddings,
                        self.cosine_from,
                    ),
                ),
            )
        return _Wanted(query, k, threshold, filter_, generation, key)

    def _fetch(
        self, wanted: _Wanted, callbacks: Callable[[], Callbacks]
    ) -> Plan[_Fetched]:
        """Plan a retrieval that the cache does not answer, and keep its result."""
        cache = self.cache if isinstance(self.cache, RetrievalCache) else None
        near, vector = None, None
        if cache is not None and wanted.key is not None:
            near = yield from self._near(wanted.key, wanted.query)
            if near is not None:
                vector = near.vector
                similar = cache.get_near(wanted.key, near)
                if similar is not None:
                    cache.put(wanted.key, similar)
                    return _Fetched(similar, kept=True)
            cache.missed()
        count = wanted.k if self.reranker is None else _PER_RERANKED * wanted.k
        count = max(wanted.k, self.fetch_k or count)
        scored = yield from self._cosines().find(
            wanted.query, count, wanted.filter, vector
        )
        documents = _reaching(scored, wanted.threshold, wanted.generation)
        if self.reranker is not None and documents:
            documents = yield Rerank(
                compressor=self.reranker,
                documents=documents,
                query=wanted.query,
                callbacks=callbacks(),
            )
        found = tuple(documents[: wanted.k])
        # What was searched while the store changed belongs to neither generation.
        now = getattr(self.vectorstore, "generation", None)
        if cache is None or wanted.key is None or now != wanted.generation:
            return _Fetched(found, kept=False)
        cache.put(wanted.key, found, near)
        return _Fetched(found, kept=True)

    def _near(self, key: Key, query: str) -> Plan[Near | None]:
        if self.near_duplicates is None:
            return None
        model = self.embeddings or self.vectorstore.embeddings
        if model is None:
            raise ConfigurationError(
                f"near_duplicates={self.near_duplicates!r} compares questions, but "
                f"{type(self.vectorstore).__name__} does not say which embeddings it "
                "uses: pass embeddings=…"
            )
        vector = yield EmbedQuery(model=model, text=query)
        return Near(question=key[0], vector=vector, floor=self.near_duplicates)

    def _cosines(self) -> CosineSource:
        """Return what asks the store; made anew if a copy has another store."""
        fields = (self.vectorstore, self.embeddings, self.cosine_from)
        source = self._source
        if source is None or not all(map(operator.is_, fields, self._source_of)):
            source = self._source = CosineSource(*fields)
            self._source_of = fields
        return source


class _Wanted(NamedTuple):
    """What one call asks for."""

    query: str
    k: int
    threshold: float
    filter: Any
    generation: int | str | None
    key: Key | None


class _Fetched(NamedTuple):
    """What was found, and whether the cache has it now."""

    documents: tuple[Document, ...]
    kept: bool


def _reaching(
    scored: Scored, threshold: float, generation: int | str | None
) -> list[Document]:
    """Return copies of the documents that reach the threshold, nearest first."""
    marks = {} if generation is None else {"store_version": generation}
    kept = [pair for pair in scored if pair[1] >= threshold - _SLACK]
    kept.sort(key=lambda pair: -pair[1])
    return [marked(document, score=score, **marks) for document, score in kept]


def _composed(query: str) -> str:
    return query if query.isascii() else unicodedata.normalize("NFC", query)


def _filter_key(filter_: Any) -> Hashable | None:
    """Return what tells filters apart; `None` if nothing can."""
    if filter_ is None:
        return ""
    if callable(filter_):
        return Same(filter_)
    try:
        return json.dumps(filter_, sort_keys=True)
    except (TypeError, ValueError):
        return None


def _check(k: int, threshold: float, fetch_k: int | None) -> None:
    if k < 1:
        raise ConfigurationError(f"k={k!r}: use 1 or more")
    if fetch_k is not None and fetch_k < 1:
        raise ConfigurationError(f"fetch_k={fetch_k!r}: use 1 or more, or None")
    if not -1 <= threshold <= 1:
        raise ConfigurationError(
            f"threshold={threshold!r} is no cosine: give a number from -1 to 1"
        )
