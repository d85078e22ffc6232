"""What a tier is: a place that keeps values by key until they expire."""

from __future__ import annotations

from typing import NamedTuple, Protocol

__all__ = ["Entry", "Tier"]


class Entry(NamedTuple):
    """A value as a tier keeps it.

    Attributes:
        value: The encoded answer; a tier never looks inside.
        expires_at: Seconds since the epoch; `None` keeps it until it is evicted.
        usd: What having it saves each time; `None` if no price is known. With `tokens`
            a hint for tiers that evict by value; no tier need keep either.
        tokens: Tokens that having it saves each time; 0 if that is not known.
    """

    value: bytes
    expires_at: float | None
    usd: float | None = None
    tokens: int = 0


class Tier(Protocol):
    """A bounded store of values, safe across threads and event loops.

    A method raises whatever its backend raises: `TieredCache` counts it, logs it once
    and goes on without the tier.
    """

    @property
    def name(self) -> str:
        """What marks and statistics call this tier."""
        ...

    @property
    def evictions(self) -> int:
        """How many unexpired values had to go for want of room."""
        ...

    def get(self, key: str, now: float) -> Entry | None:
        """Return what is kept under a key, unless it expired by `now`."""
        ...

    async def aget(self, key: str, now: float) -> Entry | None:
        """Return what `get` returns; never blocks the event loop."""
        ...

    def set(self, key: str, entry: Entry, now: float) -> None:
        """Keep a value, in place of the one that was there."""
        ...

    async def aset(self, key: str, entry: Entry, now: float) -> None:
        """Keep a value as `set` does; never blocks the event loop."""
        ...

    def clear(self) -> None:
        """Forget every value."""
        ...

    async def aclear(self) -> None:
        """Forget every value; never blocks the event loop."""
        ...

    def close(self) -> None:
        """Release what the tier holds open; the values of a lasting tier stay."""
        ...
