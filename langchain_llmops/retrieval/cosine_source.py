"""Documents with their true cosine, out of any vector store.

In this order: the store says that its score is the cosine; its vectors can be read; its
score is recognised by a probe; the texts that it returns are embedded again. What is
left cannot be known, and is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.retrieval.community_adapter import (
    CommunityFaissVectors,
    is_community_faiss,
)
from langchain_llmops.retrieval.score_scales import (
    COSINE,
    SPREAD,
    Observation,
    ScoreScale,
    recognise,
)
from langchain_llmops.retrieval.steps import Embed, EmbedQuery, Search

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore

    from langchain_llmops.retrieval.steps import Scored
    from langchain_llmops.storage.plans import Plan

    Floats = npt.NDArray[np.float64]

__all__ = ["CosineFrom", "CosineSource"]

CosineFrom: TypeAlias = "Literal['auto', 'embed'] | Callable[[float], float]"
"""Where cosines come from: found out, the texts embedded again, or from the score."""

_BY_VECTOR: Final = "similarity_search_with_score_by_vector"
_BY_TEXT: Final = "similarity_search_with_score"
_RELEVANCE: Final = "_similarity_search_with_relevance_scores"
"""What stores override; the public method around it warns of each score below 0."""
_UNSCORED: Final = "similarity_search"
_OTHER_TEXT: Final = "The tide comes in twice a day."
"""A query for a store that takes no vector; any text that is like no document's."""
_PROBED: Final = 4
"""Documents that each probe asks for."""
_WIDE: Final = 100
"""Documents asked of a store that ranks by something else than the cosine."""


