"""I want as many replicas as the load needs, and no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.scaling.policy import ScalingPolicy
    from langchain_llmops.scaling.readings import ScalingMetrics
    from langchain_llmops.scaling.state import ScalingState, ScalingTarget

__all__ = ("ScalingMetrics", "ScalingPolicy", "ScalingState", "ScalingTarget")

_MODULES = {
    "policy": ("ScalingPolicy",),
    "readings": ("ScalingMetrics",),
    "state": ("ScalingState", "ScalingTarget"),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        name: f"{__name__}.{module}"
        for module, names in _MODULES.items()
        for name in names
    },
)
