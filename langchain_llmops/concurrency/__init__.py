"""I want calls to queue well, and resources to be shared: limits, pools, batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.concurrency.batch_dispatcher import BatchStats
    from langchain_llmops.concurrency.dynamic_batcher import DynamicBatcher
    from langchain_llmops.concurrency.layer import ConcurrencyLayer, QueueStatus
    from langchain_llmops.concurrency.queue_errors import QueueTimeoutError
    from langchain_llmops.concurrency.resource_pool import ResourcePool

__all__ = (
    "BatchStats",
    "ConcurrencyLayer",
    "DynamicBatcher",
    "QueueStatus",
    "QueueTimeoutError",
    "ResourcePool",
)

_MODULES = {
    "batch_dispatcher": ("BatchStats",),
    "dynamic_batcher": ("DynamicBatcher",),
    "layer": ("ConcurrencyLayer", "QueueStatus"),
    "queue_errors": ("QueueTimeoutError",),
    "resource_pool": ("ResourcePool",),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        name: f"{__name__}.{module}"
        for module, names in _MODULES.items()
        for name in names
    },
)
