"""When a stream has taken too long: pure, without a clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from langchain_llmops.errors import ConfigurationError, LLMOpsError

__all__ = ["StreamLimits", "StreamTimeoutError", "TimeoutKind"]

TimeoutKind = Literal["first_token", "idle", "total"]

_SAID = {
    "first_token": "brought no first token",
    "idle": "brought nothing more",
    "total": "did not end",
}


class StreamTimeoutError(LLMOpsError, TimeoutError):
    """A stream took too long: use `partial_text`, try again, or allow more time.

    Args:
        kind: Which limit it was: `first_token`, `idle` or `total`.
        limit_s: The limit, in seconds.
        partial_text: All text that had arrived; the consumer has got it too.
    """

    def __init__(self, kind: TimeoutKind, limit_s: float, partial_text: str) -> None:
        self.kind = kind
        self.limit_s = limit_s
        self.partial_text = partial_text
        # As in `Exception`, `args` is what a copy or a pickle is made of.
        super().__init__(kind, limit_s, partial_text)

    def __str__(self) -> str:
        return (
            f"the stream {_SAID[self.kind]} within {self.limit_s} s "
            f"({len(self.partial_text)} characters had arrived): take `partial_text`, "
            f"try again, or raise {self.kind}_timeout_s"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamLimits:
    """How long a stream may take, in seconds; `None` for ever.

    Raises:
        ConfigurationError: A limit is not positive.
    """

    first_token_timeout_s: float | None = None
    idle_timeout_s: float | None = None
    total_timeout_s: float | None = None

    def __post_init__(self) -> None:
        for name in ("first_token_timeout_s", "idle_timeout_s", "total_timeout_s"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ConfigurationError(
                    f"{name}={value!r} must be more than 0 seconds, or None for ever"
                )

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return (
            self.first_token_timeout_s is not None
            or self.idle_timeout_s is not None
            or self.total_timeout_s is not None
        )

    def due(
        self, now: float, *, started: float, begun: bool
    ) -> tuple[float, TimeoutKind, float] | None:
        """Return what runs out first if nothing arrives from `now` on.

        Args:
            now: The time at which waiting begins.
            started: When the stream was first asked for something.
            begun: Whether its first token has come.

        Returns:
            When it runs out, which limit that is, and the limit; `None` for never.
        """
        due: tuple[float, TimeoutKind, float] | None = None
        if begun:
            if (idle := self.idle_timeout_s) is not None:
                due = (now + idle, "idle", idle)
        elif (first := self.first_token_timeout_s) is not None:
            due = (started + first, "first_token", first)
        if (total := self.total_timeout_s) is not None:
            end = started + total
            if due is None or end <= due[0]:
                due = (end, "total", total)
        return due
