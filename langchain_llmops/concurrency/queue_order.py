"""`QueueOrder`: who goes next, fairly between tenants and starving nobody."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_llmops.concurrency.limit_windows import Share

__all__ = ["OLDEST_EVERY", "QueueOrder", "Ticket"]

OLDEST_EVERY = 10
"""Every so many departures the call goes that waits longest, whoever it is."""


@dataclass(slots=True, eq=False, kw_only=True)
class Ticket:
    """One call on its way through the limits; changed in place as it goes.

    Attributes:
        tenant: On whose behalf: calls of one tenant keep their order.
        priority: Higher goes first.
        tokens: How many tokens it is expected to use.
        timeout_s: How long it may wait; `None` for as long as it takes.
        asked_at_s: When it came.
        went_at_s: When it got its slot; `None` before.
        share: What it took of the limit on tokens.
        wake: Tells whoever waits to look again; raises `RuntimeError` if there is
            nobody left (a closed event loop).
    """

    tenant: str = ""
    priority: int = 0
    tokens: int = 0
    timeout_s: float | None = None
    asked_at_s: float = 0.0
    went_at_s: float | None = None
    share: Share | None = None
    wake: Callable[[], None] | None = None


@dataclass(slots=True)
class _Lane:
    """The waiting calls of one tenant, by priority."""

    served: int
    calls: dict[int, OrderedDict[Ticket, None]] = field(default_factory=dict)


class QueueOrder:
    """Orders waiting calls. Knows no clock and no limit; not safe across threads.

    The highest priority goes first; among equals the tenant with the fewest calls
    under way, then the one that was served longest ago. A tenant that comes back joins
    the end of that round. Every tenth departure is the call that came first of all, so
    that one with n calls before it leaves after at most 10 (n + 1) departures, however
    many come after it. Choosing takes time in proportion to the tenants that wait.
    """

    def __init__(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._arrivals: OrderedDict[Ticket, None] = OrderedDict()
        self._running: dict[str, int] = {}
        self._departures = 0

    def __len__(self) -> int:
        return len(self._arrivals)

    def join(self, ticket: Ticket) -> None:
        """Add a call at the end of its tenant's lane."""
        lane = self._lanes.get(ticket.tenant)
        if lane is None:
            lane = self._lanes[ticket.tenant] = _Lane(self._departures)
        lane.calls.setdefault(ticket.priority, OrderedDict())[ticket] = None
        self._arrivals[ticket] = None

    def leave(self, ticket: Ticket) -> bool:
        """Take out a call that waits; false if it does not."""
        if ticket not in self._arrivals:
            return False
        del self._arrivals[ticket]
        lane = self._lanes[ticket.tenant]
        same = lane.calls[ticket.priority]
        del same[ticket]
        if not same:
            del lane.calls[ticket.priority]
        if not lane.calls:
            del self._lanes[ticket.tenant]
        return True

    def first(self) -> Ticket | None:
        """Return the call that waits longest."""
        return next(iter(self._arrivals), None)

    def following(self) -> Ticket | None:
        """Return the call that goes next; `None` if none waits."""
        if not self._arrivals:
            return None
        if self._departures % OLDEST_EVERY == OLDEST_EVERY - 1:
            return next(iter(self._arrivals))
        lane = min(self._lanes.items(), key=self._rank)[1]
        return next(iter(lane.calls[max(lane.calls)]))

    def depart(self, ticket: Ticket) -> None:
        """Count a call as under way, taking it out if it waited."""
        if self._arrivals:
            self._departures += 1
            if (lane := self._lanes.get(ticket.tenant)) is not None:
                lane.served = self._departures
            self.leave(ticket)
        self._running[ticket.tenant] = self._running.get(ticket.tenant, 0) + 1

    def end(self, ticket: Ticket) -> None:
        """Count a call that was under way as ended."""
        left = self._running[ticket.tenant] - 1
        if left:
            self._running[ticket.tenant] = left
        else:
            del self._running[ticket.tenant]

    def ahead(self, ticket: Ticket) -> int:
        """Return how many calls of the same tenant go before a new one of its rank."""
        lane = self._lanes.get(ticket.tenant)
        if lane is None:
            return 0
        return sum(
            len(calls)
            for priority, calls in lane.calls.items()
            if priority >= ticket.priority
        )

    def _rank(self, item: tuple[str, _Lane]) -> tuple[int, int, int]:
        tenant, lane = item
        return -max(lane.calls), self._running.get(tenant, 0), lane.served
