"""Embed a text once for all regions and versions, and notice another model."""

from __future__ import annotations

import math
import operator
from array import array
from typing import TYPE_CHECKING, Final

from langchain_llmops.caching import CachedEmbeddings, SQLiteTier
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.knowledge.steps import Call, Work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore

    from langchain_llmops.knowledge.manifest import Manifest
    from langchain_llmops.storage.plans import Plan

__all__ = ["Embedder", "check_sample", "model_of"]

_SAMPLE: Final = "A sample that tells one embedding model from another."
_SAME: Final = 0.999
"""Cosine above which two samples are of one model: providers round differently."""


class Embedder:
    """The knowledge base's embedding model behind a cache that outlives the process.

    A `CachedEmbeddings` is used as it is; any other model gets a cache in a file beside
    a SQLite manifest, or in memory where the manifest is a server.

    Args:
        embeddings: The model.
        manifest: Where the knowledge base is kept.
    """

    def __init__(self, embeddings: Embeddings, manifest: Manifest) -> None:
        self._given = embeddings
        self._manifest = manifest
        self._embeddings: Embeddings | None = None

    def embed(self, texts: list[str]) -> Plan[list[list[float]]]:
        """Return the embedding of each text, those known without a call."""
        if self._embeddings is None:
            self._embeddings = yield Work(self._cached)
        model = self._embeddings
        vectors: list[list[float]] = yield Call(
            lambda: model.embed_documents(texts), lambda: model.aembed_documents(texts)
        )
        return vectors

    def sample(self) -> Plan[bytes]:
        """Return how the model embeds a fixed text."""
        (vector,) = yield from self.embed([_SAMPLE])
        return array("f", vector).tobytes()

    def _cached(self) -> Embeddings:
        if isinstance(self._given, CachedEmbeddings):
            return self._given
        engine = self._manifest.engine
        if engine.dialect.name != "sqlite":
            return CachedEmbeddings(self._given)
        tier = SQLiteTier(f"{engine.url.database}.vectors")
        return CachedEmbeddings(self._given, tier, query=False)


def check_sample(kb: str, before: bytes | None, now: bytes) -> None:
    """Refuse a model that is not the one the knowledge base was built with.

    Args:
        kb: Name of the knowledge base, for the error.
        before: The sample of its model; `None` if it has none yet.
        now: The sample of this one.

    Raises:
        ConfigurationError: It is another.
    """
    if before is None or before == now:
        return
    old, new = array("f", before), array("f", now)
    way_out = (
        "use the model it was built with, or give the new one a knowledge base with "
        "another name and new stores"
    )
    if len(old) != len(new):
        raise ConfigurationError(
            f"the embedding model makes {len(new)} dimensions, {kb!r} was built with "
            f"{len(old)}: {way_out}"
        )
    if _cosine(old, new) < _SAME:
        raise ConfigurationError(
            f"the embedding model is not the one that {kb!r} was built with: {way_out}"
        )


def model_of(given: Embeddings | None, store: VectorStore) -> Embeddings:
    """Return the model that was given, or the store's own.

    Raises:
        ConfigurationError: There is neither.
    """
    found = given or store.embeddings
    if found is None:
        raise ConfigurationError(
            f"{type(store).__name__} does not say which embeddings it uses: give "
            "embeddings="
        )
    return found


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(map(operator.mul, one, other)) / lengths if lengths else 0.0