class CosineSource:
    """Ask one store, and turn its scores into cosines.

    The first search of a store whose score is unknown embeds the texts that it found
    and asks the store twice more: for what is nearest to one of its own documents, and
    to a vector at right angles to it. Safe across threads; two first searches at once
    both find out.

    Args:
        store: The store.
        embeddings: What its vectors were made with; the store's own by default.
        cosine_from: `auto`, `embed`, or what turns a score into a cosine.
    """

    def __init__(
        self, store: VectorStore, embeddings: Embeddings | None, cosine_from: CosineFrom
    ) -> None:
        self._store = store
        self._model = embeddings or store.embeddings
        self._from = cosine_from
        self._vectors = (
            CommunityFaissVectors(store) if is_community_faiss(store) else None
        )
        self.scale: ScoreScale | None = None
        known = getattr(store, "score_scale", None) == "cosine"
        if known or isinstance(store, InMemoryVectorStore):
            self.scale = COSINE

    def find(
        self, query: str, k: int, filter_: Any, vector: list[float] | None = None
    ) -> Plan[Scored]:
        """Plan a search for the `k` nearest documents and their cosines.

        Args:
            query: What to look for.
            k: How many the store is asked for, at least.
            filter_: As the store takes it; `None` for none.
            vector: The query's vector, if it is known.

        Raises:
            ConfigurationError: The cosines cannot be known.
        """
        if callable(self._from):
            found, _ = yield from self._scored(query, vector, k, filter_)
            read = self._from
            return [(document, read(score)) for document, score in found]
        if self._from == "embed":
            return (yield from self._embedded(query, vector, k, filter_))
        if self.scale is not None and not self.scale.needs_lengths:
            found, _ = yield from self._scored(query, vector, k, filter_)
            read = self.scale.cosine
            return [(document, read(score)) for document, score in found]
        model = self._known_model()
        if vector is None:
            vector = yield EmbedQuery(model=model, text=query)
        if self._vectors is not None:
            wide = max(k, _WIDE)
            found, _ = yield from self._scored(query, vector, wide, filter_)
            documents = [document for document, _ in found]
            rows = self._vectors.vectors(documents) if documents else None
            if rows is not None:
                return _with_cosines(documents, rows, vector)
            return (yield from self._embedded(query, vector, wide, filter_))
        return (yield from self._probed(query, vector, k, filter_))

    def _probed(
        self, query: str, vector: list[float], k: int, filter_: Any
    ) -> Plan[Scored]:
        """Search; find out what the score means if it is not known yet."""
        if self.scale is None:
            found, method = yield from self._scored(query, vector, k, filter_)
            if not found:
                return []
            self.scale = yield from self._probe(method, found, vector, filter_)
            if self.scale is not None and not self.scale.needs_lengths:
                read = self.scale.cosine
                return [(document, read(score)) for document, score in found]
        # Lengths differ, or there was too little to tell: by the vectors themselves.
        wide = max(k, _WIDE) if self.scale is not None else k
        return (yield from self._embedded(query, vector, wide, filter_))

    def _probe(
        self, method: str, found: Scored, vector: list[float], filter_: Any
    ) -> Plan[ScoreScale | None]:
        """Return what the score means; `None` if there was too little to tell.

        Raises:
            ConfigurationError: No known meaning explains the scores.
        """
        model = self._known_model()
        asked = [(np.asarray(vector, np.float64), found)]
        text = found[0][0].page_content
        (own,) = yield Embed(model=model, texts=[text])
        if method == _BY_VECTOR:
            for probe in (np.asarray(own, np.float64), _orthogonal(own)):
                step = self._search(method, probe.tolist(), _PROBED, filter_)
                asked.append((probe, (yield step)))
        else:
            for probe_text in (text, _OTHER_TEXT):
                probe = np.asarray((yield EmbedQuery(model=model, text=probe_text)))
                step = self._search(method, probe_text, _PROBED, filter_)
                asked.append((probe, (yield step)))
        texts = list({d.page_content: None for _, pairs in asked for d, _ in pairs})
        rows = yield Embed(model=model, texts=texts)
        known = dict(zip(texts, np.asarray(rows, np.float64), strict=True))
        seen = [
            _observation(score, query, known[document.page_content])
            for query, pairs in asked
            for document, score in pairs
        ]
        cosines = [one.cosine for one in seen]
        if max(cosines) - min(cosines) < SPREAD:
            return None
        scale = recognise(seen)
        if scale is None:
            self._refuse_scores(seen)
        return scale

    def _scored(
        self, query: str, vector: list[float] | None, k: int, filter_: Any
    ) -> Plan[tuple[Scored, str]]:
        """Search by the first method that returns scores; return its name, too."""
        if vector is not None and hasattr(self._store, _BY_VECTOR):
            try:
                return (yield self._search(_BY_VECTOR, vector, k, filter_)), _BY_VECTOR
            except NotImplementedError:
                pass
        for method in (_BY_TEXT, _RELEVANCE):
            try:
                return (yield self._search(method, query, k, filter_)), method
            except NotImplementedError:
                continue
        raise ConfigurationError(
            f"{type(self._store).__name__} returns no scores, so a cosine cannot be "
            'known: pass cosine_from="embed" to embed the texts that it finds (one '
            "more call of the embeddings for each search that the cache does not "
            "answer), or use a store with similarity_search_with_score"
        )

    def _embedded(
        self, query: str, vector: list[float] | None, k: int, filter_: Any
    ) -> Plan[Scored]:
        """Search, and compare the texts' own vectors."""
        model = self._known_model()
        if vector is None:
            vector = yield EmbedQuery(model=model, text=query)
        documents = yield self._search(_UNSCORED, query, k, filter_)
        if not documents:
            return []
        rows = yield Embed(model=model, texts=[d.page_content for d in documents])
        return _with_cosines(documents, np.asarray(rows), vector)

    def _search(
        self, method: str, query: str | list[float], k: int, filter_: Any
    ) -> Search:
        options: dict[str, Any] = {}
        if filter_ is not None:
            options["filter"] = filter_
            if self._vectors is not None:
                options |= self._vectors.options()
        return Search(
            store=self._store, method=method, query=query, k=k, options=options
        )

    def _known_model(self) -> Embeddings:
        if self._model is None:
            raise ConfigurationError(
                f"{type(self._store).__name__} does not say which embeddings it uses, "
                "so its scores cannot be checked: pass embeddings=…, or what turns its "
                "score into a cosine, such as cosine_from=lambda distance: 1 - distance"
            )
        return self._model

    def _refuse_scores(self, seen: Sequence[Observation]) -> None:
        best = max(seen, key=lambda one: one.cosine)
        worst = min(seen, key=lambda one: one.cosine)
        raise ConfigurationError(
            f"the scores of {type(self._store).__name__} have no known meaning: a "
            f"cosine of {best.cosine:.3f} scored {best.score!r}, one of "
            f"{worst.cosine:.3f} scored {worst.score!r}. Check that embeddings= is the "
            "model that the store was built with; then pass what turns a score into a "
            'cosine (cosine_from=lambda score: …), or cosine_from="embed"'
        )


def _observation(score: float, query: Floats, row: Floats) -> Observation:
    a, b = float(np.linalg.norm(query)), float(np.linalg.norm(row))
    cosine = float(query @ row) / (a * b) if a and b else 0.0
    return Observation(score=float(score), cosine=cosine, query_length=a, length=b)


def _orthogonal(vector: Sequence[float]) -> Floats:
    """Return a vector of the same length at right angles: the same one every time."""
    row = np.asarray(vector, np.float64)
    other = np.random.default_rng(0).standard_normal(row.size)
    length = float(np.linalg.norm(row)) or 1.0
    other -= row * (other @ row) / length**2
    turned: Floats = other * (length / (np.linalg.norm(other) or 1.0))
    return turned


def _with_cosines(
    documents: Sequence[Document], rows: npt.NDArray[Any], vector: Sequence[float]
) -> Scored:
    stored = np.asarray(rows, np.float64)
    query = np.asarray(vector, np.float64)
    lengths = np.linalg.norm(stored, axis=1) * np.linalg.norm(query)
    lengths[lengths == 0] = 1.0
    cosines = np.clip(stored @ query / lengths, -1.0, 1.0).tolist()
    return list(zip(documents, cosines, strict=True))
