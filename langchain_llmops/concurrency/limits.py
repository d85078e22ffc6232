"""`Limits`: whether a call may go now, else when; pure but for what it counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops.concurrency.limit_windows import RateWindow
from langchain_llmops.concurrency.queue_order import QueueOrder

if TYPE_CHECKING:
    from langchain_llmops.concurrency.queue_order import Ticket

__all__ = ["Limits"]

_SURE = 8
"""So many calls must have ended before their length says how long others wait."""

_SMOOTHING = 0.1


class Limits:
    """Slots, requests per minute, tokens per minute, and a provider's "later".

    Holds the queue before them. Times are handed in, and never go back. Not safe across
    threads: `Turnstile` is, and wakes those whose turn it is.

    Args:
        max_concurrent: Calls under way at once; `None` for any number.
        rpm: Calls that start in any 60 seconds.
        tpm: Tokens of the calls that start in any 60 seconds.
    """

    def __init__(
        self, *, max_concurrent: int | None, rpm: int | None, tpm: int | None
    ) -> None:
        self._slots = max_concurrent
        self._requests = None if rpm is None else RateWindow(rpm)
        self._tokens = None if tpm is None else RateWindow(tpm)
        self._queue = QueueOrder()
        self._resumes_at_s = float("-inf")
        self._ended = 0
        self._mean_hold_s = 0.0
        self.running = 0

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        return len(self._queue)

    def ask(self, ticket: Ticket, now_s: float) -> bool:
        """Let a call through if nothing is in its way, and nobody before it."""
        ticket.asked_at_s = now_s
        if len(self._queue) or not self._slot_free:
            return False
        if self._opens_at(now_s, 1, ticket.tokens) > now_s:
            return False
        self._start(ticket, now_s)
        return True

    def expected_wait_s(self, ticket: Ticket, now_s: float) -> float:
        """Return how long a new call must wait, at the least.

        Counts those of its own tenant before it, a provider's "later", and what must
        first leave the minute. Slots are foreseen by how long calls took, once eight
        have ended.
        """
        ahead = self._queue.ahead(ticket)
        wait_s = self._opens_at(now_s, ahead + 1, ticket.tokens) - now_s
        if self._slots is not None and self._ended >= _SURE:
            wait_s = max(wait_s, ahead * self._mean_hold_s / self._slots)
        return wait_s

    def join(self, ticket: Ticket) -> None:
        """Let a call wait."""
        self._queue.join(ticket)

    def drop(self, ticket: Ticket) -> bool:
        """Take out a call that waits; false if it does not."""
        return self._queue.leave(ticket)

    def next_to_go(self, now_s: float) -> Ticket | None:
        """Let the next waiting call through if nothing is in its way."""
        ticket = self._queue.following() if self._slot_free else None
        if ticket is None or self._opens_at(now_s, 1, ticket.tokens) > now_s:
            return None
        self._start(ticket, now_s)
        return ticket

    def alarm_s(self, now_s: float) -> tuple[Ticket, float] | None:
        """Return when time alone lets the next call go, and who should watch for it.

        `None` if nobody waits, or if a slot must be given back first.
        """
        ticket = self._queue.following() if self._slot_free else None
        watcher = self._queue.first()
        if ticket is None or watcher is None:
            return None
        return watcher, self._opens_at(now_s, 1, ticket.tokens)

    def end(self, ticket: Ticket, now_s: float, *, tokens: int | None = None) -> None:
        """Take back the slot of a call.

        Args:
            ticket: The call.
            now_s: The time.
            tokens: What it used; `None` if nobody knows, and its estimate stands.
        """
        self.running -= 1
        self._queue.end(ticket)
        if tokens is not None and self._tokens and ticket.share:
            self._tokens.correct(ticket.share, tokens)
        held_s = now_s - (ticket.went_at_s or 0.0)
        weight = max(_SMOOTHING, 1 / (self._ended + 1))
        self._mean_hold_s += (held_s - self._mean_hold_s) * weight
        self._ended += 1

    def pause(self, until_s: float) -> None:
        """Let nobody through before a time; an earlier one changes nothing."""
        self._resumes_at_s = max(self._resumes_at_s, until_s)

    @property
    def _slot_free(self) -> bool:
        return self._slots is None or self.running < self._slots

    def _opens_at(self, now_s: float, calls: int, tokens: int) -> float:
        opens_at_s = max(now_s, self._resumes_at_s)
        if self._requests is not None:
            opens_at_s = max(opens_at_s, self._requests.free_at(now_s, calls))
        if self._tokens is not None:
            opens_at_s = max(opens_at_s, self._tokens.free_at(now_s, tokens))
        return opens_at_s

    def _start(self, ticket: Ticket, now_s: float) -> None:
        self._queue.depart(ticket)
        self.running += 1
        ticket.went_at_s = now_s
        if self._requests is not None:
            self._requests.take(now_s, 1)
        if self._tokens is not None:
            ticket.share = self._tokens.take(now_s, ticket.tokens)
