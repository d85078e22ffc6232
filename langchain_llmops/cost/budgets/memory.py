"""The accounts of one process, in its memory."""

from __future__ import annotations

import time
from threading import RLock
from typing import TYPE_CHECKING, Final

from langchain_llmops.cost.budgets.base import Balance
from langchain_llmops.cost.budgets.limit import MOST

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_llmops.cost.budgets.base import Hold

__all__ = ["MemoryBudgetStore"]

_FEW: Final = 1_024


class MemoryBudgetStore:
    """Keep a budget in memory: for one process, until it ends.

    Each operation takes a microsecond or two, without I/O. Accounts of windows that
    are over are dropped as new ones come. Safe across threads and event loops; a fork
    gets a copy of its own, so processes do not share.

    Args:
        clock: Seconds since the epoch.

    Example:
        ```python
        from langchain_llmops import Budget, MemoryBudgetStore

        budget = Budget(limit_calls=100, store=MemoryBudgetStore())
        assert budget.status({"tenant": "acme"}).remaining == 100
        ```
    """

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        # A stream that is garbage collected settles wherever its thread just is: in
        # here, too. The lock lets it in, and no step below is half done then.
        self._lock = RLock()
        self._accounts: dict[str, _Account] = {}
        self._many = _FEW

    def reserve(self, hold: Hold, limit: int) -> tuple[bool, Balance]:
        """Hold an amount if it fits: whether it did, and the balance after that."""
        with self._lock:
            account = self._accounts.get(hold.key) or self._open(hold)
            if hold.id not in account.holds:
                if account.used + hold.amount > limit:
                    return False, account.balance()
                account.holds[hold.id] = hold
                account.used += hold.amount
                account.held += hold.amount
            return True, account.balance()

    async def areserve(self, hold: Hold, limit: int) -> tuple[bool, Balance]:
        """Hold as `reserve` does."""
        return self.reserve(hold, limit)

    def settle(self, hold: Hold, amount: int, *, unsettled: bool) -> Balance | None:
        """Put what was used in the place of a hold; 0 releases it."""
        with self._lock:
            account = self._accounts.get(hold.key)
            held = None if account is None else account.holds.pop(hold.id, None)
            if account is None or held is None:
                return None
            account.held -= held.amount
            account.used = min(account.used - held.amount + amount, MOST)
            if unsettled:
                account.unsettled = min(account.unsettled + amount, MOST)
            return account.balance()

    async def asettle(
        self, hold: Hold, amount: int, *, unsettled: bool
    ) -> Balance | None:
        """Settle as `settle` does."""
        return self.settle(hold, amount, unsettled=unsettled)

    def balance(self, key: str, now: float) -> Balance:
        """Return the balance of an account; an unknown one is empty."""
        with self._lock:
            account = self._accounts.get(key)
            return Balance() if account is None else account.balance(now)

    async def abalance(self, key: str, now: float) -> Balance:
        """Return what `balance` returns."""
        return self.balance(key, now)

    def _open(self, hold: Hold) -> _Account:
        if len(self._accounts) >= self._many:
            now = self._clock()
            self._accounts = {
                key: kept
                for key, kept in self._accounts.items()
                if kept.forget_at > now
            }
            self._many = max(_FEW, 2 * len(self._accounts))
        account = self._accounts[hold.key] = _Account(hold.forget_at)
        return account


class _Account:
    __slots__ = ("forget_at", "held", "holds", "unsettled", "used")

    def __init__(self, forget_at: float) -> None:
        self.forget_at = forget_at
        self.used = 0
        self.held = 0
        self.unsettled = 0
        self.holds: dict[str, Hold] = {}

    def balance(self, now: float | None = None) -> Balance:
        overdue = 0
        if now is not None:
            overdue = sum(h.amount for h in self.holds.values() if h.expires_at <= now)
        return Balance(
            used=self.used, held=self.held, unsettled=self.unsettled, overdue=overdue
        )
