"""`SemanticCache`: one answer for questions that ask the same in other words."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from langchain_core.caches import BaseCache

from langchain_llmops.caching.requests.request_cache import RequestCache
from langchain_llmops.caching.semantic.embedder import QuestionEmbedder
from langchain_llmops.caching.semantic.guards import DEFAULT_GUARDS
from langchain_llmops.caching.semantic.index import QuestionIndex
from langchain_llmops.caching.semantic.judge import Judge
from langchain_llmops.caching.semantic.matcher import Matcher
from langchain_llmops.caching.semantic.question import semantic_text
from langchain_llmops.caching.semantic.review import HitReview
from langchain_llmops.caching.semantic.stats import SemanticCounter
from langchain_llmops.caching.tiered import TieredCache
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from langchain_core.embeddings import Embeddings
    from langchain_core.outputs import Generation

    from langchain_llmops.caching.base import AnswerStore, CacheHit, CacheRequest
    from langchain_llmops.caching.semantic.calibration import Calibration
    from langchain_llmops.caching.semantic.guards import Guard
    from langchain_llmops.caching.semantic.judge import Verifier
    from langchain_llmops.caching.semantic.log import QuestionLog
    from langchain_llmops.caching.semantic.matcher import LabelledPair
    from langchain_llmops.caching.semantic.review import ShadowHit
    from langchain_llmops.caching.semantic.stats import SemanticStats
    from langchain_llmops.caching.semantic.vector_index import Match
    from langchain_llmops.caching.semantic.vector_rows import Vector

__all__ = ["SemanticCache"]

Mode = Literal["serve", "shadow"]

_SHADOW_FLOOR: Final = 0.6
_INLINE_ENTRIES: Final = 200_000
"""Beyond so many questions a search takes over a millisecond: it leaves the loop."""


class SemanticCache(RequestCache):
    """Answer a question with the answer to another that asks the same.

    The exact request is looked up first. Only then is the last user turn embedded (that
    text alone, never the serialised prompt) and compared with questions of the same
    *partition*: same scope, model configuration, system prompt and earlier turns.
    Guards refuse look-alikes (numbers, units, negations, opposites, code, swapped
    roles); what remains is served if it is near enough. Turns that do not stand for
    themselves ("and why?") are left to exact hits.

    Introduce it in shadow mode: `mode="shadow"` serves exact hits only, and reports in
    `stats()` what it would have served and how the answers compare. Then `calibrate` it
    on labelled pairs with a `max_false_hit_rate`: it serves as far as the pairs prove
    that rate, and nothing where they prove too little.

    Give it to `CacheLayer`, or wherever LangChain takes a `BaseCache`. An embedding
    model or a file that fails never fails a call: exact hits go on. Safe across threads
    and event loops. A lookup costs one embedding and, among 100,000 questions, well
    under a millisecond.

    Args:
        embeddings: The model that questions are compared by.
        threshold: Smallest cosine that is served without a calibration. Cosines of
            different models are not alike: measure yours in shadow mode.
        max_false_hit_rate: Wrong hits ÷ hits that are acceptable. With it, nothing but
            exact hits is served before `calibrate` has proven where it holds.
        mode: `"serve"`, or `"shadow"` to look up, compare and serve nothing.
        verifier: A second opinion on near questions; by default one is fitted by
            `calibrate`.
        tier: Where the answers are kept; by default a new `TieredCache()`.
        guards: What refuses a pair whatever its similarity.
        max_entries: Questions kept; the least recently used leave.
        path: A SQLite file that keeps questions and vectors across restarts, shared by
            processes; best the one of the tier's `SQLiteTier`. By default the `path`
            of the tier if it has one, else they are kept in memory.
        clock: Seconds that only go up.

    Raises:
        ConfigurationError: An argument is out of range.
        StorageError: The file cannot be used.

    Example:
        ```python
        from langchain_core.embeddings import DeterministicFakeEmbedding
        from langchain_llmops import SemanticCache

        cache = SemanticCache(DeterministicFakeEmbedding(size=64))
        assert cache.same("How do I sort a list?", "How do I sort a list?")
        assert not cache.same("Is 3 prime?", "Is 4 prime?")
        ```
    """

    def __init__(  # noqa: PLR0913 - one knob each, and all have defaults
        self,
        embeddings: Embeddings,
        *,
        threshold: float = 0.92,
        max_false_hit_rate: float | None = None,
        mode: Mode = "serve",
        verifier: Verifier | None = None,
        tier: AnswerStore | None = None,
        guards: Sequence[Guard] = DEFAULT_GUARDS,
        max_entries: int = 100_000,
        path: str | Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        if mode not in get_args(Mode):
            raise ConfigurationError(
                f'mode={mode!r} is unknown: use "serve" or "shadow"'
            )
        self._judge = Judge(
            threshold=threshold,
            max_false_hit_rate=max_false_hit_rate,
            verifier=verifier,
            guards=guards,
        )
        self._mode = mode
        self._tier: AnswerStore = TieredCache() if tier is None else tier
        self._embedder = QuestionEmbedder(embeddings, clock=clock)
        self._matcher = Matcher(self._embedder, self._judge)
        self._counter = SemanticCounter()
        path = getattr(tier, "path", None) if path is None else path
        self._index = QuestionIndex(
            max_entries=max_entries,
            log=None if path is None else self._open_log(path, max_entries),
            counter=self._counter,
            clock=clock,
        )
        self._index.catch_up()
        self._review = HitReview()

    def get(self, request: CacheRequest) -> CacheHit | None:
        """Return the answer to a request, or to one that asks the same, or `None`."""
        hit = self._tier.get(request)
        question = self._question(request, hit)
        if question is None:
            return hit
        if self._index.news_due:
            self._index.catch_up()
        vector = self._embedder.embed(question)
        if vector is None:
            return None
        matches = self._index.search(request.partition, vector, self._floor)
        options: dict[str, Any] = {"kind": "semantic", "max_age_s": request.max_age_s}
        for match in self._accepted(request, question, matches):
            hit = self._tier.fetch(match.key, similarity=match.similarity, **options)
            if hit is not None:
                return self._given(question, match, hit)
            if request.max_age_s is None:  # else it may only be too old for this one
                self._index.missing(match.key)
        self._counter.add("misses")
        return None

    async def aget(self, request: CacheRequest) -> CacheHit | None:
        """Return what `get` returns; never blocks the event loop."""
        hit = await self._tier.aget(request)
        question = self._question(request, hit)
        if question is None:
            return hit
        if self._index.news_due:
            await asyncio.to_thread(self._index.catch_up)
        vector = await self._embedder.aembed(question)
        if vector is None:
            return None
        matches = await self._asearch(request.partition, vector)
        options: dict[str, Any] = {"kind": "semantic", "max_age_s": request.max_age_s}
        for match in self._accepted(request, question, matches):
            near = match.similarity
            hit = await self._tier.afetch(match.key, similarity=near, **options)
            if hit is not None:
                return self._given(question, match, hit)
            if request.max_age_s is None:
                await self._off_loop(self._index.missing, match.key)
        self._counter.add("misses")
        return None

    def put(self, request: CacheRequest, generations: Sequence[Generation]) -> bool:
        """Remember an answer, and the question it answers; `False` if not stored."""
        if not self._tier.put(request, generations):
            return False
        self._compare(request, generations)
        question = self._question_to_learn(request)
        vector = None if question is None else self._embedder.embed(question)
        if question is not None and vector is not None:
            self._learn(request, question, vector)
        return True

    async def aput(
        self, request: CacheRequest, generations: Sequence[Generation]
    ) -> bool:
        """Remember an answer as `put` does; never blocks the event loop."""
        if not await self._tier.aput(request, generations):
            return False
        self._compare(request, generations)
        question = self._question_to_learn(request)
        vector = None if question is None else await self._embedder.aembed(question)
        if question is not None and vector is not None:
            await self._off_loop(self._learn, request, question, vector)
        return True

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
        and `labels` rather than from elsewhere.

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
        return self._matcher.calibrate(pairs, confidence=confidence)

    async def acalibrate(
        self, pairs: Iterable[LabelledPair], *, confidence: float = 0.8
    ) -> Calibration:
        """Choose as `calibrate` does; never blocks the event loop."""
        return await self._matcher.acalibrate(pairs, confidence=confidence)

    def feedback(self, hit_id: str, *, correct: bool) -> None:
        """Say whether a hit was right; a wrong one is quarantined.

        A quarantined question is never served to another one again, in any process that
        shares the file; its own exact request still hits, unless the wrong hit was an
        exact one. Feedback also makes labelled pairs: see `labels`.

        Args:
            hit_id: `response_metadata["cache"]["hit_id"]` of the answer.
            correct: Whether the answer fitted the question.
        """
        near = self._review.label(hit_id, correct=correct)
        self._counter.add("confirmed" if correct else "quarantined")
        if not correct:
            self._index.quarantine(hit_id)
            if not near and isinstance(self._tier, TieredCache):
                self._tier.feedback(hit_id, correct=False)

    async def afeedback(self, hit_id: str, *, correct: bool) -> None:
        """Say it as `feedback` does; never blocks the event loop."""
        await self._off_loop(partial(self.feedback, hit_id, correct=correct))

    def labels(self) -> list[LabelledPair]:
        """Return the labelled pairs that feedback made in this process."""
        return self._review.labels()

    def shadow_hits(self) -> list[ShadowHit]:
        """Return the latest comparisons of shadow mode in this process."""
        return self._review.shadow_hits()

    def stats(self) -> SemanticStats:
        """Return what this cache did since it was made, the tier's part included."""
        return self._counter.snapshot(
            embedding_errors=self._embedder.errors,
            entries=len(self._index.vectors),
            partitions=self._index.vectors.partitions,
            calibration=self._judge.calibration,
            tier=self._tier.stats() if isinstance(self._tier, TieredCache) else None,
        )

    def clear(self, **kwargs: Any) -> None:
        """Forget every answer and question; keyword arguments go to the tier."""
        if isinstance(self._tier, BaseCache):
            self._tier.clear(**kwargs)
        self._review.clear()
        self._index.clear()

    async def aclear(self, **kwargs: Any) -> None:
        """Forget everything as `clear` does; never blocks the event loop."""
        if isinstance(self._tier, BaseCache):
            await self._tier.aclear(**kwargs)
        self._review.clear()
        await self._off_loop(self._index.clear)

    def close(self) -> None:
        """Release what the files hold open; what they keep stays."""
        self._index.close()
        if isinstance(self._tier, TieredCache):
            self._tier.close()

    def _open_log(self, path: str | Path, max_entries: int) -> QuestionLog:
        # Here: SQLAlchemy takes a fifth of a second to import.
        from langchain_llmops.caching.semantic.log import QuestionLog  # noqa: PLC0415

        return QuestionLog(
            path, embedding=self._embedder.identity, max_entries=max_entries
        )

    @property
    def _floor(self) -> float:
        floor = self._judge.floor
        return min(floor, _SHADOW_FLOOR) if self._mode == "shadow" else floor

    def _question(self, request: CacheRequest, hit: CacheHit | None) -> str | None:
        """Return the text to look up; `None` if the exact lookup is all there is."""
        if hit is not None:
            if request.question is not None:
                self._index.found(request.key)
            return None
        question = None
        if request.question is not None:
            question = semantic_text(request.question)
        if question is None:
            self._counter.add("bypassed")
        elif self._judge.abstains and self._mode == "serve":
            self._counter.add("abstained")
            return None
        return question

    def _accepted(
        self, request: CacheRequest, question: str, matches: Iterable[Match]
    ) -> Iterator[Match]:
        """Yield the questions whose answer may be given, the nearest first."""
        for match in matches:
            reason = self._judge.objection(question, match.text)
            if reason is not None:
                self._counter.refused(reason)
                continue
            accepted = self._judge.accepts(question, match.text, match.similarity)
            if self._mode == "shadow":
                self._counter.add("would_serve", accepted)
                self._review.expect(request.key, question, match, accepted=accepted)
                return
            if accepted:
                yield match

    def _given(self, question: str, match: Match, hit: CacheHit) -> CacheHit:
        self._counter.add("hits")
        self._index.found(match.key)
        self._review.given(hit.mark["hit_id"], question, match.text)
        return hit

    def _question_to_learn(self, request: CacheRequest) -> str | None:
        if request.question is None or self._index.is_settled(request.key):
            return None
        return semantic_text(request.question)

    def _learn(self, request: CacheRequest, question: str, vector: Vector) -> None:
        try:
            self._index.add(request.partition, request.key, question, vector)
        except ConfigurationError as error:
            self._embedder.failed(error)

    def _compare(
        self, request: CacheRequest, generations: Sequence[Generation]
    ) -> None:
        if self._mode != "shadow":
            return
        compared = self._review.answered(request.key, generations)
        if compared is not None and compared.accepted:
            self._counter.add("compared")
            self._counter.add("agreed", compared.agreed)

    async def _asearch(self, partition: str, vector: Vector) -> list[Match]:
        search = self._index.search
        if len(self._index.vectors) <= _INLINE_ENTRIES:
            return search(partition, vector, self._floor)
        return await asyncio.to_thread(search, partition, vector, self._floor)

    async def _off_loop(self, operation: Callable[..., None], *args: Any) -> None:
        """Run what blocks only if there is a file to write to."""
        if self._index.lasting:
            await asyncio.to_thread(operation, *args)
        else:
            operation(*args)
