"""The texts of one call: which are known, which must be embedded, in what order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["EmbeddingBatch"]


class EmbeddingBatch:
    """Put the embeddings of a call together, whatever the source of each.

    Args:
        texts: What the caller wants embedded.
        key: From a text to its key.
    """

    def __init__(self, texts: Sequence[str], key: Callable[[str], str]) -> None:
        self._keys = [key(text) for text in texts]
        self._texts = dict(zip(self._keys, texts, strict=True))
        self._vectors: dict[str, Sequence[float]] = {}

    @property
    def keys(self) -> list[str]:
        """The key of each different text."""
        return list(self._texts)

    @property
    def repeats(self) -> int:
        """How many texts stand here a second time, or more often."""
        return len(self._keys) - len(self._texts)

    @property
    def missing(self) -> dict[str, str]:
        """Key and text of what has no embedding yet, in the order of the texts."""
        known = self._vectors
        return {key: text for key, text in self._texts.items() if key not in known}

    def add(self, vectors: Mapping[str, Sequence[float]]) -> None:
        """Take in what was remembered under some of the keys."""
        self._vectors.update(vectors)

    def embedded(
        self, vectors: Sequence[Sequence[float]]
    ) -> dict[str, Sequence[float]]:
        """Take in what the model made of the missing texts; return it by key.

        Raises:
            ConfigurationError: There is not one vector for each text.
        """
        missing = self.missing
        if len(vectors) != len(missing):
            raise ConfigurationError(
                f"the model returned {len(vectors)} embeddings for {len(missing)} "
                "texts: it must return one for each, empty texts included"
            )
        made = dict(zip(missing, vectors, strict=True))
        self.add(made)
        return made

    def result(self) -> list[list[float]]:
        """Return a new list for each text, in the order of the texts."""
        return [list(self._vectors[key]) for key in self._keys]
