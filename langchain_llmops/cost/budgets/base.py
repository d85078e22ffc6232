"""What a budget store is: amounts per account, and the holds that are still open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["Balance", "BudgetStore", "Hold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """An amount that a call under way may use.

    Attributes:
        id: Its own, random: an operation that is repeated with it changes nothing.
        key: The account: what is counted, for whom, in which window.
        amount: How much is held.
        expires_at: When its call is taken for dead, in seconds since the epoch.
        forget_at: When nobody asks for the account any more; infinity: never.
    """

    id: str
    key: str
    amount: int
    expires_at: float
    forget_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """What is known of an account at one moment.

    Attributes:
        used: All that counts against the limit: settled and held.
        held: That part of `used` which open holds hold.
        unsettled: Settled at an estimate, since the end of the call is not known.
        overdue: That part of `held` whose calls are taken for dead. Only `balance`
            works it out.
    """

    used: int = 0
    held: int = 0
    unsettled: int = 0
    overdue: int = 0

    @property
    def spent(self) -> int:
        """What is settled. It never falls."""
        return self.used - self.held


class BudgetStore(Protocol):
    """Where a budget keeps its accounts: in memory, in SQL, in Redis, or your own.

    The rules that each store keeps:

    - `reserve` looks and adds in one atomic step: of many at once, in whatever
      threads, processes and machines, no more are admitted than fit the limit.
    - A hold counts until it is settled. One whose process died stays at its amount,
      as its call may have been billed, until the account is forgotten.
    - `settle` takes a hold off and adds what was used, once: a second time, or for a
      hold that is not known, it returns `None` and changes nothing.
    - Amounts are integers from 0 to `limit.MOST`; sums are cut off there.

    Methods raise what their backend raises: `Budget` catches, counts and goes on.
    """

    def reserve(self, hold: Hold, limit: int) -> tuple[bool, Balance]:
        """Hold an amount if it fits: whether it did, and the balance after that."""

    async def areserve(self, hold: Hold, limit: int) -> tuple[bool, Balance]:
        """Hold as `reserve` does, without blocking the event loop."""

    def settle(self, hold: Hold, amount: int, *, unsettled: bool) -> Balance | None:
        """Put what was used in the place of a hold; 0 releases it."""

    async def asettle(
        self, hold: Hold, amount: int, *, unsettled: bool
    ) -> Balance | None:
        """Settle as `settle` does, without blocking the event loop."""

    def balance(self, key: str, now: float) -> Balance:
        """Return the balance of an account; an unknown one is empty."""

    async def abalance(self, key: str, now: float) -> Balance:
        """Return what `balance` returns, without blocking the event loop."""
