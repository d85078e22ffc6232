"""One HTTP request while it is served, and the books in which it ends up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_llmops.testing.invoice import InvoiceRow, RequestRecord

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from langchain_llmops.testing.invoice import Outcome
    from langchain_llmops.testing.price_list import ListedModel, ServiceTier

__all__ = ["Bill", "Books", "Exchange"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What is charged for a call once the provider has begun to work on it.

    Args:
        id: Id of the completion.
        entry: The model's entry on the price list.
        priced: Whether that entry is the model's own.
        tier: Tier whose prices apply.
        input_tokens: All input tokens.
        cached_tokens: Those of them that were cached.
        reasoning_tokens: Hidden tokens that precede the answer.
    """

    id: str
    entry: ListedModel
    priced: bool
    tier: ServiceTier
    input_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class Exchange:
    """One request and what has been sent for it so far.

    Only the event loop changes it; `record` may be called from any thread.
    """

    books: Books
    index: int
    at: datetime
    started: float
    method: str
    path: str
    retry: int
    model: str = ""
    stream: bool = False
    bill: Bill | None = None
    written: int = 0
    fault: str | None = None
    status: int | None = None
    outcome: Outcome = "open"
    duration_s: float = 0.0

    def elapsed(self) -> float:
        """Return the seconds since it arrived."""
        return self.books.clock() - self.started

    def close(self, outcome: Outcome, status: int | None) -> None:
        """Write down how it ended and bill it; only the first call counts.

        Called before the answer's last bytes are sent, so that a client that has its
        answer finds the row.
        """
        if self.outcome != "open":
            return
        self.status = status
        self.duration_s = self.elapsed()
        self.outcome = outcome
        if self.bill is not None and outcome not in {"open", "refused"}:
            self.books.invoice.append(self._row(self.bill, outcome))
        self.books.open.discard(self)

    def _row(self, bill: Bill, outcome: Outcome) -> InvoiceRow:
        rates = bill.entry.rates_of(bill.tier)
        return InvoiceRow(
            id=bill.id,
            request=self.index,
            at=self.at,
            endpoint=self.path,
            model=self.model,
            input_tokens=bill.input_tokens,
            cached_input_tokens=bill.cached_tokens,
            output_tokens=self.written,
            reasoning_tokens=min(self.written, bill.reasoning_tokens),
            usd=rates.charge(
                input_tokens=bill.input_tokens,
                cached_tokens=bill.cached_tokens,
                output_tokens=self.written,
            ),
            status=outcome,  # type: ignore[arg-type]  # open and refused are excluded
            stream=self.stream,
            service_tier=bill.tier,
            priced=bill.priced,
        )

    def record(self) -> RequestRecord:
        """Return how it stands now."""
        return RequestRecord(
            index=self.index,
            at=self.at,
            method=self.method,
            path=self.path,
            model=self.model,
            stream=self.stream,
            status=self.status,
            outcome=self.outcome,
            duration_s=self.duration_s,
            output_tokens=self.written,
            fault=self.fault,
            retry=self.retry,
        )


@dataclass(slots=True, kw_only=True, eq=False)
class Books:
    """Every request and every billed call since the last reset.

    Only the provider's event loop writes, each time with one append, so readers on
    other threads need no lock: they copy what is there.
    """

    clock: Callable[[], float]
    now: Callable[[], datetime]
    exchanges: list[Exchange] = field(default_factory=list)
    invoice: list[InvoiceRow] = field(default_factory=list)
    open: set[Exchange] = field(default_factory=set)
    peak: int = 0

    def start(self, method: str, path: str, retry: int) -> Exchange:
        """Write down an arriving request."""
        exchange = Exchange(
            books=self,
            index=len(self.exchanges),
            at=self.now(),
            started=self.clock(),
            method=method,
            path=path,
            retry=retry,
        )
        self.exchanges.append(exchange)
        self.open.add(exchange)
        self.peak = max(self.peak, len(self.open))
        return exchange
