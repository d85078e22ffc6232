"""What every step of a synchronisation works with."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.knowledge.reports import SyncEvent, VersionSwitch
from langchain_llmops.knowledge.steps import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from langchain_llmops.knowledge.embedder import Embedder
    from langchain_llmops.knowledge.journal import Journal
    from langchain_llmops.knowledge.manifest import Manifest
    from langchain_llmops.knowledge.region_store import RegionStore
    from langchain_llmops.storage.plans import Plan

__all__ = ["SyncLimits", "Unavailable", "Workshop", "check_arguments", "generation_of"]

Unavailable = Literal["abort", "lag"]
"""What to do when a region fails."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncLimits:
    """How much a synchronisation takes at once, and how long it waits.

    Args:
        batch_size: Documents held in memory, embedded and written together.
        timeout_s: Seconds that one call to a store may take; one that hangs counts as
            failed. `None` waits for ever, and calls stores from the caller's thread,
            which those that are bound to one thread need.
        wait_s: Seconds to wait for another synchronisation of the same knowledge base.
        probes: Documents of each new version, per region, that a search must find.
        max_delete_fraction: Share of the documents that may be deleted at once.

    Raises:
        ConfigurationError: A number makes no sense.
    """

    batch_size: int = 500
    timeout_s: float | None = 60.0
    wait_s: float = 10.0
    probes: int = 8
    max_delete_fraction: float = 0.2

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ConfigurationError(
                f"batch_size={self.batch_size!r} takes nothing: give 1 or more"
            )
        if self.timeout_s is not None and self.timeout_s <= 0:
            raise ConfigurationError(
                f"timeout_s={self.timeout_s!r} is over at once: give more, or None"
            )
        if self.wait_s < 0 or self.probes < 0:
            raise ConfigurationError(
                f"wait_s={self.wait_s!r} and probes={self.probes!r} must be 0 or more"
            )
        if not 0 <= self.max_delete_fraction <= 1:
            raise ConfigurationError(
                f"max_delete_fraction={self.max_delete_fraction!r} must be between 0 "
                "and 1"
            )


def generation_of(name: str, version: int) -> str:
    """Return one text for what readers see: the same text, the same documents."""
    return f"{name}@{version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """The parts of a knowledge base.

    Args:
        manifest: What is known.
        journal: Where steps are written down.
        regions: The stores by region.
        embedder: Embeds for stores that take vectors, and tells models apart.
        volatile: Metadata keys that do not count.
        unavailable: What to do when a region fails: give the version up, or go on.
        limits: See `SyncLimits`.
        on_progress: Told of each batch; its errors are logged.
        on_switch: Told of each switch; told again if it failed.
        moved: Told at once, in this process, where each region's readers are now.
    """

    manifest: Manifest
    journal: Journal
    regions: Mapping[str, RegionStore]
    embedder: Embedder
    volatile: frozenset[str]
    unavailable: Unavailable
    limits: SyncLimits
    on_progress: Callable[[SyncEvent], None] | None
    on_switch: Callable[[VersionSwitch], object] | None
    moved: Callable[[Mapping[str, int]], None]
    _warned: set[str] = field(default_factory=set)

    def tell(self, event: SyncEvent) -> None:
        """Tell of progress; an observer never breaks a synchronisation."""
        if self.on_progress is None:
            return
        try:
            self.on_progress(event)
        except Exception:
            if "on_progress" not in self._warned:
                self._warned.add("on_progress")
                logger.exception("on_progress failed; further failures are not logged")

    def announce(self) -> Plan[None]:
        """Tell `on_switch` of a switch that it was not told of yet.

        If it fails, the switch stands and the next operation tells it again.
        """
        state = yield Work(self.manifest.state)
        self.moved(state.regions)
        if state.announced == state.active:
            return
        switch = VersionSwitch(
            name=self.manifest.kb,
            version=state.active,
            generation=generation_of(self.manifest.kb, state.active),
            regions=state.regions,
        )
        notify = self.on_switch
        if notify is not None:
            try:
                yield Work(lambda: notify(switch))
            except Exception:
                logger.exception(
                    "on_switch failed for %s; the next operation calls it again",
                    switch.generation,
                )
                return
        yield Work(lambda: self.journal.announced(state.active))


def check_arguments(
    stores: Mapping[str, Any], name: str, unavailable: str, volatile: Collection[str]
) -> None:
    """Refuse what no knowledge base can be made of.

    Raises:
        ConfigurationError: An argument makes no sense.
    """
    if not stores or any(not region or "," in region for region in stores):
        raise ConfigurationError(
            f"stores={list(stores)!r}: give at least one region, as in "
            '{"eu": vectorstore}; names have no commas'
        )
    if not name:
        raise ConfigurationError("name must not be empty: leave it out for one base")
    if unavailable not in get_args(Unavailable):
        raise ConfigurationError(
            f'unavailable={unavailable!r} is unknown: use "abort" or "lag"'
        )
    if isinstance(volatile, str):
        raise ConfigurationError(
            f"volatile_metadata={volatile!r} is one text: give a list of keys"
        )
