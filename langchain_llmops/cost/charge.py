"""One call as it is booked: the record that reports add up and ledgers keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from langchain_llmops.pricing.usage import Usage

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ["Basis", "Charge"]

_NOTHING = Usage()

Basis = Literal["reported", "estimated", "unsettled", "cached"]
"""Where a charge's figures come from.

`reported`: the provider's own numbers. `estimated`: counted from what went over the
wire, because the provider's numbers never arrived. `unsettled`: the call may have gone
out and nothing is known of it. `cached`: a cache answered and no provider was called.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one call used and cost.

    Attributes:
        run_id: The run that made it.
        model: Its model, as the provider named it; else as it was asked for.
        feature: What it was for.
        basis: Where the figures come from.
        usage: Tokens that are billed; none where a cache answered.
        cost: Price in motes (see `pricing.money`); `None` where none is known.
        saved: What the cache saved, in motes; 0 where that is not known.
    """

    run_id: UUID
    model: str
    feature: str
    basis: Basis
    usage: Usage = _NOTHING
    cost: int | None = 0
    saved: int = 0
