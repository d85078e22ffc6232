"""What handlers put off until metrics are collected."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import CallbackOptions, Meter, Observation

__all__ = ["Collected", "follow", "observer"]


class Collected(Protocol):
    """A handler that has something to do when metrics are collected."""

    meter: Meter

    def catch_up(self) -> None:
        """Record what was put off. Must not raise."""

    def under_way(self) -> int:
        """Return the number of calls that have not ended."""


# A meter makes an observable instrument once and drops the callback of whoever asks
# for it again, so that the first handler's callback has to serve them all.
_handlers: WeakSet[Collected] = WeakSet()
_lock = threading.Lock()


def follow(handler: Collected) -> None:
    """Let a handler catch up when metrics are collected, for as long as it lives."""
    with _lock:
        _handlers.add(handler)


def observer(
    meter: Meter,
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    """Return the callback of a meter's observable instrument.

    It runs on the thread that collects, lets every handler catch up, and observes the
    calls under way of those that use this meter.
    """

    def observe(options: CallbackOptions) -> Iterable[Observation]:  # noqa: ARG001 # OpenTelemetry's signature
        from opentelemetry.metrics import Observation  # noqa: PLC0415 # once loaded

        with _lock:
            handlers = list(_handlers)
        for handler in handlers:
            handler.catch_up()
        ours = [handler for handler in handlers if handler.meter is meter]
        return [Observation(sum(handler.under_way() for handler in ours))]

    return observe
