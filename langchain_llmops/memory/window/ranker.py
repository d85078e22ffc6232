"""Ranks the messages of an index by what they say about a question."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Literal

import numpy as np

from langchain_llmops.memory.window.relevance import (
    Ranking,
    blend,
    episodes,
    lexical,
    spread,
)
from langchain_llmops.memory.window.words import words

if TYPE_CHECKING:
    import numpy.typing as npt
    from langchain_core.embeddings import Embeddings

    from langchain_llmops.memory.window.index import WindowIndex

__all__ = ["Ranker", "RankerName"]

_log = logging.getLogger(__name__)

RankerName = Literal["bm25", "hybrid"]

_TIE = 1e-6


class Ranker:
    """Scores the messages of an index; knows nothing of budgets.

    Args:
        embeddings: Gives the meaning of messages; `None` to go by words alone.
        ranking: The weights.
    """

    __slots__ = ("embeddings", "failures", "ranking")

    def __init__(self, embeddings: Embeddings | None, ranking: Ranking) -> None:
        self.embeddings = embeddings
        self.ranking = ranking
        self.failures = 0

    def worth(
        self, index: WindowIndex, query: str, vector: list[float] | None
    ) -> npt.NDArray[np.float32]:
        """Return what each unit of a conversation is worth for its tokens.

        Args:
            index: The conversation.
            query: The question.
            vector: Its embedding, if messages have theirs.
        """
        ranking = self.ranking
        speakers = index.speakers()
        asked = set(words(query))
        named = [who for who, name in speakers.items() if not asked.isdisjoint(name)]
        muted = frozenset().union(*(speakers[who] for who in named))
        scores = lexical(index.lexicon, query, ranking, muted)
        if vector is not None and index.vectors is not None:
            cosines = spread(index.vectors @ np.asarray(vector, np.float32), ranking)
            scores = blend(scores, cosines, ranking)
            scores -= scores.min()
        scores = episodes(scores, ranking) * index.weights
        if named and len(named) < len(speakers):
            scores *= np.where(
                index.said_by(named), 1, np.float32(ranking.other_speaker)
            )
        scores *= np.where(index.asks, np.float32(ranking.question), 1)
        age = np.linspace(0, 1, len(index), dtype=np.float32)
        scores = scores * (1 + ranking.recency * age) + np.float32(_TIE) * age
        return self._by_unit(index, scores)

    def embed(self, index: WindowIndex, query: str) -> list[float] | None:
        """Embed what is new in an index, and the question; `None` if that fails."""
        if self.embeddings is None or not len(index):
            return None
        try:
            if new := index.unembedded():
                index.embedded(self.embeddings.embed_documents(new))
            return _unit_length(self.embeddings.embed_query(query))
        except Exception as error:  # noqa: BLE001 - words still rank
            self._fail(error)
            return None

    async def aembed(self, index: WindowIndex, query: str) -> list[float] | None:
        """Embed what is new in an index, and the question; `None` if that fails."""
        if self.embeddings is None or not len(index):
            return None
        try:
            if new := index.unembedded():
                index.embedded(await self.embeddings.aembed_documents(new))
            return _unit_length(await self.embeddings.aembed_query(query))
        except Exception as error:  # noqa: BLE001 - words still rank
            self._fail(error)
            return None

    def _by_unit(
        self, index: WindowIndex, scores: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        starts = np.array(index.units.bounds[:-1], dtype=np.intp)
        tokens = np.add.reduceat(index.chars / 4 + 4, starts)
        best = np.maximum.reduceat(scores, starts)
        best /= tokens ** np.float32(self.ranking.brevity)
        return best

    def _fail(self, error: Exception) -> None:
        if not self.failures:
            _log.warning("embedding failed, messages are ranked by words: %r", error)
        self.failures += 1


def _unit_length(vector: list[float]) -> list[float]:
    length = float(np.linalg.norm(vector)) or 1.0
    return [each / length for each in vector]
