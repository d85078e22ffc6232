"""I want streams that survive: bounded in time, cut as I need, taken up again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.streaming.stream_callback_handler import StreamCallbackHandler
    from langchain_llmops.streaming.stream_limits import StreamTimeoutError
    from langchain_llmops.streaming.stream_processor import StreamProcessor
    from langchain_llmops.streaming.stream_times import StreamTimes

__all__ = (
    "StreamCallbackHandler",
    "StreamProcessor",
    "StreamTimeoutError",
    "StreamTimes",
)

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "StreamCallbackHandler": f"{__name__}.stream_callback_handler",
        "StreamProcessor": f"{__name__}.stream_processor",
        "StreamTimeoutError": f"{__name__}.stream_limits",
        "StreamTimes": f"{__name__}.stream_times",
    },
)
