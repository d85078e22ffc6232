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
    from langchain_llmops.caching.flight_lease import FlightLease
    from langchain_llmops.caching.hot import HotQuestion
    from langchain_llmops.caching.invalidation import CachedAnswer, Invalidation
    from langchain_llmops.caching.layer import CacheLayer
    from langchain_llmops.caching.memory_tier import MemoryTier
    from langchain_llmops.caching.redis_lease import RedisLease
    from langchain_llmops.caching.redis_tier import RedisTier
    from langchain_llmops.caching.scope import cache_scope
    from langchain_llmops.caching.semantic import SemanticCache
    from langchain_llmops.caching.semantic_calibration import Calibration
    from langchain_llmops.caching.semantic_judge import Verifier
    from langchain_llmops.caching.semantic_review import ShadowHit
    from langchain_llmops.caching.semantic_stats import SemanticStats
    from langchain_llmops.caching.sqlite_lease import SQLiteLease
    from langchain_llmops.caching.sqlite_tier import SQLiteTier
    from langchain_llmops.caching.stats import CacheStats
    from langchain_llmops.caching.tier import Entry, Tier
    from langchain_llmops.caching.tiered import TieredCache
    from langchain_llmops.caching.warming import WarmReport

__all__ = (
    "AnswerCache",
    "AnswerStore",
    "CacheHit",
    "CacheLayer",
    "CacheRequest",
    "CacheStats",
    "CachedAnswer",
    "CachedEmbeddings",
    "Calibration",
    "EmbeddingStats",
    "Entry",
    "FlightLease",
    "HotQuestion",
    "Invalidation",
    "MemoryTier",
    "RedisLease",
    "RedisTier",
    "SQLiteLease",
    "SQLiteTier",
    "SemanticCache",
    "SemanticStats",
    "ShadowHit",
    "Tier",
    "TieredCache",
    "Verifier",
    "WarmReport",
    "cache_scope",
)

_MODULES = {
    "base": ("AnswerCache", "AnswerStore", "CacheHit", "CacheRequest"),
    "cached_embeddings": ("CachedEmbeddings", "EmbeddingStats"),
    "hot": ("HotQuestion",),
    "invalidation": ("CachedAnswer", "Invalidation"),
    "layer": ("CacheLayer",),
    "memory_tier": ("MemoryTier",),
    "redis_tier": ("RedisTier",),
    "scope": ("cache_scope",),
    "semantic": ("SemanticCache",),
    "sqlite_tier": ("SQLiteTier",),
    "stats": ("CacheStats",),
    "tier": ("Entry", "Tier"),
    "tiered": ("TieredCache",),
    "flight_lease": ("FlightLease",),
    "redis_lease": ("RedisLease",),
    "sqlite_lease": ("SQLiteLease",),
    "semantic_calibration": ("Calibration",),
    "semantic_stats": ("SemanticStats",),
    "semantic_review": ("ShadowHit",),
    "semantic_judge": ("Verifier",),
    "warming": ("WarmReport",),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        name: f"{__name__}.{module}"
        for module, names in _MODULES.items()
        for name in names
    },
)
