"""A calibration that outlives the process: kept beside the questions, taken up by all.

What is found there is used only where it holds: made with the same embedding model,
guards and verifier, and proving the false hit rate that this cache asks for.
"""

from __future__ import annotations

import logging
from threading import Lock
from typing import TYPE_CHECKING

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_llmops.caching.semantic.base import QuestionStore
    from langchain_llmops.caching.semantic.judge import Judge
    from langchain_llmops.caching.semantic.operating_point import Calibration

__all__ = ["CalibrationRecords"]

logger = logging.getLogger(__name__)


class CalibrationRecords:
    """Hand calibrations from judge to store and back; safe across threads.

    Args:
        judge: Who decides by them.
        questions: Where they are kept.
    """

    def __init__(self, judge: Judge, questions: QuestionStore) -> None:
        self.ignored = 0
        self._judge = judge
        self._questions = questions
        self._lock = Lock()
        self._seen: str | None = None
        self._told = False

    def adopt(self) -> None:
        """Use the record that the store knows, if it is new and fits; never raises."""
        record = self._questions.calibration
        if record is None or record is self._seen or not self._judge.proves:
            return
        # Here: nothing of it is needed before there is a record.
        from langchain_llmops.caching.semantic.operating_point import (  # noqa: PLC0415
            Calibration,
        )

        with self._lock:
            self._seen = record
            try:
                self._judge.use(Calibration.from_json(record))
            except ConfigurationError as error:
                self._ignore(error)

    def keep(self, calibration: Calibration) -> None:
        """Keep a calibration that proves a rate; one that only measured is not kept."""
        if calibration.max_false_hit_rate is not None:
            self._seen = calibration.to_json()
            self._questions.keep_calibration(self._seen)

    async def akeep(self, calibration: Calibration) -> None:
        """Keep it as `keep` does; never blocks the event loop."""
        if calibration.max_false_hit_rate is not None:
            self._seen = calibration.to_json()
            await self._questions.akeep_calibration(self._seen)

    def _ignore(self, error: ConfigurationError) -> None:
        self.ignored += 1
        told, self._told = self._told, True
        if not told:
            logger.warning(
                "a kept calibration is not used: %s. Further ones are only counted in "
                "stats().ignored_calibrations.",
                error,
            )
