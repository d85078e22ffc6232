"""Running a semantic cache: calibrate, invalidate, take feedback, warm it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.caches import BaseCache

from langchain_llmops.caching.hot import HotQuestions
from langchain_llmops.caching.requests.request_cache import RequestCache
from langchain_llmops.caching.semantic.absences import Absences
from langchain_llmops.caching.semantic.matcher import Matcher
from langchain_llmops.caching.semantic.records import CalibrationRecords
from langchain_llmops.caching.semantic.renewals import Renewals
from langchain_llmops.caching.semantic.review import HitReview
from langchain_llmops.caching.semantic.stats import SemanticCounter
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from langchain_llmops.caching.base import AnswerStore
    from langchain_llmops.caching.hot import HotQuestion
    from langchain_llmops.caching.invalidation import (
        CachedAnswer,
        Invalidation,
        Predicate,
    )
    from langchain_llmops.caching.semantic.base import QuestionStore
    from langchain_llmops.caching.semantic.embedder import QuestionEmbedder
    from langchain_llmops.caching.semantic.judge import Judge
    from langchain_llmops.caching.semantic.matcher import LabelledPair
    from langchain_llmops.caching.semantic.operating_point import Calibration
    from langchain_llmops.caching.semantic.review import ShadowHit
    from langchain_llmops.caching.semantic.stats import SemanticStats
    from langchain_llmops.caching.tiered import TieredCache

__all__ = ["SemanticOperations"]


class SemanticOperations(RequestCache):
    """What is done to a semantic cache from outside the calls.

    Args:
        embedder: Where directions come from.
        judge: Who decides over pairs.
        questions: Where the questions are.
        tier: Where the answers are.
        clock: Seconds that only go up.

    Attributes:
        tier: Where the answers are.
    """

    def __init__(
        self,
        *,
        embedder: QuestionEmbedder,
        judge: Judge,
        questions: QuestionStore,
        tier: AnswerStore,
        clock: Callable[[], float],
    ) -> None:
        super().__init__()
        self._embedder = embedder
        self._judge = judge
        self._questions = questions
        self.tier = tier
        self._matcher = Matcher(embedder, judge)
        self._records = CalibrationRecords(judge, questions)
        self._absences = Absences(clock)
        self._renewals = Renewals()
        self._counter = SemanticCounter()
        self._hot = HotQuestions()
        self._review = HitReview()

    def same(self, question_a: str, question_b: str) -> bool:
        """Return whether an answer to one question would be given to the other.

        The decision alone: guards, embeddings and score, whatever the mode. Costs two
        embeddings, unless the texts decide it.
        """
        return self._matcher.same(question_a, question_b)

    async def asame(self, question_a: str, question_b: str) -> bool:
        """Return what `same` returns; never blocks the event loop."""
        return await self._matcher.asame(question_a, question_b)

    def calibrate(
        self, pairs: Iterable[LabelledPair], *, confidence: float = 0.8
    ) -> Calibration:
        """Choose, from labelled pairs, how near is near enough.

        With a `max_false_hit_rate`, a verifier is fitted to the pairs (from some 400
        on) and served as far as they prove the rate; if they do not, the cache
        abstains, with a warning. Without one, `threshold` stays and is only measured.
        What is proven holds for traffic like the pairs: take them from `shadow_hits`
        and `labels` rather than from elsewhere. It is kept beside the questions: after
        a restart, and within a second in every process that shares them, it is served
        by again.

        Args:
            pairs: `(question_a, question_b, same)`.
            confidence: Probability with which the operating point keeps to the rate on
                pairs like these. More of it needs more pairs.

        Returns:
            The operating point, with its evidence.

        Raises:
            ConfigurationError: There is no pair, or one is malformed.
            Exception: What the embedding model raises.
        """
        calibration = self._matcher.calibrate(pairs, confidence=confidence)
        self._records.keep(calibration)
        return calibration

    async def acalibrate(
        self, pairs: Iterable[LabelledPair], *, confidence: float = 0.8
    ) -> Calibration:
        """Choose as `calibrate` does; never blocks the event loop."""
        calibration = await self._matcher.acalibrate(pairs, confidence=confidence)
        await self._records.akeep(calibration)
        return calibration

    def use_calibration(self, calibration: Calibration) -> None:
        """Serve by a calibration that was made before, here or elsewhere.

        It is kept beside the questions, as one made here is.

        Args:
            calibration: From `calibrate`, or from `Calibration.from_json`.

        Raises:
            ConfigurationError: It was made with another embedding model, other guards
                or another verifier, or it does not prove the `max_false_hit_rate` of
                this cache.
        """
        self._judge.use(calibration)
        self._records.keep(calibration)

    async def ause_calibration(self, calibration: Calibration) -> None:
        """Serve by it as `use_calibration` does; never blocks the event loop."""
        self._judge.use(calibration)
        await self._records.akeep(calibration)

    def feedback(self, hit_id: str, *, correct: bool) -> None:
        """Say whether a hit was right; a wrong one is quarantined.

        A quarantined question is never served to another one again, in any process that
        shares the questions; its own exact request still hits, unless the wrong hit was
        an exact one. Feedback also makes labelled pairs: see `labels`.

        Args:
            hit_id: `response_metadata["cache"]["hit_id"]` of the answer.
            correct: Whether the answer fitted the question.

        Raises:
            StorageError: The hit was exact, and a tier failed that may still have it.
        """
        near = self._review.label(hit_id, correct=correct)
        self._counter.add("confirmed" if correct else "quarantined")
        if not correct:
            self._questions.quarantine(hit_id)
            if not near and self._tiered is not None:
                self._tiered.feedback(hit_id, correct=False)

    async def afeedback(self, hit_id: str, *, correct: bool) -> None:
        """Say it as `feedback` does; never blocks the event loop."""
        near = self._review.label(hit_id, correct=correct)
        self._counter.add("confirmed" if correct else "quarantined")
        if not correct:
            await self._questions.aquarantine(hit_id)
            if not near and self._tiered is not None:
                await self._tiered.afeedback(hit_id, correct=False)

    def labels(self) -> list[LabelledPair]:
        """Return the labelled pairs that feedback made in this process."""
        return self._review.labels()

    def shadow_hits(self) -> list[ShadowHit]:
        """Return the latest comparisons of shadow mode in this process."""
        return self._review.shadow_hits()

    def invalidate(
        self,
        tags: Iterable[str] = (),
        *,
        namespace: Any = None,
        predicate: Predicate | None = None,
        dry_run: bool = False,
    ) -> Invalidation:
        """Have answers never given again, to any wording of their question.

        The tier makes the answers invalid, as `TieredCache.invalidate` does, in every
        process that shares it. Their questions are of no use from then on; they leave
        with a predicate at once, else when they are next met.

        Args:
            tags: Those that have one of these tags.
            namespace: Those of this scope.
            predicate: Those for which it returns true.
            dry_run: Only count them.

        Returns:
            What went.

        Raises:
            ConfigurationError: Not exactly one of the three is given, a tier cannot
                list its answers, or the tier of this cache is no `TieredCache`.
            StorageError: A tier failed: what should go may still be given.
        """
        chosen = None if predicate is None else _Chosen(predicate)
        done = self._invalidatable().invalidate(
            tags, namespace=namespace, predicate=chosen, dry_run=dry_run
        )
        if not dry_run:
            self._absences.expect()
            if chosen is not None and chosen.keys:
                self._questions.forget(list(chosen.keys))
        return done

    async def ainvalidate(
        self,
        tags: Iterable[str] = (),
        *,
        namespace: Any = None,
        predicate: Predicate | None = None,
        dry_run: bool = False,
    ) -> Invalidation:
        """Invalidate as `invalidate` does; never blocks the event loop."""
        chosen = None if predicate is None else _Chosen(predicate)
        done = await self._invalidatable().ainvalidate(
            tags, namespace=namespace, predicate=chosen, dry_run=dry_run
        )
        if not dry_run:
            self._absences.expect()
            if chosen is not None and chosen.keys:
                await self._questions.aforget(list(chosen.keys))
        return done

    def hot(self, n: int = 10) -> list[HotQuestion]:
        """Return what was asked most of this cache in this process, at most 1,000.

        A question counts in every wording that got its answer.
        """
        return self._hot.top(n)

    def stats(self) -> SemanticStats:
        """Return what this cache did since it was made, the tier's part included."""
        return self._counter.snapshot(
            embedding_errors=self._embedder.errors,
            questions=self._questions.counts(),
            ignored_calibrations=self._records.ignored,
            calibration=self._judge.calibration,
            tier=None if self._tiered is None else self._tiered.stats(),
        )

    def clear(self, **kwargs: Any) -> None:
        """Forget every answer and question; keyword arguments go to the tier."""
        if isinstance(self.tier, BaseCache):
            self.tier.clear(**kwargs)
        self._forget_hits()
        self._questions.clear()

    async def aclear(self, **kwargs: Any) -> None:
        """Forget everything as `clear` does; never blocks the event loop."""
        if isinstance(self.tier, BaseCache):
            await self.tier.aclear(**kwargs)
        self._forget_hits()
        await self._questions.aclear()

    def close(self) -> None:
        """Release what files and servers hold open; what they keep stays."""
        self._questions.close()
        if self._tiered is not None:
            self._tiered.close()

    @property
    def _tiered(self) -> TieredCache | None:
        """The tier, if more can be done to it than to any `AnswerStore`."""
        # Here: it is loaded with the first cache that is made.
        from langchain_llmops.caching.tiered import TieredCache  # noqa: PLC0415

        return self.tier if isinstance(self.tier, TieredCache) else None

    def _invalidatable(self) -> TieredCache:
        if self._tiered is None:
            raise ConfigurationError(
                f"tier={self.tier!r} cannot invalidate answers: use a TieredCache"
            )
        return self._tiered

    def _forget_hits(self) -> None:
        self._review.clear()
        self._absences.clear()
        self._hot.clear()


class _Chosen:
    """A predicate that remembers what it chose."""

    def __init__(self, predicate: Predicate) -> None:
        self.keys: set[str] = set()
        self._predicate = predicate

    def __call__(self, answer: CachedAnswer) -> bool:
        chosen = self._predicate(answer)
        if chosen:
            self.keys.add(answer.key)
        return chosen
