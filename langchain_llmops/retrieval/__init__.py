"""Vector retrieval: a FAISS store whose score is the true cosine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.retrieval.faiss_store import FaissStore

__all__ = ("FaissStore",)

__getattr__, __dir__ = lazy_names(__name__, {"FaissStore": f"{__name__}.faiss_store"})
