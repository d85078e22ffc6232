"""Ask in advance: run prompts through a cached model before the users do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.types import CACHE_KEY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.runnables import RunnableConfig

__all__ = ["WarmReport", "warm_config", "warm_report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmReport:
    """What warming a cache did.

    Attributes:
        prompts: How many there were.
        cached: Those whose answer was there already.
        answered: Those that the model answered now.
        failed: Those that it failed to answer.
        errors: What it failed with, each once, at most ten: type and message.
    """

    prompts: int
    cached: int
    answered: int
    failed: int
    errors: tuple[str, ...]


def warm_config(max_concurrency: int) -> RunnableConfig:
    """Return the config of the calls.

    Raises:
        ConfigurationError: `max_concurrency` is not positive.
    """
    if max_concurrency < 1:
        raise ConfigurationError(
            f"max_concurrency={max_concurrency!r} asks nothing: give a positive number"
        )
    return {"max_concurrency": max_concurrency, "tags": ["cache-warming"]}


def warm_report(outcomes: Sequence[Any]) -> WarmReport:
    """Return what messages and exceptions amount to."""
    errors = [
        f"{type(outcome).__name__}: {outcome}"
        for outcome in outcomes
        if isinstance(outcome, BaseException)
    ]
    cached = sum(map(_was_cached, outcomes))
    return WarmReport(
        prompts=len(outcomes),
        cached=cached,
        answered=len(outcomes) - cached - len(errors),
        failed=len(errors),
        errors=tuple(dict.fromkeys(errors))[:10],
    )


def _was_cached(outcome: Any) -> bool:
    metadata = getattr(outcome, "response_metadata", None) or {}
    return bool((metadata.get(CACHE_KEY) or {}).get("hit"))
