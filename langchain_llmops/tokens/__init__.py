"""I want to know how many tokens a text, a conversation or a request has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.tokens.count import TokenCount
    from langchain_llmops.tokens.counter import TokenCounter
    from langchain_llmops.tokens.running import RunningCount

__all__ = ("RunningCount", "TokenCount", "TokenCounter")

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "RunningCount": f"{__name__}.running",
        "TokenCount": f"{__name__}.count",
        "TokenCounter": f"{__name__}.counter",
    },
)
