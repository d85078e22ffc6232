"""`CachedEmbeddings`: a text is embedded once, for everyone who shares the tier."""

from __future__ import annotations

import logging
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from threading import Lock
from typing import TYPE_CHECKING, Final

from langchain_core.embeddings import Embeddings

from langchain_llmops.caching.embeddings.batch import EmbeddingBatch
from langchain_llmops.caching.embeddings.keys import embedding_keys
from langchain_llmops.caching.embeddings.vectors import decode_vector, encode_vector
from langchain_llmops.caching.tiers.base import Entry
from langchain_llmops.caching.tiers.batch import GuardedBatches
from langchain_llmops.caching.tiers.memory import MemoryTier
from langchain_llmops.caching.values.codec import CodecError
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_llmops.caching.embeddings.keys import EmbeddingKind
    from langchain_llmops.caching.tiers.base import Tier

__all__ = ["CachedEmbeddings", "EmbeddingStats"]

logger = logging.getLogger(__name__)

_REST: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingStats:
    """Counts since the cache was made; those of this process.

    Attributes:
        hits: Texts whose embedding the tier had.
        misses: Texts that the model embedded.
        repeats: Texts that stood in the same call before: neither hits nor misses.
        stores: Embeddings remembered.
        evictions: Unexpired embeddings that had to go for want of room.
        errors: Operations of the tier that failed, and embeddings it gave back damaged.
        rested: Operations not tried because the tier had just failed.
    """

    hits: int
    misses: int
    repeats: int
    stores: int
    evictions: int
    errors: int
    rested: int


