"""I want to know what a call costs: exact prices per model, region, tier and date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.pricing.prices import Prices, price
    from langchain_llmops.pricing.rates import UsdPerMillion
    from langchain_llmops.pricing.usage import Usage

__all__ = ("Prices", "Usage", "UsdPerMillion", "price")

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Prices": f"{__name__}.prices",
        "UsdPerMillion": f"{__name__}.rates",
        "Usage": f"{__name__}.usage",
        "price": f"{__name__}.prices",
    },
)
