"""What an answer tells the limits: the tokens it used, or to come back later."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_core.outputs import ChatGenerationChunk, ChatResult

__all__ = ["chunk_tokens", "result_tokens", "retry_after_s"]

MAX_LATER_S = 60.0
"""How much of what a provider asks for is believed; it can ask again."""


def retry_after_s(
    error: BaseException, now: Callable[[], float] = time.time
) -> float | None:
    """Return for how many seconds a provider wants no call, if its error says so.

    Reads the headers `retry-after-ms` and `Retry-After` (seconds or a date) of the
    error or of what caused it. Never raises.
    """
    cause: BaseException | None = error
    for _ in range(8):
        if cause is None:
            break
        headers = getattr(getattr(cause, "response", None), "headers", None)
        if headers is not None and (wait_s := _later(headers, now)) is not None:
            return min(max(0.0, wait_s), MAX_LATER_S)
        cause = cause.__cause__
    return None


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


def _later(headers: Mapping[str, Any], now: Callable[[], float]) -> float | None:
    try:
        if (raw := headers.get("retry-after-ms")) is not None:
            return float(raw) / 1000
        # Clients' headers ignore case; a plain mapping does not.
        raw = headers.get("retry-after", headers.get("Retry-After"))
        return None if raw is None else _seconds(str(raw), now)
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None


def _seconds(raw: str, now: Callable[[], float]) -> float:
    if raw.replace(".", "", 1).isdigit():
        return float(raw)
    return parsedate_to_datetime(raw).timestamp() - now()
