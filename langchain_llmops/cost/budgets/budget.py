"""`Budget`: how much may be used in a window, by whom, and what has been."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import OrderedDict
from secrets import token_hex
from threading import RLock
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from langchain_llmops.cost.budgets.base import Hold
from langchain_llmops.cost.budgets.guarded import GuardedStore, OnStoreError
from langchain_llmops.cost.budgets.limit import Limit, soft_limits_of
from langchain_llmops.cost.budgets.memory import MemoryBudgetStore
from langchain_llmops.cost.budgets.scopes import Scope
from langchain_llmops.cost.budgets.status import BudgetStatus, Reservation
from langchain_llmops.cost.budgets.windows import (
    Window,
    WindowLength,
    check_window,
    window_at,
)
from langchain_llmops.errors import BudgetExceededError, ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from langchain_llmops.cost.budgets.base import Balance, BudgetStore
    from langchain_llmops.pricing.money import Amount

__all__ = ["Budget"]

logger = logging.getLogger(__name__)

_LEASE_S: Final = 900.0
_GRACE_S: Final = 86_400.0
_REMEMBERED: Final = 10_000


class Budget:
    """How much may be used in a window: dollars, tokens or calls.

    Give it to a `BudgetLayer`, which reserves before each call and settles after it.
    A budget itself is plain bookkeeping, and can be used for anything else that costs.

    A hundred calls at once on a budget for ten are ten calls: reserving looks and adds
    in one step of the store. What cannot be known beforehand, the length of an answer,
    is estimated and put right afterwards; so the last calls of a window may exceed a
    limit in dollars or tokens by what they exceed their estimates.

    Without a store each budget counts by itself in memory. Budgets share by the same
    `SQLBudgetStore` or `RedisBudgetStore`, scope and window; each keeps its own limit.
    While such a store is lost the budget counts on in this process, so that a product
    does not stop with its Redis and the limit still holds for each process;
    `on_store_error="refuse"` is for those who would rather stop.

    A soft limit is told once per window and share, by whichever process settles the
    call that reaches it. Safe across threads and event loops; a copy is the budget
    itself. A reservation in memory takes some ten microseconds.

    Args:
        limit_usd: Dollars; exactly one of the three limits is given. A model without a
            known price is then refused.
        limit_tokens: Tokens, of input and output together.
        limit_calls: Calls.
        window: `minute`, `hour`, `day`, `week`, `month` (UTC), a `timedelta`, or
            `forever`.
        scope: Who shares it: a text with keys of `config["metadata"]` in braces. Calls
            that lack one share the budget of `(unknown)`, which is logged once.
        soft_limits: Shares of the limit that are told about when they are reached.
        on_soft: Called with the status and the share, on the thread or event loop of
            the call: it must not block. What it raises is logged once and ignored. By
            default a warning is logged.
        store: Where the amounts are kept.
        unpriced: `allow` lets models without a known price pass; they count nothing.
        on_store_error: Whether calls are allowed while the store is lost.
        clock: Seconds since the epoch.

    Raises:
        ConfigurationError: An argument is wrong.

    Example:
        ```python
        from langchain_core.language_models import FakeListChatModel
        from langchain_llmops import Budget, BudgetExceededError, BudgetLayer
        from langchain_llmops import with_layers

        budget = Budget(limit_calls=1, scope="tenant:{tenant}")
        model = with_layers(FakeListChatModel(responses=["Hi"]), BudgetLayer(budget))
        for_acme = {"metadata": {"tenant": "acme"}}
        model.invoke("Hello", for_acme)
        try:
            model.invoke("Hello again", for_acme)
        except BudgetExceededError as error:
            assert (error.scope, error.used) == ("tenant:acme", 1)
        ```
    """

    def __init__(  # noqa: PLR0913 # a budget is its options
        self,
        *,
        limit_usd: Amount | None = None,
        limit_tokens: int | None = None,
        limit_calls: int | None = None,
        window: WindowLength = "day",
        scope: str = "tenant:{tenant}",
        soft_limits: Sequence[float] = (0.8,),
        on_soft: Callable[[BudgetStatus, float], object] | None = None,
        store: BudgetStore | None = None,
        unpriced: Literal["refuse", "allow"] = "refuse",
        on_store_error: OnStoreError = "allow",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.limit = Limit.of(limit_usd, limit_tokens, limit_calls)
        self.unpriced = _one_of("unpriced", unpriced, ("refuse", "allow"))
        _one_of("on_store_error", on_store_error, ("allow", "refuse"))
        if inspect.iscoroutinefunction(on_soft):
            raise ConfigurationError(
                f"on_soft={on_soft!r} is asynchronous: give a plain function, which "
                "may start a task"
            )
        self._length = check_window(window)
        self._scope = Scope(scope)
        self._soft_limits = soft_limits_of(soft_limits, self.limit)
        self._on_soft = on_soft or _warn
        self._clock = clock
        if store is None:
            store = MemoryBudgetStore(clock=clock)
        self._store = GuardedStore(store, on_error=on_store_error)
        self._window = window_at(self._length, clock())
        self._lock = RLock()  # a garbage-collected stream may settle in here
        self._latest: OrderedDict[str, int] = OrderedDict()
        self._told: set[str] = set()
        self.refusals = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the budget itself: a copied chain draws on the same one."""
        return self

    @property
    def store_errors(self) -> int:
        """How often the store failed."""
        return self._store.errors

    def reserve(
        self, amount: int, metadata: Mapping[str, Any] | None = None
    ) -> Reservation:
        """Hold an amount until it is settled, if it fits.

        Args:
            amount: Calls, tokens or picodollars (`limit.picodollars`), as the limit.
            metadata: Who uses it: `config["metadata"]`.

        Raises:
            BudgetExceededError: It does not fit.
            StorageError: The store is lost and `on_store_error` is `refuse`.
        """
        wanted = self._reservation(amount, metadata)
        return self._answer(wanted, self._store.reserve(wanted.hold, self.limit.most))

    async def areserve(
        self, amount: int, metadata: Mapping[str, Any] | None = None
    ) -> Reservation:
        """Hold an amount as `reserve` does. Nothing is held if it is cancelled."""
        wanted = self._reservation(amount, metadata)
        try:
            answer = await self._store.areserve(wanted.hold, self.limit.most)
        except asyncio.CancelledError:
            await self._store.asettle(wanted.hold, 0, unsettled=False)
            raise
        return self._answer(wanted, answer)

    def settle(
        self, reservation: Reservation, amount: int, *, unsettled: bool = False
    ) -> None:
        """Put what was used in the place of a reservation; 0 releases it.

        Never raises. A second settlement of the same reservation changes nothing.

        Args:
            reservation: What `reserve` returned.
            amount: What was used, in the unit of `reserve`; it may be more than was
                reserved.
            unsettled: Whether that is an estimate, since nobody knows.
        """
        amount = max(0, amount)
        balance = self._store.settle(reservation.hold, amount, unsettled=unsettled)
        self._settled(reservation, balance, amount)

    async def asettle(
        self, reservation: Reservation, amount: int, *, unsettled: bool = False
    ) -> None:
        """Settle as `settle` does, without blocking the event loop."""
        amount = max(0, amount)
        hold = reservation.hold
        balance = await self._store.asettle(hold, amount, unsettled=unsettled)
        self._settled(reservation, balance, amount)

    def status(self, metadata: Mapping[str, Any] | None = None) -> BudgetStatus:
        """Return where a budget stands; asks the store.

        Args:
            metadata: Whose budget: `{"tenant": "acme"}`.
        """
        key, scope, window, now = self._place(metadata)
        return self._status(scope, window, self._store.balance(key, now))

    async def astatus(self, metadata: Mapping[str, Any] | None = None) -> BudgetStatus:
        """Return what `status` returns, without blocking the event loop."""
        key, scope, window, now = self._place(metadata)
        return self._status(scope, window, await self._store.abalance(key, now))

    def pressure(self, metadata: Mapping[str, Any] | None = None) -> float:
        """Return which share of the limit is used, from 0 to 1; asks nobody.

        It is what this process saw last, at its latest reservation or settlement in
        this window: made for a router, which reads it before each call.

        Args:
            metadata: Whose budget: `{"tenant": "acme"}`.
        """
        used = self._latest.get(self._place(metadata)[0], 0)
        return min(1.0, used / self.limit.most) if self.limit.most else 1.0

    def _place(
        self, metadata: Mapping[str, Any] | None
    ) -> tuple[str, str, Window, float]:
        now = self._clock()
        window = self._window
        if not window.start <= now < window.end:
            window = self._window = window_at(self._length, now)
        scope, missing = self._scope.of(metadata)
        if missing and not self._told.issuperset(missing):
            self._told.update(missing)
            logger.warning(
                "Calls without %s in config['metadata'] share the budget %r.",
                " and ".join(map(repr, missing)),
                scope,
            )
        return f"{self.limit.unit}:{window.key}:{scope}", scope, window, now

    def _reservation(
        self, amount: int, metadata: Mapping[str, Any] | None
    ) -> Reservation:
        key, scope, window, now = self._place(metadata)
        hold = Hold(
            id=token_hex(16),
            key=key,
            amount=max(0, amount),
            expires_at=now + _LEASE_S,
            # Late settlements, and clocks that go back, still find it.
            forget_at=window.end + _GRACE_S,
        )
        return Reservation(hold=hold, scope=scope, window=window)

    def _answer(self, wanted: Reservation, answer: tuple[bool, Balance]) -> Reservation:
        admitted, balance = answer
        self._remember(wanted.hold.key, balance)
        if admitted:
            return wanted
        with self._lock:
            self.refusals += 1
        shown = self.limit.shown
        raise BudgetExceededError(
            wanted.scope,
            shown(self.limit.most),
            shown(balance.used),
            shown(wanted.hold.amount),
            wanted.window.resets_at,
            unit=self.limit.unit,
        )

    def _settled(
        self, reservation: Reservation, balance: Balance | None, amount: int
    ) -> None:
        if balance is None:
            return
        self._remember(reservation.hold.key, balance)
        for soft in self._soft_limits:
            if soft.crossed(balance.spent - amount, balance.spent):
                status = self._status(reservation.scope, reservation.window, balance)
                self._tell(status, soft.share)

    def _tell(self, status: BudgetStatus, share: float) -> None:
        try:
            self._on_soft(status, share)
        except Exception as error:
            if "on_soft" not in self._told:
                self._told.add("on_soft")
                logger.warning(
                    "on_soft of a budget failed; further failures are not logged.",
                    exc_info=error,
                )

    def _remember(self, key: str, balance: Balance) -> None:
        with self._lock:
            self._latest[key] = balance.used
            self._latest.move_to_end(key)
            if len(self._latest) > _REMEMBERED:
                self._latest.popitem(last=False)

    def _status(self, scope: str, window: Window, balance: Balance) -> BudgetStatus:
        shown = self.limit.shown
        return BudgetStatus(
            scope=scope,
            limit=shown(self.limit.most),
            used=shown(balance.used),
            settled=shown(balance.spent - balance.unsettled),
            reserved=shown(balance.held - balance.overdue),
            unsettled=shown(balance.unsettled + balance.overdue),
            remaining=shown(max(0, self.limit.most - balance.used)),
            resets_at=window.resets_at,
        )


def _warn(status: BudgetStatus, share: float) -> None:
    logger.warning(
        "Budget %r has reached %g %%: %s of %s used.",
        status.scope,
        share * 100,
        status.used,
        status.limit,
    )


def _one_of(name: str, value: Any, choices: tuple[str, ...]) -> Any:
    if value not in choices:
        raise ConfigurationError(f"{name}={value!r} is unknown: use one of {choices!r}")
    return value
