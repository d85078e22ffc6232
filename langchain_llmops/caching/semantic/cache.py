"""`SemanticCache`: one answer for questions that ask the same in other words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from langchain_llmops.caching.semantic.embedder import QuestionEmbedder
from langchain_llmops.caching.semantic.operations import SemanticOperations
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from langchain_core.embeddings import Embeddings
    from langchain_core.outputs import Generation

    from langchain_llmops.caching.base import AnswerStore, CacheHit, CacheRequest
    from langchain_llmops.caching.semantic.base import Match, QuestionStore
    from langchain_llmops.caching.semantic.guards import Guard
    from langchain_llmops.caching.semantic.judge import Verifier

__all__ = ["SemanticCache"]

Mode = Literal["serve", "shadow"]

_SHADOW_FLOOR: Final = 0.6


class SemanticCache(SemanticOperations):
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
    that rate, and nothing where they prove too little. With a file the calibration
    outlives the process and reaches the others that share it.

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
        guards: What refuses a pair whatever its similarity; by default all those of
            `caching.semantic.guards.DEFAULT_GUARDS`.
        max_entries: Questions kept; the least recently used leave.
        path: A SQLite file that keeps questions, vectors and the calibration across
            restarts, shared by processes; best the one of the tier's `SQLiteTier`. By
            default the `path` of the tier if it has one, else they are kept in memory.
        questions: Another place for all that, instead of a `path`; how many it keeps is
            its own affair.
        clock: Seconds that only go up.

    Raises:
        ConfigurationError: An argument is out of range, or there are both `path` and
            `questions`.
        StorageError: The file or server cannot be used.

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
        guards: Sequence[Guard] | None = None,
        max_entries: int = 100_000,
        path: str | Path | None = None,
        questions: QuestionStore | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Not at the top of the module: what a cache is made of takes longer to load
        # than an import may, and is loaded with the first one.
        from langchain_llmops.caching.semantic.index import (  # noqa: PLC0415
            QuestionIndex,
        )
        from langchain_llmops.caching.semantic.judge import Judge  # noqa: PLC0415
        from langchain_llmops.caching.tiered import TieredCache  # noqa: PLC0415

        if mode not in get_args(Mode):
            raise ConfigurationError(
                f'mode={mode!r} is unknown: use "serve" or "shadow"'
            )
        if path is not None and questions is not None:
            raise ConfigurationError(
                f"path={str(path)!r} and questions={questions!r} are two places for "
                "the same: give one of them"
            )
        embedder = QuestionEmbedder(embeddings, clock=clock)
        judge = Judge(
            threshold=threshold,
            max_false_hit_rate=max_false_hit_rate,
            verifier=verifier,
            guards=guards,
            embedding=embedder.identity,
        )
        if questions is None:
            path = getattr(tier, "path", None) if path is None else path
            questions = QuestionIndex(max_entries=max_entries, path=path, clock=clock)
        super().__init__(
            embedder=embedder,
            judge=judge,
            questions=questions,
            tier=TieredCache() if tier is None else tier,
            clock=clock,
        )
        self._mode = mode
        questions.bind(embedder.identity)
        self._records.adopt()

    def get(self, request: CacheRequest) -> CacheHit | None:
        """Return the answer to a request, or to one that asks the same, or `None`."""
        hit = self.tier.get(request)
        if request.again:  # all else was done when it was looked for first
            return hit
        question = self._question(request, hit)
        if question is not None:
            hit = self._near(request, question)
        if (question is None or hit is None) and not request.again:
            self._hot.add(request.key, request.question)
        return hit

    async def aget(self, request: CacheRequest) -> CacheHit | None:
        """Return what `get` returns; never blocks the event loop."""
        hit = await self.tier.aget(request)
        if request.again:
            return hit
        question = self._question(request, hit)
        if question is not None:
            hit = await self._anear(request, question)
        if (question is None or hit is None) and not request.again:
            self._hot.add(request.key, request.question)
        return hit

    def put(self, request: CacheRequest, generations: Sequence[Generation]) -> bool:
        """Remember an answer, and the question it answers; `False` if not stored."""
        if not self.tier.put(request, generations):
            return False
        self._compare(request, generations)
        if replaced := self._renewals.end(request.key):
            self._questions.forget(replaced)
        question = self._question_to_learn(request)
        vector = None if question is None else self._embedder.embed(question)
        if question is not None and vector is not None:
            try:
                self._questions.add(request.partition, request.key, question, vector)
            except ConfigurationError as error:
                self._embedder.failed(error)
        return True

    async def aput(
        self, request: CacheRequest, generations: Sequence[Generation]
    ) -> bool:
        """Remember an answer as `put` does; never blocks the event loop."""
        if not await self.tier.aput(request, generations):
            return False
        self._compare(request, generations)
        if replaced := self._renewals.end(request.key):
            await self._questions.aforget(replaced)
        question = self._question_to_learn(request)
        vector = None if question is None else await self._embedder.aembed(question)
        if question is not None and vector is not None:
            try:
                await self._questions.aadd(
                    request.partition, request.key, question, vector
                )
            except ConfigurationError as error:
                self._embedder.failed(error)
        return True

    def fallback(self, request: CacheRequest) -> CacheHit | None:
        """Return an exact answer that expired, now that the model failed, or `None`."""
        find = getattr(self.tier, "fallback", None)
        return None if find is None else find(request)

    async def afallback(self, request: CacheRequest) -> CacheHit | None:
        """Return what `fallback` returns; never blocks the event loop."""
        find = getattr(self.tier, "afallback", None)
        return None if find is None else await find(request)

    def _near(self, request: CacheRequest, question: str) -> CacheHit | None:
        """Return the answer to another question that asks the same, or `None`."""
        if self._questions.news_due:
            self._questions.catch_up()
            self._records.adopt()
        vector = None if self._abstains() else self._embedder.embed(question)
        if vector is None:
            return None
        matches = self._questions.search(request.partition, vector, floor=self._floor)
        options: dict[str, Any] = {"kind": "semantic", "max_age_s": request.max_age_s}
        for match in self._accepted(request, question, matches):
            hit = self.tier.fetch(match.key, similarity=match.similarity, **options)
            if hit is not None:
                return self._given(request, question, match, hit)
            if self._gone(request, match):
                self._questions.forget([match.key])
        self._counter.add("misses")
        return None

    async def _anear(self, request: CacheRequest, question: str) -> CacheHit | None:
        """Return what `_near` returns; never blocks the event loop."""
        if self._questions.news_due:
            await self._questions.acatch_up()
            self._records.adopt()
        vector = None if self._abstains() else await self._embedder.aembed(question)
        if vector is None:
            return None
        matches = await self._questions.asearch(
            request.partition, vector, floor=self._floor
        )
        options: dict[str, Any] = {"kind": "semantic", "max_age_s": request.max_age_s}
        for match in self._accepted(request, question, matches):
            near = match.similarity
            hit = await self.tier.afetch(match.key, similarity=near, **options)
            if hit is not None:
                return self._given(request, question, match, hit)
            if self._gone(request, match):
                await self._questions.aforget([match.key])
        self._counter.add("misses")
        return None

    @property
    def _floor(self) -> float:
        floor = self._judge.floor
        return min(floor, _SHADOW_FLOOR) if self._mode == "shadow" else floor

    def _question(self, request: CacheRequest, hit: CacheHit | None) -> str | None:
        """Return the text to look up; `None` if the exact lookup is all there is."""
        if hit is not None:
            if request.question is not None:
                self._questions.touch(request.key)
                self._absences.present(request.key)
            return None
        question = None
        if request.question is not None:
            question = self._judge.text(request.question)
        if question is None and not request.again:
            self._counter.add("bypassed")
        return question

    def _abstains(self) -> bool:
        """Return whether a lookup could serve nothing, and count it."""
        abstains = self._judge.abstains and self._mode == "serve"
        self._counter.add("abstained", abstains)
        return abstains

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

    def _given(
        self, request: CacheRequest, question: str, match: Match, hit: CacheHit
    ) -> CacheHit:
        if hit.refresh:
            self._renewals.begin(request.key, match.key)
        else:
            self._counter.add("hits")
        self._hot.add(match.key, match.text)
        self._questions.touch(match.key)
        self._absences.present(match.key)
        self._review.given(hit.mark["hit_id"], question, match.text)
        return hit

    def _gone(self, request: CacheRequest, match: Match) -> bool:
        """Return whether a question has no answer any more."""
        if request.max_age_s is not None:  # it may only be too old for this one
            return False
        gone = self._absences.missing(match.key)
        self._counter.add("lost", gone)
        return gone

    def _question_to_learn(self, request: CacheRequest) -> str | None:
        if request.question is None or self._questions.knows(request.key):
            return None
        return self._judge.text(request.question)

    def _compare(
        self, request: CacheRequest, generations: Sequence[Generation]
    ) -> None:
        if self._mode != "shadow":
            return
        compared = self._review.answered(request.key, generations)
        if compared is not None and compared.accepted:
            self._counter.add("compared")
            self._counter.add("agreed", compared.agreed)
