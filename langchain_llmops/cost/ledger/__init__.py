"""I want every call's cost kept: across restarts, processes and crashes, once each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.cost.ledger.usage_ledger import (
        Durability,
        LedgerStatus,
        UsageLedger,
    )

__all__ = ("Durability", "LedgerStatus", "UsageLedger")

__getattr__, __dir__ = lazy_names(
    __name__, dict.fromkeys(__all__, f"{__name__}.usage_ledger")
)
