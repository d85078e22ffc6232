"""A budget store that may be lost: its errors are counted, and calls go on, or not."""

from __future__ import annotations

import logging
import time
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from langchain_llmops.cost.budgets.memory import MemoryBudgetStore
from langchain_llmops.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_llmops.cost.budgets.base import Balance, BudgetStore, Hold

__all__ = ["GuardedStore", "OnStoreError"]

logger = logging.getLogger(__name__)

OnStoreError: TypeAlias = Literal["allow", "refuse"]

_REST_S: Final = 5.0


class GuardedStore:
    """Guard the operations of one store.

    While the store is lost this process counts by itself, from zero and against the
    same limit, or refuses. A store that failed is left alone for five seconds, so that
    not every call waits for it. A hold that it cannot settle stays at its amount.

    Args:
        store: The store; its errors end here, cancellation and exits do not.
        on_error: Whether calls go on while it is lost.
        timer: Seconds on a clock that never goes backwards.
    """

    def __init__(
        self,
        store: BudgetStore,
        *,
        on_error: OnStoreError,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.errors = 0
        self._store = store
        self._refuses = on_error == "refuse"
        self._timer = timer
        self._rests_until = float("-inf")
        self._lock = Lock()
        self._instead = MemoryBudgetStore()
        self._told = False

    def reserve(self, hold: Hold, limit: int) -> tuple[bool, Balance]:
        """Hold an amount if it fits: whether it did, and the balance after that.

        Raises:
            StorageError: The store is lost, and calls are to be refused then.
        """
        cause: Exception | None = None
        if not self._rests():
            try:
                return self._store.reserve(hold, limit)
            except Exception as error:  # noqa: BLE001 # whatever a backend raises
                self._failed(cause := error)
        return self._reserve_here(hold, limit, cause)

    async def areserve(self, hold: Hold, limit: int) -> tuple[bool, Balance]:
        """Hold as `reserve` does, without blocking the event loop."""
        cause: Exception | None = None
        if not self._rests():
            try:
                return await self._store.areserve(hold, limit)
            except Exception as error:  # noqa: BLE001 # whatever a backend raises
                self._failed(cause := error)
        return self._reserve_here(hold, limit, cause)

    def settle(self, hold: Hold, amount: int, *, unsettled: bool) -> Balance | None:
        """Put what was used in the place of a hold; never raises."""
        here = self._instead.settle(hold, amount, unsettled=unsettled)
        if here is not None:
            return here
        try:
            return self._store.settle(hold, amount, unsettled=unsettled)
        except Exception as error:  # noqa: BLE001 # whatever a backend raises
            self._failed(error)
            return None

    async def asettle(
        self, hold: Hold, amount: int, *, unsettled: bool
    ) -> Balance | None:
        """Settle as `settle` does, without blocking the event loop."""
        here = self._instead.settle(hold, amount, unsettled=unsettled)
        if here is not None:
            return here
        try:
            return await self._store.asettle(hold, amount, unsettled=unsettled)
        except Exception as error:  # noqa: BLE001 # whatever a backend raises
            self._failed(error)
            return None

    def balance(self, key: str, now: float) -> Balance:
        """Return the store's balance, or what this process counted without it."""
        if not self._rests():
            try:
                return self._store.balance(key, now)
            except Exception as error:  # noqa: BLE001 # whatever a backend raises
                self._failed(error)
        return self._instead.balance(key, now)

    async def abalance(self, key: str, now: float) -> Balance:
        """Return what `balance` returns, without blocking the event loop."""
        if not self._rests():
            try:
                return await self._store.abalance(key, now)
            except Exception as error:  # noqa: BLE001 # whatever a backend raises
                self._failed(error)
        return self._instead.balance(key, now)

    def _reserve_here(
        self, hold: Hold, limit: int, cause: Exception | None
    ) -> tuple[bool, Balance]:
        if self._refuses:
            raise StorageError(
                f"{type(self._store).__name__} of the budget cannot be used, and calls "
                'are refused until it can: mend it, or use on_store_error="allow"'
            ) from cause
        return self._instead.reserve(hold, limit)

    def _rests(self) -> bool:
        return self._timer() < self._rests_until

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self.errors += 1
            # The clock again: the failure may have taken its time.
            self._rests_until = self._timer() + _REST_S
            told, self._told = self._told, True
        if not told:
            logger.warning(
                "The budget's %s failed (%s: %s); until it works %s. Further failures "
                "are only counted in Budget.store_errors.",
                type(self._store).__name__,
                type(error).__name__,
                error,
                "calls are refused"
                if self._refuses
                else "this process counts by itself",
            )
