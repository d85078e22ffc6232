"""When a budget starts anew: calendar windows in UTC, or of a length of your own.

Pure: the time comes in. Windows have fixed borders, so that one number per window is
all that a store must keep. The price of it: around a border, two windows' worth may be
spent within less than one window's time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias

from langchain_llmops.errors import ConfigurationError

__all__ = ["Window", "WindowLength", "check_window", "window_at"]

WindowLength: TypeAlias = (
    Literal["minute", "hour", "day", "week", "month", "forever"] | timedelta
)
"""How long a budget lasts. Days, ISO weeks and months begin at midnight UTC; windows of
a `timedelta` are counted from 1970; `forever` never starts anew."""

_SECONDS: Final = {"minute": 60, "hour": 3_600, "day": 86_400, "week": 604_800}
_NAMES: Final = (*_SECONDS, "month", "forever")
_FIRST_MONDAY: Final = 345_600  # 1970 began on a Thursday


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One window of a budget.

    Attributes:
        key: What tells it from the other windows of the same length.
        start: Its first moment, in seconds since the epoch.
        end: The first moment after it; infinity if it does not end.
    """

    key: str
    start: float
    end: float

    @property
    def resets_at(self) -> datetime | None:
        """When the budget starts anew, in UTC; `None` if never."""
        return None if math.isinf(self.end) else datetime.fromtimestamp(self.end, UTC)


def check_window(length: WindowLength) -> WindowLength:
    """Return a length that is one.

    Raises:
        ConfigurationError: It is no name of a window and no positive `timedelta`.
    """
    known = length > timedelta() if isinstance(length, timedelta) else length in _NAMES
    if known:
        return length
    raise ConfigurationError(
        f"window={length!r} is unknown: use one of {_NAMES!r} or a positive timedelta"
    )


def window_at(length: WindowLength, now: float) -> Window:
    """Return the window that a moment lies in.

    Args:
        length: A length that `check_window` let pass.
        now: Seconds since the epoch.
    """
    if length == "forever":
        return Window(key="forever", start=-math.inf, end=math.inf)
    if length == "month":
        return _month(now)
    if isinstance(length, timedelta):
        seconds, name = length.total_seconds(), f"{length.total_seconds():g}s"
    else:
        seconds, name = float(_SECONDS[length]), length
    offset = _FIRST_MONDAY if length == "week" else 0
    start = (now - offset) // seconds * seconds + offset
    return Window(key=f"{name}@{start:.12g}", start=start, end=start + seconds)


def _month(now: float) -> Window:
    first = datetime.fromtimestamp(now, UTC).replace(
        day=1, hour=0, minute=0, second=0, microsecond=0
    )
    # A month has at most 31 days: the 32nd lies in the next.
    following = (first + timedelta(days=31)).replace(day=1)
    return Window(
        key=f"month@{first:%Y-%m}", start=first.timestamp(), end=following.timestamp()
    )
