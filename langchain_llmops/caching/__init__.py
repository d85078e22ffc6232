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
    from langchain_llmops.caching.embeddings.cached_embeddings import (
        CachedEmbeddings,
        EmbeddingStats,
    )
    from langchain_llmops.caching.flight.lease import FlightLease
    from langchain_llmops.caching.flight.redis_lease import RedisLease
    from langchain_llmops.caching.flight.sqlite_lease import SQLiteLease
    from langchain_llmops.caching.hot import HotQuestion
    from langchain_llmops.caching.invalidation import CachedAnswer, Invalidation
    from langchain_llmops.caching.layer import CacheLayer
    from langchain_llmops.caching.requests.scope import cache_scope
    from langchain_llmops.caching.semantic.base import (
        Match,
        QuestionCounts,
        QuestionStore,
    )
    from langchain_llmops.caching.semantic.cache import SemanticCache
    from langchain_llmops.caching.semantic.judge import Verifier
    from langchain_llmops.caching.semantic.operating_point import Calibration
    from langchain_llmops.caching.semantic.pg_questions import PgVectorQuestions
    from langchain_llmops.caching.semantic.review import ShadowHit
    from langchain_llmops.caching.semantic.stats import SemanticStats
    from langchain_llmops.caching.stats import CacheStats
    from langchain_llmops.caching.tiered import TieredCache
    from langchain_llmops.caching.tiers.base import Entry, Tier
    from langchain_llmops.caching.tiers.memory import MemoryTier
    from langchain_llmops.caching.tiers.redis import RedisTier
    from langchain_llmops.caching.tiers.sqlite import SQLiteTier
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
    "Match",
    "MemoryTier",
    "PgVectorQuestions",
    "QuestionCounts",
    "QuestionStore",
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
    "embeddings.cached_embeddings": ("CachedEmbeddings", "EmbeddingStats"),
    "hot": ("HotQuestion",),
    "invalidation": ("CachedAnswer", "Invalidation"),
    "layer": ("CacheLayer",),
    "tiers.memory": ("MemoryTier",),
    "tiers.redis": ("RedisTier",),
    "requests.scope": ("cache_scope",),
    "semantic.cache": ("SemanticCache",),
    "tiers.sqlite": ("SQLiteTier",),
    "stats": ("CacheStats",),
    "tiers.base": ("Entry", "Tier"),
    "tiered": ("TieredCache",),
    "flight.lease": ("FlightLease",),
    "flight.redis_lease": ("RedisLease",),
    "flight.sqlite_lease": ("SQLiteLease",),
    "semantic.base": ("Match", "QuestionCounts", "QuestionStore"),
    "semantic.pg_questions": ("PgVectorQuestions",),
    "semantic.operating_point": ("Calibration",),
    "semantic.stats": ("SemanticStats",),
    "semantic.review": ("ShadowHit",),
    "semantic.judge": ("Verifier",),
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
