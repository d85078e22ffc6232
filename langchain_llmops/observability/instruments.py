"""The instruments of a meter, made from the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_llmops.observability.conventions import CATALOG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import CallbackOptions, Meter, Observation

    from langchain_llmops.observability.conventions import Metric

__all__ = ["make_instruments"]


def make_instruments(
    meter: Meter, observe: Callable[[CallbackOptions], Iterable[Observation]]
) -> dict[str, Any]:
    """Return the instruments by name; a meter that has one already hands out that.

    Args:
        meter: Where they are made.
        observe: What the observable one asks when metrics are collected.
    """
    return {name: _make(meter, metric, observe) for name, metric in CATALOG.items()}


def _make(
    meter: Meter,
    metric: Metric,
    observe: Callable[[CallbackOptions], Iterable[Observation]],
) -> Any:
    name, unit, description = metric.name, metric.unit, metric.description
    if metric.kind == "histogram":
        return meter.create_histogram(
            name,
            unit=unit,
            description=description,
            explicit_bucket_boundaries_advisory=list(metric.buckets),
        )
    if metric.kind == "counter":
        return meter.create_counter(name, unit=unit, description=description)
    if metric.kind == "gauge":
        return meter.create_gauge(name, unit=unit, description=description)
    return meter.create_observable_up_down_counter(
        name, callbacks=[observe], unit=unit, description=description
    )
