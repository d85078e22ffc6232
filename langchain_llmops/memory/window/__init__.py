"""I want the part of a conversation that matters now, within a budget of tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.memory.window.index import WindowIndex
    from langchain_llmops.memory.window.policy import WindowPolicy

__all__ = ("WindowIndex", "WindowPolicy")

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "WindowIndex": f"{__name__}.index",
        "WindowPolicy": f"{__name__}.policy",
    },
)
