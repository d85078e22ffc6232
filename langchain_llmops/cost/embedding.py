"""A request for embeddings, and the charge that is booked for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from langchain_llmops.cost.charge import Charge
from langchain_llmops.cost.report import UNKNOWN_MODEL
from langchain_llmops.cost.runs import said
from langchain_llmops.pricing.usage import Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmops.cost.charge import Basis
    from langchain_llmops.pricing import Prices

__all__ = ["EmbeddingCall", "EmbeddingTracker", "embedding_charge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingCall:
    """One request for embeddings.

    Attributes:
        basis: Where `tokens` comes from.
        tokens: Tokens that went in.
        model: The model as the provider named it; else as it was asked for.
        requested: The model that was asked for.
        provider: LangChain's name for who served it; `None` if nobody said.
        metadata: What the call was for, as in `config["metadata"]`.
        started_at: When it began, in seconds since the epoch.
        duration_s: Seconds until it ended.
        error: Class of the error that ended it; `None` if it was answered.
    """

    basis: Basis
    tokens: int = 0
    model: str | None = None
    requested: str | None = None
    provider: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    started_at: float = 0.0
    duration_s: float = 0.0
    error: str | None = None


class EmbeddingTracker(Protocol):
    """Who keeps account of embeddings: a handler for costs or one for metrics."""

    def book_embedding(self, call: EmbeddingCall) -> None:
        """Book one request. Must not block and must not raise."""


def embedding_charge(call: EmbeddingCall, prices: Prices) -> Charge:
    """Return the charge of a request for embeddings.

    Args:
        call: What is known of it.
        prices: What models cost.
    """
    usage = Usage(call.tokens)
    names = tuple(dict.fromkeys(filter(None, (call.model, call.requested))))
    billed = call.basis in {"reported", "estimated"}
    sheet = prices.sheet(names, call.provider) if billed and names else None
    cost = None if sheet is None else sheet.cost(usage)
    return Charge(
        run_id=uuid4(),
        model=call.model or call.requested or UNKNOWN_MODEL,
        basis=call.basis,
        usage=usage,
        cost=cost if billed else 0,
        feature=said(call.metadata, "feature"),
        tenant=said(call.metadata, "tenant"),
        user=said(call.metadata, "user"),
        provider=call.provider,
        started_at=call.started_at,
        duration_s=call.duration_s,
        error=call.error,
        sheet=sheet,
        price_version=None if sheet is None else prices.version,
        operation="embeddings",
        requested=call.requested,
    )
