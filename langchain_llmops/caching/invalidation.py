"""Make stored answers go: by tag, by scope, by what they say, or one that was wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from langchain_llmops.caching.requests.canonical import canonical_json
from langchain_llmops.caching.requests.scope import tag_names
from langchain_llmops.caching.tags import scope_name, split_names, tag_name
from langchain_llmops.caching.tiers.epochs import EVERYTHING
from langchain_llmops.caching.tiers.managed import ManagedTier, ScannableTier
from langchain_llmops.caching.values.codec import CodecError, decode
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from langchain_llmops.caching.tags import TagBook

__all__ = ["CachedAnswer", "Invalidation", "Invalidator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedAnswer:
    """A stored answer, as a predicate sees it.

    Attributes:
        key: The key it is stored under; also the `hit_id` of its hits.
        text: What it says; several generations are joined by line breaks.
        stored_at: Seconds since the epoch when the provider answered.
        tags: What it depends on.
        namespace: Its scope as canonical JSON; `None` where it has none.
        saved_usd: What a hit saves; `None` if the model has no known price.
    """

    key: str
    text: str
    stored_at: float
    tags: tuple[str, ...]
    namespace: str | None
    saved_usd: float | None


Predicate: TypeAlias = Callable[[CachedAnswer], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalidation:
    """What an invalidation did, or would do.

    Attributes:
        dry_run: Whether nothing was changed.
        entries: How many answers go; `None` where they were not counted, since a new
            epoch makes them invalid wherever they are.
    """

    dry_run: bool
    entries: int | None


class Invalidator:
    """Remove answers from all the tiers of a cache; raises where a tier is lost.

    Args:
        tiers: Fastest first.
        tags: Their epochs.
        clock: Seconds since the epoch.
    """

    def __init__(
        self,
        tiers: Sequence[ManagedTier],
        tags: TagBook,
        *,
        clock: Callable[[], float],
    ) -> None:
        self._tiers = tiers
        self._tags = tags
        self._clock = clock

    def invalidate(
        self,
        *,
        tags: Iterable[str],
        namespace: Any,
        predicate: Predicate | None,
        dry_run: bool,
    ) -> Invalidation:
        """Make answers invalid; see `TieredCache.invalidate`."""
        names = _names(tags, namespace, predicate)
        if names and not dry_run:
            self._tags.renew(names, self._clock())
            return Invalidation(dry_run=False, entries=None)
        return self._scan(_wanted(names, predicate), dry_run=dry_run)

    async def ainvalidate(
        self,
        *,
        tags: Iterable[str],
        namespace: Any,
        predicate: Predicate | None,
        dry_run: bool,
    ) -> Invalidation:
        """Invalidate as `invalidate` does; a scan runs in a thread."""
        names = _names(tags, namespace, predicate)
        if names and not dry_run:
            await self._tags.arenew(names, self._clock())
            return Invalidation(dry_run=False, entries=None)
        wanted = _wanted(names, predicate)
        return await asyncio.to_thread(self._scan, wanted, dry_run=dry_run)

    def drop(self, key: str) -> None:
        """Remove one answer everywhere.

        Raises:
            StorageError: A tier failed and may still have it.
        """
        now = self._clock()
        for tier in reversed(self._tiers):
            tier.drop(key, now)
        self.tell()

    async def adrop(self, key: str) -> None:
        """Remove one answer as `drop` does; never blocks the event loop."""
        now = self._clock()
        for tier in reversed(self._tiers):
            await tier.adrop(key, now)
        await self.atell()

    def tell(self) -> None:
        """Have the other processes drop their copies, within a second.

        Raises:
            StorageError: The tier that tells them failed.
        """
        if self._tags.copies:
            self._tags.renew([EVERYTHING], self._clock())

    async def atell(self) -> None:
        """Tell them as `tell` does; never blocks the event loop."""
        if self._tags.copies:
            await self._tags.arenew([EVERYTHING], self._clock())

    def _scan(self, wanted: Predicate, *, dry_run: bool) -> Invalidation:
        unscannable = [
            tier.name
            for tier in self._tiers
            if not isinstance(tier.tier, ScannableTier)
        ]
        if unscannable:
            raise ConfigurationError(
                f"the answers in the tier {unscannable[0]!r} cannot be listed: "
                "invalidate by tags or namespace, without dry_run"
            )
        now, found = self._clock(), set()
        # The shared tier first: what a copy is refilled from goes before the copy.
        for tier in reversed(self._tiers):
            keys = [answer.key for answer in self._answers(tier, now) if wanted(answer)]
            if keys and not dry_run and isinstance(tier.tier, ScannableTier):
                tier.tier.remove(keys)
            found.update(keys)
        if found and not dry_run:
            self.tell()
        return Invalidation(dry_run=dry_run, entries=len(found))

    def _answers(self, tier: ManagedTier, now: float) -> Iterator[CachedAnswer]:
        """Yield the answers of a tier that are still given."""
        if not isinstance(tier.tier, ScannableTier):
            return
        for key, entry in tier.tier.scan(now):
            try:
                answer = decode(entry.value)
            except CodecError:
                continue
            if due := self._tags.due(answer.epochs, now):
                self._tags.read(due, now)
            if not self._tags.holds(answer.epochs):
                continue  # invalidated before
            tags, namespace = split_names(answer.epochs)
            yield CachedAnswer(
                key=key,
                text="\n".join(generation.text for generation in answer.generations),
                stored_at=answer.stored_at,
                tags=tags,
                namespace=namespace,
                saved_usd=answer.usd,
            )


def _names(
    tags: Iterable[str], namespace: Any, predicate: Predicate | None
) -> list[str]:
    names = [tag_name(tag) for tag in tag_names(tags)]
    if bool(names) + (namespace is not None) + (predicate is not None) != 1:
        raise ConfigurationError(
            "invalidate() takes one of tags=[…], namespace=… and predicate=…; clear() "
            "forgets everything"
        )
    if namespace is not None:
        names.append(scope_name(canonical_json(namespace)))
    return names


def _wanted(names: Iterable[str], predicate: Predicate | None) -> Predicate:
    if predicate is not None:
        return predicate
    tags, namespace = split_names(names)

    def carries(answer: CachedAnswer) -> bool:
        return bool(set(tags) & set(answer.tags)) or (
            namespace is not None and answer.namespace == namespace
        )

    return carries
