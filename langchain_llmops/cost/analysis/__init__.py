"""I want to know where the money went, and what the month will cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.cost.analysis.analyzer import CostAnalysis, CostAnalyzer
    from langchain_llmops.cost.analysis.figures import Figures
    from langchain_llmops.cost.analysis.outlook import Forecast, Trend

__all__ = ("CostAnalysis", "CostAnalyzer", "Figures", "Forecast", "Trend")

_HOMES = {
    "CostAnalysis": "analyzer",
    "CostAnalyzer": "analyzer",
    "Figures": "figures",
    "Forecast": "outlook",
    "Trend": "outlook",
}

__getattr__, __dir__ = lazy_names(
    __name__, {name: f"{__name__}.{home}" for name, home in _HOMES.items()}
)
