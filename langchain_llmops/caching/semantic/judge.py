"""Whether an answer to one question answers another: guards, then a score."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from langchain_llmops.caching.semantic.guards import DEFAULT_GUARDS, conflict
from langchain_llmops.caching.semantic.question import semantic_text
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.caching.semantic.calibration import JudgedPair
    from langchain_llmops.caching.semantic.guards import Guard
    from langchain_llmops.caching.semantic.operating_point import Calibration, Score

__all__ = ["LIKELY", "Judge", "Verifier"]

logger = logging.getLogger(__name__)

LIKELY: Final = 0.5
"""A verifier's probability that counts as a yes while there is no calibration."""

RULES_VERSION: Final = 1
"""Raised when guards, features or the reading of questions change: what was calibrated
with others does not hold any more."""


class Verifier(Protocol):
    """A second opinion on two questions that are near each other."""

    def __call__(
        self, question_a: str, question_b: str, similarity: float
    ) -> float | bool:
        """Return whether they ask the same, or the probability of it.

        Called in the middle of a lookup, also on event loops: it should take a
        millisecond, not a call to a model. What it raises counts as a no.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _OperatingPoint:
    """A score, and where it is high enough; swapped as one when calibrated."""

    score: Score | None = None
    threshold: float
    floor: float
    calibration: Calibration | None = None


class Judge:
    """Decide over pairs of questions; safe across threads.

    Args:
        threshold: Smallest cosine that is served while there is no operating point.
        max_false_hit_rate: Wrong hits ÷ hits that are acceptable. With one, nothing is
            served before a calibration has proven where it holds.
        verifier: A second opinion; with a calibration, what is calibrated.
        guards: What refuses a pair whatever its score; `DEFAULT_GUARDS` by default.
        embedding: Identity of the model that similarities come from.
    """

    def __init__(
        self,
        *,
        threshold: float,
        max_false_hit_rate: float | None = None,
        verifier: Verifier | None = None,
        guards: Sequence[Guard] | None = None,
        embedding: str = "",
    ) -> None:
        if not 0.0 < threshold <= 1.0:
            raise ConfigurationError(
                f"threshold={threshold!r} is no cosine: use one in (0, 1], e.g. 0.92"
            )
        if max_false_hit_rate is not None and not 0.0 < max_false_hit_rate < 1.0:
            raise ConfigurationError(
                f"max_false_hit_rate={max_false_hit_rate!r} must be in (0, 1): 0.05 "
                "accepts one wrong hit in twenty"
            )
        self._threshold = threshold
        self._rate = max_false_hit_rate
        self._verifier = verifier
        self._guards = DEFAULT_GUARDS if guards is None else tuple(guards)
        self._basis = (
            f"embeddings {embedding}; rules {RULES_VERSION}; guards "
            f"{' '.join(map(_name, self._guards)) or 'none'}; verifier "
            f"{_name(verifier)}"
        )
        self._point = _OperatingPoint(threshold=threshold, floor=threshold)
        self._told = False

    @property
    def calibration(self) -> Calibration | None:
        """What the last calibration proved; `None` before the first."""
        return self._point.calibration

    @property
    def proves(self) -> bool:
        """Whether what is served must be proven by a calibration."""
        return self._rate is not None

    @property
    def abstains(self) -> bool:
        """Whether nothing is served for want of evidence."""
        return self._rate is not None and self._point.score is None

    @property
    def floor(self) -> float:
        """Smallest cosine that can be accepted at all."""
        return self._point.floor

    def text(self, question: str) -> str | None:
        """Return the text to compare; `None` if it does not stand for itself."""
        return semantic_text(question)

    def objection(self, question_a: str, question_b: str) -> str | None:
        """Return why a guard refuses a pair, or `None`."""
        return conflict(question_a, question_b, self._guards)

    def accepts(self, question_a: str, question_b: str, similarity: float) -> bool:
        """Return whether a pair without objection is near enough; never raises."""
        point = self._point
        if self.abstains or similarity < point.floor:
            return False
        try:
            if point.score is not None:
                score = point.score(question_a, question_b, similarity)
                return score >= point.threshold
            if self._verifier is None:
                return True
            opinion = self._verifier(question_a, question_b, similarity)
        except Exception as error:  # noqa: BLE001 - whatever a verifier raises
            self._tell(error)
            return False
        return opinion if isinstance(opinion, bool) else opinion >= LIKELY

    def calibrate(
        self, pairs: Sequence[JudgedPair], *, confidence: float
    ) -> Calibration:
        """Choose the operating point that labelled pairs prove, and keep to it."""
        # Here: most processes only use what one of them has fitted.
        from langchain_llmops.caching.semantic.calibration import (  # noqa: PLC0415
            calibrate,
        )

        if not 0.0 < confidence < 1.0:
            raise ConfigurationError(
                f"confidence={confidence!r} must be in (0, 1), e.g. 0.95"
            )
        if not pairs:
            raise ConfigurationError(
                "no pairs to calibrate on: give (question_a, question_b, same) triples"
            )
        calibration, score = calibrate(
            pairs,
            threshold=self._threshold,
            max_false_hit_rate=self._rate,
            confidence=confidence,
            verifier=None if self._verifier is None else self._opinion,
            basis=self._basis,
        )
        self._point = self._at(calibration, score)
        if calibration.abstains:
            logger.warning(
                "%d labelled pairs do not prove a false hit rate of %r: only exact "
                "hits are served. Calibrate on more pairs (%d served without an error "
                "would do), or accept a higher rate.",
                calibration.pairs,
                self._rate,
                calibration.needed,
            )
        return calibration

    def use(self, calibration: Calibration) -> None:
        """Keep to an operating point that was proven elsewhere.

        Raises:
            ConfigurationError: It does not hold for this judge.
        """
        proven = calibration.max_false_hit_rate
        if calibration.basis != self._basis:
            made, here = calibration.basis.split("; "), self._basis.split("; ")
            raise ConfigurationError(
                f"the calibration was made with {'; '.join(_without(made, here))!r}, "
                f"the cache has {'; '.join(_without(here, made))!r}: calibrate again"
            )
        if proven is None or self._rate is None or proven > self._rate:
            raise ConfigurationError(
                f"the calibration proves max_false_hit_rate={proven!r}, and the cache "
                f"asks for {self._rate!r}: make both the same, or calibrate again"
            )
        verifier = self._opinion if calibration.score == "verifier" else None
        self._point = self._at(calibration, calibration.score_with(verifier))

    def _at(self, calibration: Calibration, score: Score) -> _OperatingPoint:
        return _OperatingPoint(
            score=None if self._rate is None or calibration.abstains else score,
            threshold=calibration.threshold or 0.0,
            floor=calibration.floor,
            calibration=calibration,
        )

    def _opinion(self, question_a: str, question_b: str, similarity: float) -> float:
        """Return a verifier's opinion as a score; a plain yes leaves the cosine."""
        assert self._verifier is not None  # noqa: S101 - passed only then
        opinion = self._verifier(question_a, question_b, similarity)
        if isinstance(opinion, bool):
            return similarity if opinion else float("-inf")
        return opinion

    def _tell(self, error: Exception) -> None:
        told, self._told = self._told, True
        if not told:
            logger.warning(
                "the verifier failed (%s: %s): such pairs are not served",
                type(error).__name__,
                error,
            )


def _name(thing: Any) -> str:
    """Return what a function, or the class of an object, is called."""
    if thing is None:
        return "none"
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}.{named.__qualname__}"


def _without(parts: Sequence[str], others: Sequence[str]) -> list[str]:
    return [part for part in parts if part not in others]
