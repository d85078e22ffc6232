"""Which tagged answers still hold: the epochs of the tier that most processes share."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple

from langchain_llmops.caching.tiers.epochs import EVERYTHING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from langchain_llmops.caching.base import CacheRequest
    from langchain_llmops.caching.tiers.epochs import Epochs
    from langchain_llmops.caching.tiers.managed import ManagedTier

__all__ = ["TagBook", "epoch_names", "scope_name", "split_names", "tag_name"]

_REMEMBERED: Final = 100_000
_OPEN: Final = 10_000
_NEWS_EVERY_S: Final = 1.0
"""How soon a value that another process removed by its key is noticed."""

_TAG: Final = "tag:"
_SCOPE: Final = "scope:"


def tag_name(tag: str) -> str:
    """Return the name whose epoch a tag has."""
    return _TAG + tag


def scope_name(namespace: str) -> str:
    """Return the name whose epoch a scope has; the scope is canonical JSON."""
    return _SCOPE + namespace


def epoch_names(request: CacheRequest) -> list[str]:
    """Return the names that the answer to a request depends on."""
    names = [_TAG + tag for tag in request.tags]
    if request.namespace is not None:
        names.append(_SCOPE + request.namespace)
    return names


def split_names(names: Iterable[str]) -> tuple[tuple[str, ...], str | None]:
    """Return the tags and the scope behind names."""
    tags, namespace = [], None
    for name in names:
        if name.startswith(_TAG):
            tags.append(name.removeprefix(_TAG))
        else:
            namespace = name.removeprefix(_SCOPE)
    return tuple(tags), namespace


class _Known(NamedTuple):
    epoch: str
    read_at: float


class TagBook:
    """What this process knows of the epochs, read again when older than `ttl_s`.

    While the tier that keeps them is lost, what is known holds; an answer with a name
    that is not known does not. Safe across threads and event loops.

    Args:
        tiers: Those of the cache; the epochs are kept by the one that most share.
        stand_in: Keeps them if none of the tiers can.
        ttl_s: Seconds that a known epoch is trusted.
    """

    def __init__(
        self, tiers: Sequence[ManagedTier], *, stand_in: ManagedTier, ttl_s: float
    ) -> None:
        self._home = stand_in
        reach = -1
        for tier in tiers:
            if tier.reach is not None and tier.reach >= reach:
                self._home, reach = tier, tier.reach
        self.copies = [
            tier for tier in tiers if tier.reach is not None and tier.reach < reach
        ]
        self._ttl_s = ttl_s
        self._known: dict[str, _Known] = {}
        self._open: dict[str, Epochs] = {}
        self._lock = Lock()
        self._everything: str | None = None
        self._news_at = float("-inf")

    def due(self, names: Iterable[str], now: float) -> list[str]:
        """Return the names whose epoch is not known, or not known well enough."""
        known, ttl = self._known, self._ttl_s
        return [
            name
            for name in names
            if (epoch := known.get(name)) is None or not 0 <= now - epoch.read_at < ttl
        ]

    def read(self, names: Sequence[str], now: float) -> None:
        """Read epochs from the tier that keeps them; never raises."""
        self._learn(self._home.epochs(names, now), now)

    async def aread(self, names: Sequence[str], now: float) -> None:
        """Read as `read` does; never blocks the event loop."""
        self._learn(await self._home.aepochs(names, now), now)

    def renew(self, names: Sequence[str], now: float) -> None:
        """Make all that carries one of these names invalid, for everyone.

        Raises:
            StorageError: The tier that keeps the epochs failed.
        """
        self._learn(self._home.renew(names), now)

    async def arenew(self, names: Sequence[str], now: float) -> None:
        """Renew as `renew` does; never blocks the event loop."""
        self._learn(await self._home.arenew(names), now)

    def holds(self, epochs: Mapping[str, str]) -> bool:
        """Return whether these epochs are still the ones of their names."""
        for name, epoch in epochs.items():
            known = self._known.get(name)
            if known is None or known.epoch != epoch:
                return False
        return True

    def opened(self, key: str, names: Iterable[str]) -> None:
        """Note that the model is asked now: its answer is as old as these epochs.

        An invalidation while the model answers must not miss that answer.
        """
        epochs = self._current(names)
        if epochs is None:
            return
        with self._lock:
            if len(self._open) >= _OPEN:
                del self._open[next(iter(self._open))]
            # Of two calls for the same answer, the earlier one may end last.
            self._open.setdefault(key, epochs)

    def closed(self, key: str, names: Iterable[str]) -> Epochs | None:
        """Return the epochs to store an answer under; `None` if they are not known."""
        wanted = list(names)
        with self._lock:
            epochs = self._open.pop(key, None)
        if epochs is not None and epochs.keys() == set(wanted):
            return epochs
        return self._current(wanted)

    def news_due(self, now: float) -> bool:
        """Return whether to ask if values were removed by others, and note it."""
        if not self.copies or 0 <= now - self._news_at < _NEWS_EVERY_S:
            return False
        self._news_at = now
        return True

    def news(self) -> bool:
        """Return whether others removed values since the last time: drop the copies."""
        known = self._known.get(EVERYTHING)
        if known is None:
            return False
        before, self._everything = self._everything, known.epoch
        return before is not None and before != known.epoch

    def _current(self, names: Iterable[str]) -> Epochs | None:
        epochs = {}
        for name in names:
            known = self._known.get(name)
            if known is None:
                return None
            epochs[name] = known.epoch
        return epochs

    def _learn(self, epochs: Epochs, now: float) -> None:
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        for name, epoch in epochs.items():
            self._known[name] = _Known(epoch, now)
