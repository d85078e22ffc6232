"""What a semantic cache did since it was made."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmops.caching.semantic.base import QuestionCounts
    from langchain_llmops.caching.semantic.operating_point import Calibration
    from langchain_llmops.caching.stats import CacheStats

__all__ = ["SemanticCounter", "SemanticStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticStats:
    """Counts of the semantic step; exact hits are counted in `tier`.

    Attributes:
        hits: Answers given for another question that asks the same.
        misses: Questions looked up for which nothing was given.
        bypassed: Requests left to exact hits: no plain question, anaphora, too long.
        abstained: Lookups not made because nothing is proven yet.
        refused: Near questions that a guard kept apart, by guard.
        embedding_errors: Failures of the embedding model.
        log_errors: Failures of the file or server that keeps the questions.
        entries: Questions that can be found now; `None` where that is not known.
        partitions: Partitions that hold one; `None` where that is not known.
        evicted: Questions that had to leave for want of room.
        lost: Questions dropped because their answer had expired.
        quarantined: Questions that feedback took out of service.
        confirmed: Hits that feedback called right.
        would_serve: Hits that shadow mode would have given.
        compared: Those of them whose own answer arrived to compare with.
        agreed: Those of them where the two answers say the same.
        ignored_calibrations: Records beside the questions that could not be used here:
            damaged, or made with another model, guards or rate.
        calibration: What labelled pairs proved; `None` before `calibrate`.
        tier: What the `TieredCache` below counted; `None` for another store.
    """

    hits: int
    misses: int
    bypassed: int
    abstained: int
    refused: Mapping[str, int]
    embedding_errors: int
    log_errors: int
    entries: int | None
    partitions: int | None
    evicted: int
    lost: int
    quarantined: int
    confirmed: int
    would_serve: int
    compared: int
    agreed: int
    ignored_calibrations: int
    calibration: Calibration | None
    tier: CacheStats | None

    @property
    def agreement(self) -> float | None:
        """Share of the compared shadow hits whose answers agree; `None` if none."""
        return self.agreed / self.compared if self.compared else None


class SemanticCounter:
    """Count what the semantic step does; safe across threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._events: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()

    def add(self, event: str, times: int = 1) -> None:
        """Count an event by the name it has in `SemanticStats`."""
        with self._lock:
            self._events[event] += times

    def refused(self, reason: str) -> None:
        """Count a guard's objection, by what stands before its colon."""
        with self._lock:
            self._refused[reason.partition(":")[0]] += 1

    def snapshot(
        self,
        *,
        embedding_errors: int,
        questions: QuestionCounts,
        ignored_calibrations: int,
        calibration: Calibration | None,
        tier: CacheStats | None,
    ) -> SemanticStats:
        """Return the counts so far."""
        with self._lock:
            events, refused = self._events.copy(), dict(self._refused)
        return SemanticStats(
            hits=events["hits"],
            misses=events["misses"],
            bypassed=events["bypassed"],
            abstained=events["abstained"],
            refused=refused,
            embedding_errors=embedding_errors,
            log_errors=questions.errors,
            entries=questions.entries,
            partitions=questions.partitions,
            evicted=questions.evicted,
            lost=events["lost"],
            quarantined=events["quarantined"],
            confirmed=events["confirmed"],
            would_serve=events["would_serve"],
            compared=events["compared"],
            agreed=events["agreed"],
            ignored_calibrations=ignored_calibrations,
            calibration=calibration,
            tier=tier,
        )
