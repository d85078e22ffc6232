"""How a call's stream went in time: a frozen value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["StreamTimes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamTimes:
    """How one call streamed, as seen by a `StreamCallbackHandler`.

    Args:
        run_id: The call's run.
        first_token_s: Seconds from the call's start to its first text; `None` if none
            came.
        gaps_s: Seconds from each text to the next, without the sink's own time.
        sink_s: Seconds that the sink took in all, which the stream waited for.
        delivered: Texts that the sink took.
        dropped: Texts that it did not get, since it failed or took too long.
        error: Name of the error's type if the call failed, or was broken off.
    """

    run_id: UUID
    first_token_s: float | None
    gaps_s: tuple[float, ...]
    sink_s: float
    delivered: int
    dropped: int
    error: str | None
