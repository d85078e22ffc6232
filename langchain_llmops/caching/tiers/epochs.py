"""Epochs: what makes everything that carries a name invalid at once, without a scan.

A name (a tag, a scope) has an epoch, a random text. An answer is stored with the
epochs of its names, and is good as long as they are still the same. Random rather than
counted: an epoch that a server evicted is replaced by one that no answer was ever
stored under.
"""

from __future__ import annotations

from secrets import token_hex
from threading import Lock
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["EVERYTHING", "EpochKeeper", "Epochs", "LocalEpochs", "new_epoch"]

EVERYTHING: Final = "*"
"""The name whose new epoch says: what you hold of this cache may be gone."""

_NAMES: Final = 100_000

Epochs = dict[str, str]


def new_epoch() -> str:
    """Return an epoch that was never used before."""
    return token_hex(8)


@runtime_checkable
class EpochKeeper(Protocol):
    """What a tier may offer beside values: epochs that all who share it agree upon.

    Methods raise whatever the backend raises.
    """

    @property
    def reach(self) -> int:
        """Who shares the tier: 0 this process, 1 this machine, 2 several machines."""
        ...

    def epochs(self, names: Sequence[str]) -> Epochs:
        """Return the epoch of each name; a name that has none gets one."""
        ...

    async def aepochs(self, names: Sequence[str]) -> Epochs:
        """Return what `epochs` returns; never blocks the event loop."""
        ...

    def renew(self, names: Sequence[str]) -> Epochs:
        """Give each name a new epoch, and return them."""
        ...

    async def arenew(self, names: Sequence[str]) -> Epochs:
        """Renew as `renew` does; never blocks the event loop."""
        ...


class LocalEpochs:
    """The epochs of this process; safe across threads.

    The latest hundred thousand names are kept: what carries an older one is invalid.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._epochs: Epochs = {}

    def epochs(self, names: Sequence[str]) -> Epochs:
        """Return the epoch of each name; a name that has none gets one."""
        with self._lock:
            return {name: self._epochs.get(name) or self._new(name) for name in names}

    def renew(self, names: Sequence[str]) -> Epochs:
        """Give each name a new epoch, and return them."""
        with self._lock:
            for name in names:
                self._epochs.pop(name, None)
            return {name: self._new(name) for name in names}

    def _new(self, name: str) -> str:
        if len(self._epochs) >= _NAMES:
            del self._epochs[next(iter(self._epochs))]
        return self._epochs.setdefault(name, new_epoch())
