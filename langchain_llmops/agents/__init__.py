"""I want this package's parts inside `create_agent`: middleware (extra `agents`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.agents.window_middleware import WindowMiddleware

__all__ = ("WindowMiddleware",)

__getattr__, __dir__ = lazy_names(
    __name__, {"WindowMiddleware": f"{__name__}.window_middleware"}
)
