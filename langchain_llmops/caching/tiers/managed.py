"""A guarded tier with what running a cache takes: epochs, scans, removals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from langchain_llmops.caching.tiers.base import Entry
from langchain_llmops.caching.tiers.epochs import EpochKeeper
from langchain_llmops.caching.tiers.guarded import GuardedTier
from langchain_llmops.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from langchain_llmops.caching.tiers.epochs import Epochs

__all__ = ["ManagedTier", "ScannableTier"]


@runtime_checkable
class ScannableTier(Protocol):
    """What a tier may offer beside values: to look at all of them."""

    def scan(self, now: float) -> Iterator[tuple[str, Entry]]:
        """Yield every key with its entry, those that expired by `now` left out."""
        ...

    def remove(self, keys: Sequence[str]) -> None:
        """Forget the values of these keys."""
        ...


class ManagedTier(GuardedTier):
    """A guarded tier whose administration raises.

    Who reads must never notice a lost backend; who invalidates has to know that it did
    not happen.
    """

    @property
    def reach(self) -> int | None:
        """Who shares the tier's epochs; `None` if it keeps none."""
        return self.tier.reach if isinstance(self.tier, EpochKeeper) else None

    def epochs(self, names: Sequence[str], now: float) -> Epochs:
        """Return the epochs of names; none if the tier failed or rests."""
        if self._rests(now):
            return {}
        try:
            return self._keeper().epochs(names)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            self._failed("reading epochs", error)
            return {}

    async def aepochs(self, names: Sequence[str], now: float) -> Epochs:
        """Return what `epochs` returns; never blocks the event loop."""
        if self._rests(now):
            return {}
        try:
            return await self._keeper().aepochs(names)
        except Exception as error:  # noqa: BLE001 - whatever a backend raises
            self._failed("reading epochs", error)
            return {}

    def renew(self, names: Sequence[str]) -> Epochs:
        """Give names new epochs.

        Raises:
            StorageError: The tier failed; the old ones may still hold.
        """
        try:
            return self._keeper().renew(names)
        except Exception as error:
            raise self._lost(error) from error

    async def arenew(self, names: Sequence[str]) -> Epochs:
        """Renew as `renew` does; never blocks the event loop."""
        try:
            return await self._keeper().arenew(names)
        except Exception as error:
            raise self._lost(error) from error

    def drop(self, key: str, now: float) -> None:
        """Forget one value.

        Raises:
            StorageError: The tier failed and may still have it.
        """
        try:
            self.tier.set(key, Entry(b"", now), now)
        except Exception as error:
            raise self._lost(error) from error

    async def adrop(self, key: str, now: float) -> None:
        """Forget one value as `drop` does; never blocks the event loop."""
        try:
            await self.tier.aset(key, Entry(b"", now), now)
        except Exception as error:
            raise self._lost(error) from error

    def _keeper(self) -> EpochKeeper:
        if not isinstance(self.tier, EpochKeeper):
            raise TypeError(f"{self.name!r} keeps no epochs")
        return self.tier

    def _lost(self, error: Exception) -> StorageError:
        self._failed("invalidating", error)
        return StorageError(
            f"cache tier {self.name!r} could not be changed "
            f"({type(error).__name__}: {error}): answers that should go may still be "
            "given. Try again when it is back"
        )
