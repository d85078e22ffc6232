"""What is recorded of a call once it is booked, and of what befell it on the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_llmops.observability.conventions import (
    BASIS,
    BUDGET_SCOPE,
    CACHE_KIND,
    ERROR_TYPE,
    MODALITY,
    TOKEN_TYPE,
    UNKNOWN,
)
from langchain_llmops.observability.label_sets import OTHER, FrequentKeys
from langchain_llmops.types import (
    BUDGET_EVENT,
    FAILOVER_EVENT,
    QUEUE_WAIT_EVENT,
    RETRY_EVENT,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmops.cost.charge import Charge
    from langchain_llmops.observability.gaps import Gaps
    from langchain_llmops.observability.series import Series, SeriesTable
    from langchain_llmops.observability.sums import Sums

__all__ = ["Recorder"]

_USAGE = "gen_ai.client.inference.usage"
_COUNTED_EVENTS = {
    RETRY_EVENT: "llmops.client.retries",
    FAILOVER_EVENT: "llmops.client.failovers",
}


class Recorder:
    """Writes calls and events to instruments. Safe across threads; may raise.

    Args:
        instruments: Every instrument of the catalog, by name.
        series: Where the labels come from.
        sums: Where counters are added up.
        gaps: Where the times between chunks wait to be recorded.
        max_scopes: Scopes of budgets that are told apart.
    """

    def __init__(
        self,
        instruments: Mapping[str, Any],
        series: SeriesTable,
        sums: Sums,
        gaps: Gaps,
        *,
        max_scopes: int,
    ) -> None:
        self._on = instruments
        self._series = series
        self._count = sums.add
        self._gaps = gaps
        self._scopes = FrequentKeys(max_scopes)

    def call(self, charge: Charge) -> None:
        """Record a call that was booked."""
        series = self._series.of_call(charge)
        if charge.basis == "cached":
            labels = series.plus(CACHE_KIND, charge.cache_kind or UNKNOWN)
            self._count("llmops.cache.hits", 1, labels)
            self._count("llmops.cache.saved", charge.saved, labels)
            return
        self._times(charge, series)
        if charge.basis in {"reported", "estimated"}:
            self._tokens(charge, series)
            self._cost(charge, series)
            return
        # The conventions want a call without usage to be seen in the counters, too.
        nothing = series.plus(MODALITY, UNKNOWN, BASIS, charge.basis)
        self._count(f"{_USAGE}.input_tokens", 0, nothing)
        self._count(f"{_USAGE}.output_tokens", 0, nothing)
        if charge.basis == "unsettled":
            self._count("llmops.client.unsettled", 1, series.labels)

    def event(
        self, name: str, data: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> None:
        """Record a custom event; one that is not ours leaves no trace."""
        if name in _COUNTED_EVENTS:
            labels = self._series.of_event(metadata).labels
            self._count(_COUNTED_EVENTS[name], 1, labels)
        elif name == QUEUE_WAIT_EVENT:
            labels = self._series.of_event(metadata).labels
            self._on["llmops.queue.wait"].record(max(0.0, data["seconds"]), labels)
        elif name == BUDGET_EVENT:
            scope = str(data["scope"])
            known = scope if self._scopes.admits((scope,)) else OTHER
            self._on["llmops.budget.use"].set(data["use"], {BUDGET_SCOPE: known})

    def _times(self, charge: Charge, series: Series) -> None:
        labels = series.labels
        if charge.duration_s or charge.basis != "unsettled":  # else it never ended
            error = charge.error
            self._on["gen_ai.client.operation.duration"].record(
                charge.duration_s, series.plus(ERROR_TYPE, error) if error else labels
            )
        if charge.first_token_s is not None:
            self._on["gen_ai.client.operation.time_to_first_chunk"].record(
                charge.first_token_s, labels
            )
            self._gaps.add(charge.arrivals, labels)

    def _tokens(self, charge: Charge, series: Series) -> None:
        usage, basis = charge.usage, _basis(charge)
        histogram = self._on["gen_ai.client.token.usage"]
        histogram.record(usage.input_tokens, series.plus(TOKEN_TYPE, "input", *basis))
        counts = [("input_tokens", usage.input_tokens, usage.input_audio)]
        if charge.operation != "embeddings":
            out = series.plus(TOKEN_TYPE, "output", *basis)
            histogram.record(usage.output_tokens, out)
            counts.append(("output_tokens", usage.output_tokens, usage.output_audio))
        if usage.cache_read:
            counts.append(("cache_read.input_tokens", usage.cache_read, 0))
        if usage.cache_write:
            counts.append(("cache_write.input_tokens", usage.cache_write, 0))
        if usage.reasoning:
            counts.append(("reasoning.output_tokens", usage.reasoning, 0))
        for name, tokens, audio in counts:
            # Providers tell audio apart; what is no audio may be text or images.
            counter, rest = f"{_USAGE}.{name}", tokens - audio
            self._count(counter, rest, series.plus(MODALITY, UNKNOWN, *basis))
            if audio:
                self._count(counter, audio, series.plus(MODALITY, "audio", *basis))

    def _cost(self, charge: Charge, series: Series) -> None:
        if charge.cost is None:
            self._count("llmops.client.unpriced", 1, series.labels)
        else:
            labels = series.plus(*_basis(charge))
            self._count("llmops.client.cost", charge.cost, labels)


def _basis(charge: Charge) -> tuple[str, ...]:
    """Return the label of figures that are not the provider's own."""
    return () if charge.basis == "reported" else (BASIS, charge.basis)
