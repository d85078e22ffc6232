"""I want to know what my calls used and cost: by model, by feature, and how surely."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.cost.handler import CostCallbackHandler
    from langchain_llmops.cost.report import CostReport

__all__ = ("CostCallbackHandler", "CostReport")

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "CostCallbackHandler": f"{__name__}.handler",
        "CostReport": f"{__name__}.report",
    },
)
