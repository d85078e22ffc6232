"""Embeddings that cannot fail a call, asked once for what was just asked."""

from __future__ import annotations

import logging
from collections import OrderedDict
from threading import Lock
from typing import TYPE_CHECKING, Final

import numpy as np

from langchain_llmops.model_names import embedding_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from langchain_core.embeddings import Embeddings

    from langchain_llmops.caching.semantic.vector_rows import Vector

__all__ = ["QuestionEmbedder", "unit_vector"]

logger = logging.getLogger(__name__)

_REMEMBERED: Final = 1_024
"""Vectors kept from a lookup for the store that follows it."""
_REST_S: Final = 5.0
"""How long a model that failed is left alone, so that no call waits for it in vain."""
_EQUAL: Final = 0.9999


def unit_vector(values: Iterable[float]) -> Vector | None:
    """Return the direction of an embedding as float32, or `None` if it has none.

    Args:
        values: What an embedding model returned: floats in a list or an array.

    Returns:
        A one-dimensional vector of length 1; `None` for an empty or zero vector and
        for one that is not finite, which are no direction to search in.
    """
    vector = np.asarray(values, dtype=np.float32)
    if vector.ndim != 1:
        return None
    norm = float(np.linalg.norm(vector))
    return vector / norm if np.isfinite(norm) and norm > 0.0 else None


class QuestionEmbedder:
    """Turn questions into directions; safe across threads and event loops.

    Args:
        embeddings: The model. What it raises is counted, logged once and survived.
        clock: Seconds that only go up.
    """

    def __init__(self, embeddings: Embeddings, *, clock: Callable[[], float]) -> None:
        self.errors = 0
        self._embeddings = embeddings
        self._clock = clock
        self._lock = Lock()
        self._recent: OrderedDict[str, Vector] = OrderedDict()
        self._resting_until = float("-inf")
        self._told = False

    @property
    def identity(self) -> str:
        """What tells this model's vectors from those of another."""
        return embedding_identity(self._embeddings)

    def embed(self, text: str) -> Vector | None:
        """Return the direction of a question; `None` if the model has none to give."""
        if (known := self._recall(text)) is not None or self._rests():
            return known
        try:
            values = self._embeddings.embed_query(text)
            return self._remember(text, unit_vector(values))
        except Exception as error:  # noqa: BLE001 - whatever a model raises
            self.failed(error)
            return None

    async def aembed(self, text: str) -> Vector | None:
        """Return what `embed` returns, through the model's own async method."""
        if (known := self._recall(text)) is not None or self._rests():
            return known
        try:
            values = await self._embeddings.aembed_query(text)
            return self._remember(text, unit_vector(values))
        except Exception as error:  # noqa: BLE001 - whatever a model raises
            self.failed(error)
            return None

    def embed_all(self, texts: Sequence[str]) -> list[Vector | None]:
        """Return the directions of many questions; raises what the model raises.

        Goes through `embed_documents`, in batches, if that is what the model makes of
        queries too; models that embed the two differently are asked one by one.
        """
        model = self._embeddings
        if not texts:
            return []
        one = unit_vector(model.embed_query(texts[0]))
        if _alike(one, unit_vector(model.embed_documents([texts[0]])[0])):
            return [unit_vector(v) for v in model.embed_documents(list(texts))]
        return [one, *(unit_vector(model.embed_query(text)) for text in texts[1:])]

    async def aembed_all(self, texts: Sequence[str]) -> list[Vector | None]:
        """Return what `embed_all` returns, through the model's own async methods."""
        model = self._embeddings
        if not texts:
            return []
        one = unit_vector(await model.aembed_query(texts[0]))
        probe = await model.aembed_documents([texts[0]])
        if _alike(one, unit_vector(probe[0])):
            return [unit_vector(v) for v in await model.aembed_documents(list(texts))]
        rest = [unit_vector(await model.aembed_query(text)) for text in texts[1:]]
        return [one, *rest]

    def failed(self, error: Exception) -> None:
        """Count a failure, log the first, and leave the model alone for a while."""
        with self._lock:
            self.errors += 1
            self._resting_until = self._clock() + _REST_S
            told, self._told = self._told, True
        if not told:
            logger.warning(
                "no semantic lookup: %s failed (%s: %s). Exact hits go on; further "
                "failures are only counted in stats().embedding_errors.",
                type(self._embeddings).__name__,
                type(error).__name__,
                error,
            )

    def _rests(self) -> bool:
        return self._clock() < self._resting_until

    def _recall(self, text: str) -> Vector | None:
        with self._lock:
            return self._recent.get(text)

    def _remember(self, text: str, vector: Vector | None) -> Vector | None:
        if vector is not None:
            with self._lock:
                self._recent[text] = vector
                if len(self._recent) > _REMEMBERED:
                    self._recent.popitem(last=False)
        return vector


def _alike(one: Vector | None, other: Vector | None) -> bool:
    return (
        one is not None
        and other is not None
        and len(one) == len(other)
        and float(one @ other) > _EQUAL
    )
