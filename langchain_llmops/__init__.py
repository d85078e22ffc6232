"""Take a LangChain proof of concept to production, one drop-in part at a time.

Every public name is loaded on first use; importing this package loads nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.caching import (
        CachedEmbeddings,
        CacheLayer,
        MemoryTier,
        RedisTier,
        SemanticCache,
        SQLiteTier,
        TieredCache,
        cache_scope,
    )
    from langchain_llmops.cost import CostCallbackHandler
    from langchain_llmops.models import ModelCall, ModelLayer, with_layers
    from langchain_llmops.retrieval import FaissStore
    from langchain_llmops.tokens import TokenCounter

__version__ = "0.1.0"

__all__ = (
    "CacheLayer",
    "CachedEmbeddings",
    "CostCallbackHandler",
    "FaissStore",
    "MemoryTier",
    "ModelCall",
    "ModelLayer",
    "RedisTier",
    "SQLiteTier",
    "SemanticCache",
    "TieredCache",
    "TokenCounter",
    "cache_scope",
    "with_layers",
)

_MODULES = {
    "caching": (
        "CacheLayer",
        "CachedEmbeddings",
        "MemoryTier",
        "RedisTier",
        "SQLiteTier",
        "SemanticCache",
        "TieredCache",
        "cache_scope",
    ),
    "cost": ("CostCallbackHandler",),
    "models": ("ModelCall", "ModelLayer", "with_layers"),
    "retrieval": ("FaissStore",),
    "tokens": ("TokenCounter",),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        name: f"{__name__}.{folder}"
        for folder, names in _MODULES.items()
        for name in names
    },
    folders=(*_MODULES, "pricing", "testing"),
)
