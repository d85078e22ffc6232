"""`BudgetLayer`: reserves before each call of a model, settles after it."""

from __future__ import annotations

import logging
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from langchain_llmops.cost.budgets.budget import Budget
from langchain_llmops.cost.budgets.meter import CallMeter
from langchain_llmops.cost.failures import may_be_billed
from langchain_llmops.errors import BudgetExceededError, ConfigurationError
from langchain_llmops.models.base import ModelLayer
from langchain_llmops.pricing.prices import Prices
from langchain_llmops.types import BUDGET_EVENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from langchain_core.language_models import BaseChatModel
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_llmops.cost.budgets.meter import Expectation, Outputs
    from langchain_llmops.cost.budgets.status import Reservation
    from langchain_llmops.models.base import (
        AgenerateHandler,
        AstreamHandler,
        GenerateHandler,
        ModelCall,
        StreamHandler,
    )
    from langchain_llmops.types import BudgetEvent

__all__ = ["BudgetLayer"]

logger = logging.getLogger(__name__)


class _Bill(NamedTuple):
    expected: Expectation
    reservation: Reservation


class _Outcome(NamedTuple):
    amount: int
    unsettled: bool


_FREE = _Outcome(amount=0, unsettled=False)


class BudgetLayer(ModelLayer):
    """Keep the calls of a model within a budget, in every mode.

    Before a call its input is counted and its output estimated, and that much is
    reserved, or `BudgetExceededError` raised: no request is made, and the run is closed
    as failed. After the call the provider's own numbers take the place of the
    reservation. A request that the provider refused with an error is not charged. One
    that was sent and whose end is unknown (cancelled, abandoned, broken off, timed
    out) is charged what was reserved, and shown as `unsettled`: a provider may bill
    it.

    How much of the budget is used goes to the call's handlers after each call, as the
    custom event `types.BUDGET_EVENT`: `MetricsCallbackHandler` records it.

    Put it inside a `CacheLayer`, so that hits are free, and outside a
    `ConcurrencyLayer`. Several limits are several layers: what an inner one refuses the
    outer one releases. Give all legs of `with_fallbacks` the same budget, or a spent
    one leads to the next leg.

    `config["configurable"]["max_usd"]` sets a limit for a single call, in dollars:
    the call is refused if what it is expected to cost exceeds it.

    Making one for a limit in dollars loads the prices, and `with_layers` what counts
    the model's tokens: up to a second, once per process. A call then costs some 60 µs
    and the counting of its text (20 MB a second). Safe across threads and event loops.

    Args:
        budget: The budget, shared by as many layers as you like.
        prices: What models cost; by default the list prices of the day.
        outputs: `learned` reserves what the explicit `max_tokens` of a call allows (or
            1,024 tokens), and after 20 answers of a model the 95th percentile of the
            latest 200, if that is less. `max` always reserves the explicit maximum, or
            the model's own, so that a limit cannot be exceeded by long answers.

    Raises:
        ConfigurationError: An argument is wrong.

    Example:
        ```python
        from langchain_core.language_models import FakeListChatModel
        from langchain_llmops import Budget, BudgetLayer, with_layers

        budget = Budget(limit_tokens=100_000, window="hour", scope="user:{user}")
        model = with_layers(FakeListChatModel(responses=["Hi"]), BudgetLayer(budget))
        model.invoke("Hello", {"metadata": {"user": "ann"}})
        assert 0 < budget.status({"user": "ann"}).used < 50
        ```
    """

    def __init__(
        self,
        budget: Budget,
        *,
        prices: Prices | None = None,
        outputs: Outputs = "learned",
    ) -> None:
        if not isinstance(budget, Budget):
            raise ConfigurationError(
                f"BudgetLayer cannot use {budget!r}: give it a Budget(…)"
            )
        if prices is not None and not isinstance(prices, Prices):
            raise ConfigurationError(
                f"prices={prices!r} are none: pass Prices({{model: UsdPerMillion(…)}})"
            )
        if outputs not in ("learned", "max"):
            raise ConfigurationError(
                f'outputs={outputs!r} is unknown: use "learned" or "max"'
            )
        self.budget = budget
        self._meter = CallMeter(
            budget.limit.unit,
            prices=prices,
            unpriced=budget.unpriced,
            outputs=outputs,
        )
        self._told = False

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the layer itself: a copied model draws on the same budget."""
        return self

    def attach(self, model: BaseChatModel) -> Mapping[str, Any]:
        """Read what counting the model's tokens needs."""
        self._meter.load(model)
        return {}

    def generate(self, call: ModelCall, handler: GenerateHandler) -> ChatResult:
        """Answer within the budget.

        Raises:
            BudgetExceededError: The budget does not cover the call.
        """
        bill = self._open(call)
        try:
            result = handler(call)
        except BaseException as error:
            self._close(call, bill, self._broken(bill, error, ()))
            raise
        self._close(call, bill, self._ended(bill, result))
        return result

    async def agenerate(self, call: ModelCall, handler: AgenerateHandler) -> ChatResult:
        """Answer as `generate` does, on an event loop."""
        bill = await self._aopen(call)
        try:
            result = await handler(call)
        except BaseException as error:
            await self._aclose(call, bill, self._broken(bill, error, ()))
            raise
        await self._aclose(call, bill, self._ended(bill, result))
        return result

    def stream(
        self, call: ModelCall, handler: StreamHandler
    ) -> Iterator[ChatGenerationChunk]:
        """Stream within the budget, as `generate` answers."""
        bill = self._open(call)
        chunks: list[ChatGenerationChunk] = []
        try:
            with closing(handler(call)) as incoming:
                for chunk in incoming:
                    chunks.append(chunk)
                    yield chunk
        except BaseException as error:
            self._close(call, bill, self._broken(bill, error, chunks))
            raise
        self._close(call, bill, self._ended(bill, None, chunks))

    async def astream(
        self, call: ModelCall, handler: AstreamHandler
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Stream as `stream` does, on an event loop."""
        bill = await self._aopen(call)
        chunks: list[ChatGenerationChunk] = []
        try:
            async with aclosing(handler(call)) as incoming:
                async for chunk in incoming:
                    chunks.append(chunk)
                    yield chunk
        except BaseException as error:
            await self._aclose(call, bill, self._broken(bill, error, chunks))
            raise
        await self._aclose(call, bill, self._ended(bill, None, chunks))

    def _open(self, call: ModelCall) -> _Bill:
        expected = self._meter.expect(call)
        try:
            reservation = self.budget.reserve(expected.amount, _who(call))
        except BudgetExceededError as error:
            call.tell(BUDGET_EVENT, self._use(call, error.scope))
            raise
        return _Bill(expected, reservation)

    async def _aopen(self, call: ModelCall) -> _Bill:
        expected = await self._meter.aexpect(call)
        try:
            reservation = await self.budget.areserve(expected.amount, _who(call))
        except BudgetExceededError as error:
            await call.atell(BUDGET_EVENT, self._use(call, error.scope))
            raise
        return _Bill(expected, reservation)

    def _close(self, call: ModelCall, bill: _Bill, outcome: _Outcome) -> None:
        self.budget.settle(
            bill.reservation, outcome.amount, unsettled=outcome.unsettled
        )
        call.tell(BUDGET_EVENT, self._use(call, bill.reservation.scope))

    async def _aclose(self, call: ModelCall, bill: _Bill, outcome: _Outcome) -> None:
        # Cancelled in here, the reservation stays at its amount.
        await self.budget.asettle(
            bill.reservation, outcome.amount, unsettled=outcome.unsettled
        )
        await call.atell(BUDGET_EVENT, self._use(call, bill.reservation.scope))

    def _use(self, call: ModelCall, scope: str) -> BudgetEvent:
        return {"scope": scope, "use": self.budget.pressure(_who(call))}

    def _ended(
        self,
        bill: _Bill,
        result: ChatResult | None,
        chunks: Sequence[ChatGenerationChunk] = (),
    ) -> _Outcome:
        try:
            amount = self._meter.used(bill.expected, result, chunks)
        except Exception as error:  # noqa: BLE001 # whatever a reply may hold
            return self._unknown(bill, error)
        if amount is None:
            return _Outcome(bill.expected.amount, unsettled=True)
        return _Outcome(amount, unsettled=False)

    def _broken(
        self,
        bill: _Bill,
        error: BaseException,
        chunks: Sequence[ChatGenerationChunk],
    ) -> _Outcome:
        if any(getattr(c.message, "chunk_position", None) == "last" for c in chunks):
            # The reader left after the end, or a parser of the answer failed.
            return self._ended(bill, None, chunks)
        if not chunks and isinstance(error, Exception) and not may_be_billed(error):
            return _FREE
        try:
            amount = self._meter.cut_off(bill.expected, chunks)
        except Exception as problem:  # noqa: BLE001 # whatever a chunk may hold
            return self._unknown(bill, problem)
        return _Outcome(amount, unsettled=True)

    def _unknown(self, bill: _Bill, error: Exception) -> _Outcome:
        if not self._told:
            self._told = True
            logger.warning(
                "Could not work out what a call used; what was reserved for it is "
                "charged. Further ones are not logged.",
                exc_info=error,
            )
        return _Outcome(bill.expected.amount, unsettled=True)


def _who(call: ModelCall) -> Mapping[str, Any] | None:
    return call.config.get("metadata")
