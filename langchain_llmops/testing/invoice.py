"""What the provider writes down: every request, and every call that it bills."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from langchain_llmops.testing.price_list import ServiceTier

__all__ = ["BillingStatus", "InvoiceRow", "Outcome", "RequestRecord"]

BillingStatus = Literal["completed", "aborted", "cut", "malformed"]
Outcome = Literal["open", "completed", "refused", "aborted", "cut", "malformed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoiceRow:
    """One billed call.

    Args:
        id: The completion's id as the client saw it.
        request: Index of its row in `LocalProvider.requests`.
        at: When the request arrived, in UTC.
        endpoint: Path that was called, such as `/v1/chat/completions`.
        model: The model as it was asked for.
        input_tokens: All input tokens, cached ones included.
        cached_input_tokens: Those billed at the price of cached input.
        output_tokens: Tokens written before the call ended, hidden ones included.
        reasoning_tokens: The hidden ones.
        usd: The exact price.
        status: `completed`; `aborted`: the client went away; `cut` and `malformed`:
            the provider's own fault ended the answer.
        stream: Whether the answer was streamed.
        service_tier: Tier whose prices were charged.
        priced: `False` where the model is not on the price list and was charged
            gpt-4o's prices.
    """

    id: str
    request: int
    at: datetime
    endpoint: str
    model: str
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    usd: Decimal
    status: BillingStatus
    stream: bool
    service_tier: ServiceTier
    priced: bool

    def as_json(self) -> dict[str, str | int]:
        """Return the row as JSON data; the price and the time are exact strings."""
        return {
            field.name: value if isinstance(value, (str, int)) else str(value)
            for field in fields(self)
            for value in [getattr(self, field.name)]
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One HTTP request, billed or not.

    Args:
        index: Number in order of arrival, from 0.
        at: When it arrived, in UTC.
        method: HTTP method.
        path: Path of the URL.
        model: The model it asked for; empty where the request has none.
        stream: Whether it asked for a stream.
        status: HTTP status that was sent; `None` where none was.
        outcome: `open` while it is being served; `refused` for an HTTP error.
        duration_s: Seconds from arrival to end; 0 while it is open.
        output_tokens: Tokens written.
        fault: Name of the injected fault that struck it.
        retry: How many times the client says it has sent this before.
    """

    index: int
    at: datetime
    method: str
    path: str
    model: str = ""
    stream: bool = False
    status: int | None = None
    outcome: Outcome = "open"
    duration_s: float = 0.0
    output_tokens: int = 0
    fault: str | None = None
    retry: int = 0
