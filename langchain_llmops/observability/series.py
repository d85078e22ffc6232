"""The labels of calls: bounded, and ready as the dictionaries that a meter takes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Literal

from langchain_llmops.cost.charge import NOT_SAID
from langchain_llmops.cost.report import UNKNOWN_MODEL
from langchain_llmops.observability.conventions import (
    OPERATION,
    PROVIDER,
    REQUEST_MODEL,
    RESPONSE_MODEL,
    UNKNOWN,
    provider_value,
)
from langchain_llmops.observability.label_sets import LabelSets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_llmops.cost.charge import Charge

__all__ = ["Attribute", "Series", "SeriesTable"]

Attribute = Literal["feature", "tenant", "user"]
"""What of `config["metadata"]` may become a label."""

_OF_MODELS = (OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL)


class Series:
    """The labels that a group of calls has in common, and those derived from them."""

    __slots__ = ("_derived", "labels")

    def __init__(self, labels: dict[str, str]) -> None:
        self.labels = labels
        self._derived: dict[tuple[str, ...], dict[str, str]] = {}

    def plus(self, *more: str) -> dict[str, str]:
        """Return the labels and more of them: keys and values in turns.

        The result is kept, so that values must be few.
        """
        found = self._derived.get(more)
        if found is None:
            added = dict(zip(more[::2], more[1::2], strict=True))
            found = self._derived[more] = {**self.labels, **added}
        return found


class SeriesTable:
    """Finds the series of a call; never makes more than `most`. Safe across threads.

    Args:
        attributes: Labels taken from the metadata, the one kept longest first.
        most: Combinations of all labels that are told apart, and as many again of
            those that need no model.
    """

    def __init__(self, attributes: Sequence[Attribute], most: int) -> None:
        self._attributes = attributes
        self._keys = [f"llmops.{name}" for name in attributes]
        width, models = len(attributes), len(_OF_MODELS)
        self._calls = LabelSets(most, width=models + width, fixed=models)
        self._events = LabelSets(most, width=width, fixed=0)
        self._lock = threading.Lock()
        self._series: dict[tuple[str, ...], Series] = {}

    def of_call(self, charge: Charge) -> Series:
        """Return the series that a call belongs to."""
        answered = charge.error is None and charge.model != UNKNOWN_MODEL
        said = (getattr(charge, name) for name in self._attributes)
        key = (
            charge.operation,
            provider_value(charge.provider),
            charge.requested or "",
            charge.model if answered else "",
            *(UNKNOWN if value == NOT_SAID else value for value in said),
        )
        return self._find(key, self._calls, (*_OF_MODELS, *self._keys))

    def of_event(self, metadata: Mapping[str, object]) -> Series:
        """Return the series of what concerns no model in particular."""
        said = (metadata.get(name) for name in self._attributes)
        key = tuple(str(value) if value else UNKNOWN for value in said)
        return self._find(key, self._events, self._keys)

    def _find(
        self, key: tuple[str, ...], bounds: LabelSets, names: Sequence[str]
    ) -> Series:
        with self._lock:
            bounded = bounds.bounded(key)
            series = self._series.get(bounded)
            if series is None:
                pairs = zip(names, bounded, strict=True)
                labels = {name: value for name, value in pairs if value}
                series = self._series[bounded] = Series(labels)
        return series
