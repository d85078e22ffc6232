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
    from langchain_llmops.cost import (
        Budget,
        BudgetLayer,
        CostAnalyzer,
        CostCallbackHandler,
        MemoryBudgetStore,
        RedisBudgetStore,
        SQLBudgetStore,
        TrackedEmbeddings,
        UsageLedger,
        track_costs,
    )
    from langchain_llmops.errors import BudgetExceededError
    from langchain_llmops.models import ModelCall, ModelLayer, with_layers
    from langchain_llmops.observability import MetricsCallbackHandler
    from langchain_llmops.retrieval import FaissStore
    from langchain_llmops.routing import Candidate, ModelCatalog, SelectionPolicy
    from langchain_llmops.tokens import TokenCounter

__version__ = "0.1.0"

__all__ = (
    "Budget",
    "BudgetExceededError",
    "BudgetLayer",
    "CacheLayer",
    "CachedEmbeddings",
    "Candidate",
    "CostAnalyzer",
    "CostCallbackHandler",
    "FaissStore",
    "MemoryBudgetStore",
    "MemoryTier",
    "MetricsCallbackHandler",
    "ModelCall",
    "ModelCatalog",
    "ModelLayer",
    "RedisBudgetStore",
    "RedisTier",
    "SQLBudgetStore",
    "SQLiteTier",
    "SelectionPolicy",
    "SemanticCache",
    "TieredCache",
    "TokenCounter",
    "TrackedEmbeddings",
    "UsageLedger",
    "cache_scope",
    "track_costs",
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
    "cost": (
        "Budget",
        "BudgetLayer",
        "CostAnalyzer",
        "CostCallbackHandler",
        "MemoryBudgetStore",
        "RedisBudgetStore",
        "SQLBudgetStore",
        "TrackedEmbeddings",
        "UsageLedger",
        "track_costs",
    ),
    "errors": ("BudgetExceededError",),
    "models": ("ModelCall", "ModelLayer", "with_layers"),
    "observability": ("MetricsCallbackHandler",),
    "retrieval": ("FaissStore",),
    "routing": ("Candidate", "ModelCatalog", "SelectionPolicy"),
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
