"""Vector retrieval: a store and a retriever whose score is the true cosine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.retrieval.faiss_store import FaissStore
    from langchain_llmops.retrieval.index_advisor import (
        IndexAdvice,
        IndexAdvisor,
        IndexCosts,
        IndexEstimate,
        Workload,
    )
    from langchain_llmops.retrieval.index_benchmark import (
        IndexMeasurement,
        benchmark_index,
    )
    from langchain_llmops.retrieval.index_spec import IndexKind, IndexSpec
    from langchain_llmops.retrieval.retrieval_cache import (
        RetrievalCache,
        RetrievalCacheStats,
    )
    from langchain_llmops.retrieval.threshold_retriever import ThresholdRetriever

__all__ = (
    "FaissStore",
    "IndexAdvice",
    "IndexAdvisor",
    "IndexCosts",
    "IndexEstimate",
    "IndexKind",
    "IndexMeasurement",
    "IndexSpec",
    "RetrievalCache",
    "RetrievalCacheStats",
    "ThresholdRetriever",
    "Workload",
    "benchmark_index",
)

_MODULES = {
    "faiss_store": ("FaissStore",),
    "index_advisor": (
        "IndexAdvice",
        "IndexAdvisor",
        "IndexCosts",
        "IndexEstimate",
        "Workload",
    ),
    "index_benchmark": ("IndexMeasurement", "benchmark_index"),
    "index_spec": ("IndexKind", "IndexSpec"),
    "retrieval_cache": ("RetrievalCache", "RetrievalCacheStats"),
    "threshold_retriever": ("ThresholdRetriever",),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        name: f"{__name__}.{module}"
        for module, names in _MODULES.items()
        for name in names
    },
)
