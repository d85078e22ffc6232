"""How hard a prompt is: who estimates it, and a first estimate without any data."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing.text_features import FEATURES, text_features

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["DifficultyEstimator", "DifficultyGauge", "TextDifficulty"]

logger = logging.getLogger(__name__)

_LENGTH, _NUMBERS, _SYMBOLS = map(
    FEATURES.index, ("characters", "numbers", "symbol_share")
)
_EASY_LENGTH: Final = math.log(40)
_HARD_LENGTH: Final = math.log(4_000)
_MANY_NUMBERS: Final = math.log(10)
_MANY_SYMBOLS: Final = 0.1


@runtime_checkable
class DifficultyEstimator(Protocol):
    """Say of prompts how much they need a strong model."""

    def scores(self, prompts: Sequence[str]) -> Sequence[float]:
        """Return a score from 0 to 1 for each prompt, higher for harder."""

    async def ascores(self, prompts: Sequence[str]) -> Sequence[float]:
        """Return what `scores` returns, without blocking the event loop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDifficulty:
    """Estimate difficulty from how a prompt looks; needs no data and no model.

    A weighted mean of three figures from 0 to 1: its length (40 characters to 4,000, on
    a logarithmic scale), its numbers (none to nine) and its share of symbols that
    formulas and code are made of (none to a tenth). Length has most of the weight
    because it tells most; no such rule comes near what `learned` makes of your logs.

    Attributes:
        length: Weight of the length.
        numbers: Weight of the numbers.
        symbols: Weight of the symbols.

    Raises:
        ConfigurationError: A weight is negative, or all are 0.
    """

    length: float = 0.8
    numbers: float = 0.1
    symbols: float = 0.1

    def __post_init__(self) -> None:
        weights = [getattr(self, each.name) for each in fields(self)]
        if min(weights) < 0 or not sum(weights) > 0:
            raise ConfigurationError(
                f"the weights are {weights!r}: give none below 0 and one above"
            )

    def scores(self, prompts: Sequence[str]) -> list[float]:
        """Return a score from 0 to 1 for each prompt."""
        return [self._score(text_features(prompt)) for prompt in prompts]

    async def ascores(self, prompts: Sequence[str]) -> list[float]:
        """Return what `scores` returns; a matter of microseconds."""
        return self.scores(prompts)

    def _score(self, features: Sequence[float]) -> float:
        length = (features[_LENGTH] - _EASY_LENGTH) / (_HARD_LENGTH - _EASY_LENGTH)
        weighed = (
            self.length * min(max(length, 0), 1)
            + self.numbers * min(features[_NUMBERS] / _MANY_NUMBERS, 1)
            + self.symbols * min(features[_SYMBOLS] / _MANY_SYMBOLS, 1)
        )
        return weighed / (self.length + self.numbers + self.symbols)


class DifficultyGauge:
    """Ask an estimator, and go on without it when it fails.

    Failures are counted, logged once and answered with `None`, "unknown". Safe across
    threads and event loops.

    Args:
        estimator: Whom to ask; an embedding model behind it may fail.

    Attributes:
        errors: How often it failed.
    """

    def __init__(self, estimator: DifficultyEstimator) -> None:
        self.errors = 0
        self._estimator = estimator

    def read(self, prompt: str) -> float | None:
        """Return how hard a prompt is, or `None` if the estimator failed."""
        try:
            return float(self._estimator.scores([prompt])[0])
        except Exception as error:  # noqa: BLE001 - whatever an embedding model raises
            self._failed(error)
            return None

    async def aread(self, prompt: str) -> float | None:
        """Return what `read` returns, without blocking the event loop."""
        try:
            return float((await self._estimator.ascores([prompt]))[0])
        except Exception as error:  # noqa: BLE001 - whatever an embedding model raises
            self._failed(error)
            return None

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        if self.errors == 1:
            logger.warning(
                "The difficulty of a prompt could not be estimated; routing goes on "
                "without: %r",
                error,
            )
