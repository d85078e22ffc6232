"""I want to pay once for an answer: exact and semantic caches, streams included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.caching.base import (
        AnswerCache,
        AnswerStore,
        CacheHit,
        CacheRequest,
    )
    from langchain_llmops.caching.cached_embeddings import (
        CachedEmbeddings,
        EmbeddingStats,
    )
    from langchain_llmops.caching.layer import CacheLayer
    from langchain_llmops.caching.memory_tier import MemoryTier
    from langchain_llmops.caching.redis_tier import RedisTier
    from langchain_llmops.caching.semantic import SemanticCache
    from langchain_llmops.caching.sqlite_tier import SQLiteTier
    from langchain_llmops.caching.stats import CacheStats
    from langchain_llmops.caching.tier import Entry, Tier
    from langchain_llmops.caching.tiered import TieredCache

__all__ = (
    "AnswerCache",
    "AnswerStore",
    "CacheHit",
    "CacheLayer",
    "CacheRequest",
    "CacheStats",
    "CachedEmbeddings",
    "EmbeddingStats",
    "Entry",
    "MemoryTier",
    "RedisTier",
    "SQLiteTier",
    "SemanticCache",
    "Tier",
    "TieredCache",
)

_MODULES = {
    "base": ("AnswerCache", "AnswerStore", "CacheHit", "CacheRequest"),
    "cached_embeddings": ("CachedEmbeddings", "EmbeddingStats"),
    "layer": ("CacheLayer",),
    "memory_tier": ("MemoryTier",),
    "redis_tier": ("RedisTier",),
    "semantic": ("SemanticCache",),
    "sqlite_tier": ("SQLiteTier",),
    "stats": ("CacheStats",),
    "tier": ("Entry", "Tier"),
    "tiered": ("TieredCache",),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        name: f"{__name__}.{module}"
        for module, names in _MODULES.items()
        for name in names
    },
)
