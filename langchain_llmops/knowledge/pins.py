"""Which version the readers of each region are on, as far as this process knows."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING

from langchain_llmops.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_llmops.knowledge.manifest import Manifest

__all__ = ["Pins"]

logger = logging.getLogger(__name__)


class Pins:
    """The pointers of a manifest, remembered for a moment.

    A switch by this process is known at once; one by another after `refresh_s`.

    Args:
        manifest: Where the pointers are.
        refresh_s: Seconds for which a pointer is believed; 0 looks every time.
        clock: Seconds, never going back.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        refresh_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manifest = manifest
        self._refresh_s = refresh_s
        self._clock = clock
        self._lock = threading.Lock()
        self._looking = threading.Lock()
        self._known: dict[str, tuple[int, float]] = {}
        self._moves = 0

    def moved(self, regions: Mapping[str, int]) -> None:
        """Take in where the readers are now."""
        now = self._clock()
        with self._lock:
            self._moves += 1
            self._known.update({region: (v, now) for region, v in regions.items()})

    def remembered(self, region: str) -> int | None:
        """Return a region's version without looking, or `None` if it is too old."""
        known = self._known.get(region)
        if known is None or self._clock() - known[1] >= self._refresh_s:
            return None
        return known[0]

    def current(self, region: str) -> int:
        """Return a region's version, after `look` did once; never blocks a loop.

        Where an event loop runs, a pointer that is too old is looked up behind it.
        """
        version = self.remembered(region)
        if version is not None:
            return version
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return self.look(region)
        if self._looking.acquire(blocking=False):
            threading.Thread(
                target=self._look_behind, args=(region,), daemon=True, name="llmops-kb"
            ).start()
        return self._known[region][0]

    def look(self, region: str) -> int:
        """Return a region's version from the manifest. Blocks."""
        moves = self._moves
        version = self._manifest.active(region)
        with self._lock:
            # A switch of this process that came in between knows better.
            if moves == self._moves:
                self._known[region] = (version, self._clock())
        return version

    def _look_behind(self, region: str) -> None:
        try:
            self.look(region)
        except StorageError:
            logger.warning("the manifest cannot be read", exc_info=True)
        finally:
            self._looking.release()
