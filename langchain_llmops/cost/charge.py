"""One call as it is booked: the record that reports add up and ledgers keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from langchain_llmops.pricing.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from langchain_llmops.pricing.rates import PriceSheet

__all__ = [
    "NOT_SAID",
    "Basis",
    "Charge",
    "ChargeLedger",
    "ChargeSource",
    "Operation",
]

_NOTHING = Usage()

NOT_SAID = "(none)"
"""Tenant, user or feature of calls whose `config["metadata"]` names none."""

Basis = Literal["reported", "estimated", "unsettled", "cached", "refused"]
"""Where a charge's figures come from.

`reported`: the provider's own numbers. `estimated`: counted from what went over the
wire, because the provider's numbers never arrived. `unsettled`: the call may have gone
out and nothing is known of it. `cached`: a cache answered and no provider was called.
`refused`: the provider refused the call, or was never reached: nothing is billed.
"""

Operation = Literal["chat", "text_completion", "embeddings"]
"""What was asked of a model, in the words of OpenTelemetry's conventions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one call used and cost, for whom, and how it went.

    Attributes:
        run_id: The run that made it.
        model: Its model, as the provider named it; else as it was asked for.
        feature: What it was for: `config["metadata"]["feature"]`.
        basis: Where the figures come from.
        usage: Tokens that are billed; none where a cache answered.
        cost: Price in motes (see `pricing.money`); `None` where none is known.
        saved: What the cache saved, in motes; 0 where that is not known.
        tenant: For whom it was: `config["metadata"]["tenant"]`.
        user: Who made it: `config["metadata"]["user"]`.
        provider: LangChain's name for who served it; `None` if nobody said.
        service_tier: Tier that served it, where it is not the standard one.
        started_at: When it began, in seconds since the epoch.
        duration_s: Seconds until it ended, by a clock that never goes backwards; 0
            for a call that has not ended.
        first_token_s: Seconds until its first token; `None` if it did not stream.
        error: Class of the error that ended it (`GeneratorExit` or `CancelledError`
            where the reader left); `None` if it was answered.
        cache_kind: `exact` or `semantic` if one of our caches answered; `None` where
            no cache did, or one that does not say.
        sheet: The unit prices that the cost was worked out with; `None` where none
            are known or none were needed.
        price_version: Where those prices come from: `Prices.version`.
        operation: What was asked of the model.
        requested: The model that was asked for; `None` if nobody said.
        arrivals: When each piece of its answer came that brought output, by the clock
            of `duration_s`; none if it did not stream.
    """

    run_id: UUID
    model: str
    feature: str
    basis: Basis
    usage: Usage = _NOTHING
    cost: int | None = 0
    saved: int = 0
    tenant: str = NOT_SAID
    user: str = NOT_SAID
    provider: str | None = None
    service_tier: str | None = None
    started_at: float = 0.0
    duration_s: float = 0.0
    first_token_s: float | None = None
    error: str | None = None
    cache_kind: str | None = None
    sheet: PriceSheet | None = None
    price_version: str | None = None
    operation: Operation = "chat"
    requested: str | None = None
    arrivals: Sequence[float] = ()


class ChargeSource(Protocol):
    """Who hands charges to a ledger and may hold some back: a `CallTracker`."""

    def count_estimates(self) -> None:
        """Book the calls whose tokens must be counted first."""

    def under_way(self) -> list[Charge]:
        """Return the charges of calls that have not ended."""


class ChargeLedger(Protocol):
    """What `CostCallbackHandler` writes to: a `UsageLedger`, or one of your own."""

    def record(self, charge: Charge) -> None:
        """Keep a charge. Must not block and must not raise."""

    def follow(self, source: ChargeSource) -> Callable[[], None]:
        """Ask a source for what it holds back, off the caller's thread.

        Returns:
            A function that says that there is something now. It must not block.
        """
