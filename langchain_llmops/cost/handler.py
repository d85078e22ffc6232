"""CostCallbackHandler: watches calls and says what they cost."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, overload

from langchain_llmops.cost.events import CallTrackingHandler
from langchain_llmops.cost.report import CostReport, Dimension, Tally
from langchain_llmops.cost.tracker import CallTracker
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing.prices import Prices, default_prices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.cost.charge import Charge, ChargeLedger

__all__ = ["CostCallbackHandler"]


class CostCallbackHandler(CallTrackingHandler):
    """Counts what chat and text models use and cost, exactly where a provider says it.

    Pass it in `config["callbacks"]`, or to a model as `callbacks`. Every call is booked
    once, however often the handler is attached and however chains are nested: from the
    provider's own numbers where they arrive, else by an estimate of what went over the
    wire, which is flagged. Answers out of a cache (`CacheLayer`, `TieredCache`, or
    LangChain's own caches) cost nothing and are reported as saved.

    It never raises into a call and never changes one. Making one loads the prices (up
    to half a second, once per process: do it at start-up, not in an event loop);
    afterwards it costs some twenty microseconds per call and less than one per token,
    without I/O, on the caller's thread. Safe across threads and event loops.

    Its memory does not grow with the number of calls: of calls that never end the
    latest 10,000 are followed, and of those that must be estimated 256 wait for a
    report; beyond that the oldest is counted in the callback.

    What it cannot know: attempts that a client repeats by itself
    (`models.without_client_retries` stops that), the hidden reasoning of a stream that
    broke off, and whether a call that was cancelled before its answer is billed; the
    last stays `unsettled`.

    Args:
        ledger: Where each charge is kept as a row as well, such as a `UsageLedger`. It
            also counts the calls that must be estimated, on its own thread.
        prices: What models cost; by default the list prices of the day.

    Raises:
        ConfigurationError: `prices` are no `Prices`, or `ledger` keeps no charges.

    Example:
        ```python
        from langchain_core.language_models import FakeListChatModel
        from langchain_llmops import CostCallbackHandler

        costs = CostCallbackHandler()
        model = FakeListChatModel(responses=["Hello!"])
        model.invoke("Hi", {"callbacks": [costs], "metadata": {"feature": "greeting"}})
        report = costs.report()
        assert report.by_feature["greeting"].calls == 1
        assert report.unpriced == 1  # nobody charges for a fake
        ```
    """

    def __init__(
        self, ledger: ChargeLedger | None = None, *, prices: Prices | None = None
    ) -> None:
        if prices is not None and not isinstance(prices, Prices):
            raise ConfigurationError(
                f"prices={prices!r} are none: pass Prices({{model: UsdPerMillion(…)}})"
            )
        if ledger is not None and not callable(getattr(ledger, "record", None)):
            raise ConfigurationError(
                f"ledger={ledger!r} keeps no charges: pass UsageLedger(…)"
            )
        self._lock = threading.Lock()
        self._tally = Tally()
        self._ledger = ledger
        self._tracker = CallTracker(prices or default_prices(), self._book)
        if ledger is not None:
            self._tracker.on_uncounted = ledger.follow(self._tracker)

    @overload
    def report(self) -> CostReport: ...
    @overload
    def report(self, by: Sequence[Dimension]) -> dict[tuple[str, ...], CostReport]: ...

    def report(
        self, by: Sequence[Dimension] | None = None
    ) -> CostReport | dict[tuple[str, ...], CostReport]:
        """Return what the calls so far used and cost.

        Calls that must be estimated are counted here, not in the callback: about
        50 ms per megabyte of text, and up to 0.8 s before the first. In an event loop
        `areport` keeps that off the loop.

        Args:
            by: `("feature", "model")`, or one of them: one report per combination.

        Returns:
            The report; with `by`, a dictionary keyed by tuples in its order.

        Raises:
            ConfigurationError: `by` names something else.
        """
        self._tracker.count_estimates()
        with self._lock:
            tally = self._tally.copy()
        for charge in self._tracker.under_way():
            tally.book(charge)
        return tally.report() if by is None else tally.split(by)

    @overload
    async def areport(self) -> CostReport: ...
    @overload
    async def areport(
        self, by: Sequence[Dimension]
    ) -> dict[tuple[str, ...], CostReport]: ...

    async def areport(
        self, by: Sequence[Dimension] | None = None
    ) -> CostReport | dict[tuple[str, ...], CostReport]:
        """Return the same as `report`, counted on another thread."""
        if by is None:
            return await asyncio.to_thread(self.report)
        return await asyncio.to_thread(self.report, by)

    def reset(self) -> None:
        """Start from zero. Calls under way are booked when they end.

        A ledger keeps all that it has: with one, calls that must be estimated are
        counted first, as in `report`.
        """
        if self._ledger is None:
            self._tracker.drop_estimates()
        else:
            self._tracker.count_estimates()
        with self._lock:
            self._tally = Tally()

    def _book(self, charge: Charge) -> None:
        with self._lock:
            self._tally.book(charge)
        if self._ledger is not None:
            self._ledger.record(charge)
