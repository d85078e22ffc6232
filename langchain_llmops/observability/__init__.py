"""I want to see how my calls are doing: in Prometheus, or wherever OTLP goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.observability.handler import MetricsCallbackHandler

__all__ = ("MetricsCallbackHandler",)

__getattr__, __dir__ = lazy_names(
    __name__, {"MetricsCallbackHandler": f"{__name__}.handler"}
)
