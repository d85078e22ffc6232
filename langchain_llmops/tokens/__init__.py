"""I want to count tokens, and to make texts and conversations fit a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.tokens.allocator import WindowAllocation, WindowAllocator
    from langchain_llmops.tokens.continuation import continue_truncated
    from langchain_llmops.tokens.count import TokenCount
    from langchain_llmops.tokens.counter import TokenCounter
    from langchain_llmops.tokens.long_text import LONG_TEXT_EVENT, LongTextRunnable
    from langchain_llmops.tokens.running import RunningCount
    from langchain_llmops.tokens.shortening import Shortened
    from langchain_llmops.tokens.splitter import TokenTextSplitter
    from langchain_llmops.tokens.truncator import TokenTruncator

__all__ = (
    "LONG_TEXT_EVENT",
    "LongTextRunnable",
    "RunningCount",
    "Shortened",
    "TokenCount",
    "TokenCounter",
    "TokenTextSplitter",
    "TokenTruncator",
    "WindowAllocation",
    "WindowAllocator",
    "continue_truncated",
)

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "LONG_TEXT_EVENT": f"{__name__}.long_text",
        "LongTextRunnable": f"{__name__}.long_text",
        "RunningCount": f"{__name__}.running",
        "Shortened": f"{__name__}.shortening",
        "TokenCount": f"{__name__}.count",
        "TokenCounter": f"{__name__}.counter",
        "TokenTextSplitter": f"{__name__}.splitter",
        "TokenTruncator": f"{__name__}.truncator",
        "WindowAllocation": f"{__name__}.allocator",
        "WindowAllocator": f"{__name__}.allocator",
        "continue_truncated": f"{__name__}.continuation",
    },
)
