"""`RateWindow`: how much was let through within the last minute."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

__all__ = ["RateWindow", "Share"]


@dataclass(slots=True, eq=False)
class Share:
    """What one call took of a window, and when."""

    at_s: float
    amount: int


class RateWindow:
    """Lets at most `limit` through in any span of `span_s` seconds.

    A sliding window, since a bucket that refills lets twice the limit through in its
    first minute. Knows no clock: times are handed in, and never go back. Not safe
    across threads.

    Args:
        limit: Requests or tokens per span.
        span_s: Length of the span in seconds.
    """

    __slots__ = ("_shares", "_total", "limit", "span_s")

    def __init__(self, limit: int, span_s: float = 60.0) -> None:
        self.limit = limit
        self.span_s = span_s
        self._shares: deque[Share] = deque()
        self._total = 0

    def free_at(self, now_s: float, amount: int) -> float:
        """Return when `amount` fits: `now_s`, or the time at which enough has left.

        More than the limit fits when nothing else is in the window.
        """
        self._forget(now_s)
        missing = self._total + min(amount, self.limit) - self.limit
        if missing <= 0:
            return now_s
        for share in self._shares:
            missing -= share.amount
            if missing <= 0:
                return share.at_s + self.span_s
        return now_s + self.span_s

    def take(self, now_s: float, amount: int) -> Share:
        """Let `amount` through, and return what `correct` needs."""
        share = Share(now_s, amount)
        self._shares.append(share)
        self._total += amount
        return share

    def correct(self, share: Share, amount: int) -> None:
        """Put what a call really used in the place of what it took."""
        if self._shares and share.at_s >= self._shares[0].at_s:
            self._total += amount - share.amount
            share.amount = amount

    def _forget(self, now_s: float) -> None:
        shares = self._shares
        while shares and shares[0].at_s + self.span_s <= now_s:
            self._total -= shares.popleft().amount
