"""What an answer tells the limits: the tokens it used, or to come back later."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_llmops.models.retry_after import retry_after_s

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.outputs import ChatGenerationChunk, ChatResult

__all__ = ["chunk_tokens", "later_s", "result_tokens"]

MAX_LATER_S = 60.0
"""How much of what a provider asks for is believed; it can ask again."""


def later_s(
    error: BaseException, *, now: Callable[[], float] = time.time
) -> float | None:
    """Return for how many seconds an error keeps all calls back; `None`: not at all."""
    wait_s = retry_after_s(error, now=now)
    return None if wait_s is None else min(wait_s, MAX_LATER_S)


def result_tokens(result: ChatResult) -> int | None:
    """Return how many tokens a call used, if its answer says so."""
    totals = [_total(g.message) for g in result.generations]
    return sum(filter(None, totals)) or None


def chunk_tokens(chunk: ChatGenerationChunk) -> int:
    """Return how many tokens a chunk reports; 0 for most."""
    return _total(chunk.message) or 0


def _total(message: Any) -> int | None:
    usage = getattr(message, "usage_metadata", None)
    return usage.get("total_tokens") if usage else None
