"""`ScalingMetrics`: what a policy is told about the replicas that are running."""

from __future__ import annotations

import math
from dataclasses import dataclass

from langchain_llmops.errors import ConfigurationError

__all__ = ["ScalingMetrics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingMetrics:
    """One reading of a group of equal replicas, taken over the last some seconds.

    Attributes:
        at_s: When it was taken, in seconds of any clock that only goes forward.
        replicas: Replicas that are ready; those that still start do not count.
        token_usage: Tokens asked for per second, over what the ready replicas can do;
            1.0 is all of it. Count what waits too, where you can: it may be above 1.
            `None` if it could not be read.
        latency_ms: Latency of the slow calls, such as their 95th percentile; `None` if
            there were no calls, or it could not be read.
        error_rate: Share of the calls that failed, from 0 to 1.
        waiting: Calls that wait. It matters when no replica is ready, since a share
            of nothing says nothing.

    Raises:
        ConfigurationError: A number is negative, not finite, or no share.
    """

    at_s: float
    replicas: int
    token_usage: float | None
    latency_ms: float | None = None
    error_rate: float = 0.0
    waiting: int = 0

    def __post_init__(self) -> None:
        for name in ("replicas", "token_usage", "latency_ms", "error_rate", "waiting"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ConfigurationError(
                    f"{name} is {value!r}: give a finite number from 0 on; token_usage "
                    "and latency_ms may be None, if unknown"
                )
        if not math.isfinite(self.at_s):
            raise ConfigurationError(f"at_s is {self.at_s!r}: give a time in seconds")
        if self.error_rate > 1:
            raise ConfigurationError(
                f"error_rate is {self.error_rate!r}: give a share from 0 to 1"
            )

    @property
    def load(self) -> float | None:
        """The work asked for, in replicas that it would keep wholly busy."""
        if self.token_usage is None:
            return None
        return self.token_usage * self.replicas
