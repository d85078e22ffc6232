"""I want to know what my calls used and cost: by model, by feature, and how surely."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.cost.analysis import CostAnalysis, CostAnalyzer, Figures
    from langchain_llmops.cost.budgets.budget import Budget
    from langchain_llmops.cost.budgets.layer import BudgetLayer
    from langchain_llmops.cost.budgets.memory import MemoryBudgetStore
    from langchain_llmops.cost.budgets.redis import RedisBudgetStore
    from langchain_llmops.cost.budgets.sql import SQLBudgetStore
    from langchain_llmops.cost.budgets.status import BudgetStatus
    from langchain_llmops.cost.charge import Charge
    from langchain_llmops.cost.handler import CostCallbackHandler
    from langchain_llmops.cost.ledger import LedgerStatus, UsageLedger
    from langchain_llmops.cost.report import CostReport
    from langchain_llmops.cost.tracked_embeddings import TrackedEmbeddings
    from langchain_llmops.cost.tracking import track_costs

__all__ = (
    "Budget",
    "BudgetLayer",
    "BudgetStatus",
    "Charge",
    "CostAnalysis",
    "CostAnalyzer",
    "CostCallbackHandler",
    "CostReport",
    "Figures",
    "LedgerStatus",
    "MemoryBudgetStore",
    "RedisBudgetStore",
    "SQLBudgetStore",
    "TrackedEmbeddings",
    "UsageLedger",
    "track_costs",
)

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Budget": f"{__name__}.budgets.budget",
        "BudgetLayer": f"{__name__}.budgets.layer",
        "BudgetStatus": f"{__name__}.budgets.status",
        "Charge": f"{__name__}.charge",
        "CostAnalysis": f"{__name__}.analysis",
        "CostAnalyzer": f"{__name__}.analysis",
        "Figures": f"{__name__}.analysis",
        "LedgerStatus": f"{__name__}.ledger",
        "UsageLedger": f"{__name__}.ledger",
        "CostCallbackHandler": f"{__name__}.handler",
        "CostReport": f"{__name__}.report",
        "TrackedEmbeddings": f"{__name__}.tracked_embeddings",
        "track_costs": f"{__name__}.tracking",
        "MemoryBudgetStore": f"{__name__}.budgets.memory",
        "RedisBudgetStore": f"{__name__}.budgets.redis",
        "SQLBudgetStore": f"{__name__}.budgets.sql",
    },
)