class CachedEmbeddings(Embeddings):
    """Embed a text once, and remember the embedding in a tier.

    A text is found again by its exact characters, under the class and the settings of
    the model: two models never share an embedding. Only texts that are not remembered
    reach the model, each once, in one call. What a hit returns equals what the model
    returned, to the last bit: numbers take four bytes where that loses nothing, as it
    does for the single precision that providers send, and eight elsewhere.

    An error of the model reaches the caller as it is, and nothing is remembered. The
    tier cannot fail a call: while it is lost, the model embeds. Every result is made
    of new lists. Safe across threads and event loops.

    Args:
        embeddings: The model.
        tier: Where embeddings are kept; by default a `MemoryTier()` of 64 MiB, room for
            10,000 embeddings of 1,536 numbers.
        namespace: A name that enters every key. Where the settings of the model cannot
            be read (those of a plain class, say) and no name is given, this object
            shares its embeddings with no other, and says so in the log.
        ttl: How long an embedding is kept; by default until it is evicted.
        query: Whether `embed_query` is cached too. Questions seldom come back to the
            letter; they may not be worth the room.
        symmetric: Whether the model embeds questions as it does documents, so that they
            share embeddings. Many do (OpenAI's); those that do not (E5, Cohere,
            Gemini) must be kept apart, so it is off.
        clock: Seconds since the epoch.

    Raises:
        ConfigurationError: `ttl` is not positive.

    Example:
        ```python
        from langchain_core.embeddings import DeterministicFakeEmbedding
        from langchain_llmops import CachedEmbeddings

        embeddings = CachedEmbeddings(DeterministicFakeEmbedding(size=8))
        first = embeddings.embed_documents(["tea", "coffee", "tea"])
        assert embeddings.embed_documents(["tea"]) == first[:1]
        assert embeddings.stats().misses == 2
        ```
    """

    def __init__(
        self,
        embeddings: Embeddings,
        tier: Tier | None = None,
        *,
        namespace: str | None = None,
        ttl: timedelta | None = None,
        query: bool = True,
        symmetric: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if ttl is not None and ttl <= timedelta(0):
            raise ConfigurationError(
                f"ttl={ttl!r} is over at once: give a positive one"
            )
        if namespace is None:
            namespace = _namespace_for(embeddings, shared=tier is not None)
        self._embeddings = embeddings
        self._tier = GuardedBatches(
            MemoryTier() if tier is None else tier, rest=_REST, clock=clock
        )
        self._namespace = namespace
        self._ttl_s = None if ttl is None else ttl.total_seconds()
        self._query = query
        self._query_kind: EmbeddingKind = "document" if symmetric else "query"
        self._clock = clock
        self._counts: Counter[str] = Counter()
        self._lock = Lock()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the embedding of each text, in their order."""
        batch = self._batch(texts, "document")
        self._found(batch, self._tier.get_many(batch.keys, self._clock()))
        if missing := list(batch.missing.values()):
            self._store(batch.embedded(self._embeddings.embed_documents(missing)))
        return batch.result()

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return what `embed_documents` returns; never blocks the event loop."""
        batch = self._batch(texts, "document")
        self._found(batch, await self._tier.aget_many(batch.keys, self._clock()))
        if missing := list(batch.missing.values()):
            vectors = await self._embeddings.aembed_documents(missing)
            await self._astore(batch.embedded(vectors))
        return batch.result()

    def embed_query(self, text: str) -> list[float]:
        """Return the embedding of a question."""
        if not self._query:
            return self._embeddings.embed_query(text)
        batch = self._batch([text], self._query_kind)
        self._found(batch, self._tier.get_many(batch.keys, self._clock()))
        if batch.missing:
            self._store(batch.embedded([self._embeddings.embed_query(text)]))
        return batch.result()[0]

    async def aembed_query(self, text: str) -> list[float]:
        """Return what `embed_query` returns; never blocks the event loop."""
        if not self._query:
            return await self._embeddings.aembed_query(text)
        batch = self._batch([text], self._query_kind)
        self._found(batch, await self._tier.aget_many(batch.keys, self._clock()))
        if batch.missing:
            vector = await self._embeddings.aembed_query(text)
            await self._astore(batch.embedded([vector]))
        return batch.result()[0]

    def stats(self) -> EmbeddingStats:
        """Return what this cache did since it was made."""
        with self._lock:
            counts = self._counts.copy()
        return EmbeddingStats(
            hits=counts["hits"],
            misses=counts["misses"],
            repeats=counts["repeats"],
            stores=counts["stores"],
            evictions=self._tier.tier.evictions,
            errors=self._tier.errors,
            rested=self._tier.rested,
        )

    def _batch(self, texts: Sequence[str], kind: EmbeddingKind) -> EmbeddingBatch:
        keys = embedding_keys(self._embeddings, namespace=self._namespace, kind=kind)
        batch = EmbeddingBatch(texts, keys)
        self._count("repeats", batch.repeats)
        return batch

    def _found(self, batch: EmbeddingBatch, entries: Sequence[Entry | None]) -> None:
        vectors = {}
        for key, entry in zip(batch.keys, entries, strict=True):
            if entry is None:
                continue
            try:
                vectors[key] = decode_vector(entry.value)
            except CodecError as error:
                self._tier.damaged(error)
        batch.add(vectors)
        self._count("hits", len(vectors))

    def _store(self, vectors: Mapping[str, Sequence[float]]) -> None:
        entries, now = self._entries(vectors)
        self._count("stores", self._tier.set_many(entries, now))

    async def _astore(self, vectors: Mapping[str, Sequence[float]]) -> None:
        entries, now = self._entries(vectors)
        self._count("stores", await self._tier.aset_many(entries, now))

    def _entries(
        self, vectors: Mapping[str, Sequence[float]]
    ) -> tuple[dict[str, Entry], float]:
        self._count("misses", len(vectors))
        now = self._clock()
        expires_at = None if self._ttl_s is None else now + self._ttl_s
        entries = {}
        for key, vector in vectors.items():
            try:
                entries[key] = Entry(encode_vector(vector), expires_at)
            except CodecError as error:
                self._tier.damaged(error)
        return entries, now

    def _count(self, event: str, by: int) -> None:
        with self._lock:
            self._counts[event] += by


def _namespace_for(embeddings: Embeddings, *, shared: bool) -> str | None:
    """Return `None` if a model's settings tell what it makes of a text, else a nonce.

    Two models that cannot be told apart must never share embeddings: under a name that
    nobody else has, they do not.
    """
    try:
        embedding_keys(embeddings, namespace=None, kind="document")
    except ConfigurationError as error:
        if shared:
            logger.warning("%s. Until then nobody else finds what this caches.", error)
        return uuid.uuid4().hex
    return None
