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
    from langchain_llmops.concurrency import (
        ConcurrencyLayer,
        DynamicBatcher,
        ResourcePool,
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
    from langchain_llmops.knowledge import KnowledgeBaseSync
    from langchain_llmops.memory import (
        ConversationMemory,
        ConversationStore,
        WindowPolicy,
        with_memory,
    )
    from langchain_llmops.models import ModelCall, ModelLayer, with_layers
    from langchain_llmops.observability import MetricsCallbackHandler
    from langchain_llmops.retrieval import (
        FaissStore,
        IndexAdvisor,
        ThresholdRetriever,
    )
    from langchain_llmops.routing import (
        Candidate,
        CircuitBreaker,
        FailoverPolicy,
        ModelCatalog,
        ModelRouter,
        SelectionPolicy,
    )
    from langchain_llmops.scaling import ScalingPolicy
    from langchain_llmops.streaming import StreamCallbackHandler, StreamProcessor
    from langchain_llmops.tokens import (
        LongTextRunnable,
        TokenCounter,
        TokenTextSplitter,
        TokenTruncator,
        WindowAllocator,
        continue_truncated,
    )

__version__ = "0.1.0"

__all__ = (
    "Budget",
    "BudgetExceededError",
    "BudgetLayer",
    "CacheLayer",
    "CachedEmbeddings",
    "Candidate",
    "CircuitBreaker",
    "ConcurrencyLayer",
    "ConversationMemory",
    "ConversationStore",
    "CostAnalyzer",
    "CostCallbackHandler",
    "DynamicBatcher",
    "FailoverPolicy",
    "FaissStore",
    "IndexAdvisor",
    "KnowledgeBaseSync",
    "LongTextRunnable",
    "MemoryBudgetStore",
    "MemoryTier",
    "MetricsCallbackHandler",
    "ModelCall",
    "ModelCatalog",
    "ModelLayer",
    "ModelRouter",
    "RedisBudgetStore",
    "RedisTier",
    "ResourcePool",
    "SQLBudgetStore",
    "SQLiteTier",
    "ScalingPolicy",
    "SelectionPolicy",
    "SemanticCache",
    "StreamCallbackHandler",
    "StreamProcessor",
    "ThresholdRetriever",
    "TieredCache",
    "TokenCounter",
    "TokenTextSplitter",
    "TokenTruncator",
    "TrackedEmbeddings",
    "UsageLedger",
    "WindowAllocator",
    "WindowPolicy",
    "cache_scope",
    "continue_truncated",
    "track_costs",
    "with_layers",
    "with_memory",
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
    "concurrency": ("ConcurrencyLayer", "DynamicBatcher", "ResourcePool"),
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
    "memory": (
        "ConversationMemory",
        "ConversationStore",
        "WindowPolicy",
        "with_memory",
    ),
    "knowledge": ("KnowledgeBaseSync",),
    "models": ("ModelCall", "ModelLayer", "with_layers"),
    "observability": ("MetricsCallbackHandler",),
    "retrieval": ("FaissStore", "IndexAdvisor", "ThresholdRetriever"),
    "routing": (
        "Candidate",
        "CircuitBreaker",
        "FailoverPolicy",
        "ModelCatalog",
        "ModelRouter",
        "SelectionPolicy",
    ),
    "scaling": ("ScalingPolicy",),
    "streaming": ("StreamCallbackHandler", "StreamProcessor"),
    "tokens": (
        "LongTextRunnable",
        "TokenCounter",
        "TokenTextSplitter",
        "TokenTruncator",
        "WindowAllocator",
        "continue_truncated",
    ),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        name: f"{__name__}.{folder}"
        for folder, names in _MODULES.items()
        for name in names
    },
    folders=(*_MODULES, "agents", "pricing", "testing"),
)
