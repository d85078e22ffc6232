"""Down the tiers for an answer that still holds, and up again with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from langchain_llmops.caching.freshness import judge
from langchain_llmops.caching.tiers.epochs import EVERYTHING
from langchain_llmops.caching.values.codec import CodecError, decode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.caching.counter import CacheCounter
    from langchain_llmops.caching.freshness import Verdict
    from langchain_llmops.caching.tags import TagBook
    from langchain_llmops.caching.tiers.base import Entry
    from langchain_llmops.caching.tiers.managed import ManagedTier
    from langchain_llmops.caching.values.codec import StoredAnswer

__all__ = ["Found", "Lookup"]


class Found(NamedTuple):
    """An answer, where it was, and in what state."""

    answer: StoredAnswer
    tier: str
    verdict: Verdict


class Lookup:
    """Find answers in tiers; never raises, safe across threads and event loops.

    Args:
        tiers: Fastest first.
        tags: Says whether a tagged answer still holds.
        counter: Counts what is found invalid.
    """

    def __init__(
        self, tiers: Sequence[ManagedTier], tags: TagBook, counter: CacheCounter
    ) -> None:
        self._tiers = tiers
        self._tags = tags
        self._counter = counter

    def find(self, key: str, now: float, max_age_s: float | None) -> Found | None:
        """Return the freshest answer under a key, an expired one too, or `None`.

        A fresh one is copied into the tiers above. One that is not is looked for
        further down: another process may have stored a newer one.

        Args:
            key: The key of a request.
            now: Seconds since the epoch.
            max_age_s: How old it may be to count as fresh or stale.
        """
        if self._tags.news_due(now):
            self._tags.read([EVERYTHING], now)
            if self._tags.news():
                for tier in self._tags.copies:
                    tier.clear()
        best = None
        for depth, tier in enumerate(self._tiers):
            entry = tier.get(key, now)
            answer = None if entry is None else _decoded(tier, entry)
            if entry is None or answer is None:
                continue
            if answer.epochs and (due := self._tags.due(answer.epochs, now)):
                self._tags.read(due, now)
            found = self._judged(tier, answer, now, max_age_s)
            if found is not None and found.verdict == "fresh":
                for above in self._tiers[:depth]:
                    above.set(key, _copy(entry, answer), now)
                return found
            best = _fresher(best, found)
        return best

    async def afind(
        self, key: str, now: float, max_age_s: float | None
    ) -> Found | None:
        """Find as `find` does; never blocks the event loop."""
        if self._tags.news_due(now):
            await self._tags.aread([EVERYTHING], now)
            if self._tags.news():
                for tier in self._tags.copies:
                    await tier.aclear()
        best = None
        for depth, tier in enumerate(self._tiers):
            entry = await tier.aget(key, now)
            answer = None if entry is None else _decoded(tier, entry)
            if entry is None or answer is None:
                continue
            if answer.epochs and (due := self._tags.due(answer.epochs, now)):
                await self._tags.aread(due, now)
            found = self._judged(tier, answer, now, max_age_s)
            if found is not None and found.verdict == "fresh":
                for above in self._tiers[:depth]:
                    await above.aset(key, _copy(entry, answer), now)
                return found
            best = _fresher(best, found)
        return best

    def _judged(
        self,
        tier: ManagedTier,
        answer: StoredAnswer,
        now: float,
        max_age_s: float | None,
    ) -> Found | None:
        if answer.epochs and not self._tags.holds(answer.epochs):
            self._counter.add("invalidated")
            return None
        verdict = judge(
            now=now,
            stored_at=answer.stored_at,
            stale_at=answer.stale_at,
            expires_at=answer.expires_at,
            max_age_s=max_age_s,
        )
        return Found(answer, tier.name, verdict)


def _copy(entry: Entry, answer: StoredAnswer) -> Entry:
    """Return an entry with what it saves, which not every tier keeps."""
    return entry._replace(usd=answer.usd, tokens=answer.total_tokens)


def _decoded(tier: ManagedTier, entry: Entry) -> StoredAnswer | None:
    try:
        return decode(entry.value)
    except CodecError as error:
        tier.damaged(error)
        return None


def _fresher(one: Found | None, other: Found | None) -> Found | None:
    if one is None or other is None:
        return one or other
    return other if other.answer.stored_at > one.answer.stored_at else one
