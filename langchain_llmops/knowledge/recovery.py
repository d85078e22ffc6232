"""Put right what a crash or an outage left: give up, clear away, catch up."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.knowledge.changes import read_document
from langchain_llmops.knowledge.examining import Findings
from langchain_llmops.knowledge.reports import SyncEvent
from langchain_llmops.knowledge.steps import Calls, Work
from langchain_llmops.knowledge.sync_errors import SyncFailedError
from langchain_llmops.knowledge.view import View, shadow_id

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from langchain_core.documents import Document

    from langchain_llmops.knowledge.journal import Garbage
    from langchain_llmops.knowledge.manifest import Item, State
    from langchain_llmops.knowledge.region_store import RegionStore
    from langchain_llmops.knowledge.workshop import Workshop
    from langchain_llmops.storage.plans import Plan

__all__ = ["recovered", "settled", "swept"]

logger = logging.getLogger(__name__)


def recovered(parts: Workshop) -> Plan[dict[str, SyncFailedError]]:
    """Settle what was left, and bring regions that lag to the active version.

    Returns:
        Regions that still lag, each with the reason.

    Raises:
        SyncFailedError: One still lags, and `unavailable` is "abort".
    """
    yield from settled(parts)
    state = yield Work(parts.manifest.state)
    if state.absent:
        raise ConfigurationError(
            f"{parts.manifest.kb!r} has regions without a store here: "
            f"{list(state.absent)!r}; give all of them in stores="
        )
    lagging: dict[str, SyncFailedError] = {}
    for region in parts.regions:
        if state.regions[region] == state.active:
            continue
        try:
            yield from _caught_up(parts, region, state)
        except SyncFailedError as error:
            lagging[region] = error
            if parts.unavailable == "abort":
                raise
    yield from parts.announce()
    return lagging


def settled(parts: Workshop) -> Plan[None]:
    """Give up versions whose process died, and clear away what they left."""
    state = yield Work(parts.manifest.state)
    for row in state.versions.values():
        if row.state == "staging":
            # We hold the lock: whoever staged it is no longer there.
            yield Work(partial(parts.journal.fail, row.version))
            parts.tell(SyncEvent(step="recover", version=row.version, done=0, total=0))
    leftovers = yield Work(parts.journal.leftovers)
    yield from swept(parts, leftovers)


def swept(
    parts: Workshop, garbage: Sequence[Garbage], *, skip: Collection[str] = ()
) -> Plan[int]:
    """Delete what nobody reads from the stores, and forget what is gone.

    A store that fails, or says it deleted and did not, keeps its rows: as long as they
    are there its documents stay hidden. The next operation tries again.

    Args:
        parts: The knowledge base.
        garbage: What to delete.
        skip: Regions that are not asked.

    Returns:
        How many are left.
    """
    left, size = 0, parts.limits.batch_size
    down = set(skip)
    for start in range(0, len(garbage), size):
        batch = garbage[start : start + size]
        kept: set[int] = set()
        for name, region in parts.regions.items():
            share = [item for item in batch if name in item.regions.split(",")]
            if not share:
                continue
            remain = None
            if name not in down:
                remain = yield from _deleted(region, [item.stored_id for item in share])
            if remain is None:
                down.add(name)
            kept.update(
                item.seq for item in share if remain is None or item.stored_id in remain
            )
        gone = [item.seq for item in batch if item.seq not in kept]
        yield Work(partial(parts.journal.forget, gone))
        left += len(kept)
    return left


def _deleted(region: RegionStore, ids: list[str]) -> Plan[set[str] | None]:
    """Return which ids are there after all; `None` if the store failed."""
    found: set[str] = set()
    # Some stores refuse to delete what they do not have: only what is there is asked.
    for ask_again in (True, False):
        there = (yield Calls({"": region.fetch(ids)}))[""]
        if isinstance(there, Exception):
            logger.warning("%r cannot be cleared: %r", region.name, there)
            return None
        found = {str(document.id) for document in there}
        if not found or not ask_again:
            break
        outcome = (yield Calls({"": region.delete(sorted(found))}))[""]
        if isinstance(outcome, Exception):
            logger.warning("%r cannot be cleared: %r", region.name, outcome)
            return None
    return found


def _caught_up(parts: Workshop, region: str, state: State) -> Plan[None]:
    """Give a region what it missed, check it, and switch its readers."""
    lineage = state.lineage(state.active)
    size, total = parts.limits.batch_size, state.owed.get(region, 0)
    done = 0
    while rows := (
        yield Work(lambda: parts.journal.owed(region, sorted(lineage), size))
    ):
        items = yield Work(partial(_items, parts, rows))
        wanted = [
            (item, read_document(text, item.stored_id))
            for version, name, text in rows
            if (item := items.get(shadow_id(name, version))) is not None
        ]
        yield from _given(parts, parts.regions[region], wanted)
        keys = [(version, name) for version, name, _ in rows]
        yield Work(partial(parts.journal.paid, region, keys))
        done += len(rows)
        parts.tell(
            SyncEvent(step="catch_up", version=state.active, done=done, total=total)
        )
    yield Work(lambda: parts.journal.point([region], state.active))


def _items(parts: Workshop, rows: Sequence[tuple[int, str, str]]) -> dict[str, Item]:
    """Return these rows' items by their id in the stores, shown or not."""
    return {
        item.stored_id: item
        for version in sorted({version for version, _, _ in rows})
        for item in parts.manifest.known(
            [name for added, name, _ in rows if added == version],
            View(version=version, lineage=frozenset({version}), removed=frozenset()),
        ).values()
    }


def _given(
    parts: Workshop, region: RegionStore, wanted: list[tuple[Item, Document]]
) -> Plan[None]:
    """Write documents that a region lacks, and read them back."""
    if not wanted:
        return
    ids = [item.stored_id for item, _ in wanted]
    there = yield from _answer(region, "write", Calls({"": region.fetch(ids)}))
    held = {document.id for document in there}
    absent = [document for _, document in wanted if document.id not in held]
    if absent:
        vectors = None
        if region.takes_vectors:
            vectors = yield from parts.embedder.embed(
                [document.page_content for document in absent]
            )
        yield from _answer(region, "write", Calls({"": region.write(absent, vectors)}))
    found = Findings()
    back = yield from _answer(region, "verify", Calls({"": region.fetch(ids)}))
    items = [item for item, _ in wanted]
    found.take(items, back, volatile=parts.volatile, probes=0)
    if found.problem is not None:
        raise SyncFailedError(region.name, "verify", found.problem)


def _answer(region: RegionStore, step: str, calls: Calls) -> Plan[list[Document]]:
    outcome = (yield calls)[""]
    if isinstance(outcome, Exception):
        raise SyncFailedError(region.name, step, repr(outcome)) from outcome
    documents: list[Document] = outcome
    return documents
