"""Bring the stores to a new version beside the old one, check it, and switch to it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from langchain_llmops.knowledge.embedder import check_sample
from langchain_llmops.knowledge.examining import examined
from langchain_llmops.knowledge.guard import check_deletions
from langchain_llmops.knowledge.recovery import recovered, swept
from langchain_llmops.knowledge.reports import SyncEvent, SyncReport
from langchain_llmops.knowledge.steps import Calls, Work
from langchain_llmops.knowledge.sync_errors import StaleVersionError, SyncFailedError
from langchain_llmops.knowledge.view import View, shadow_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.knowledge.changes import ChangeSet, PlannedChange
    from langchain_llmops.knowledge.manifest import State
    from langchain_llmops.knowledge.workshop import Workshop
    from langchain_llmops.storage.plans import Plan

__all__ = ["applied"]


def applied(parts: Workshop, changes: ChangeSet, *, force: bool) -> Plan[SyncReport]:
    """Carry changes out. Whatever fails, readers see the old version or the new one."""
    lagging = yield from recovered(parts)
    state = yield Work(parts.manifest.state)
    _check(parts, changes, state, force=force)
    written = changes.changed - changes.deleted
    if not changes.changed:
        return SyncReport(
            version=state.active,
            previous=state.active,
            written=0,
            deleted=0,
            lagging={region: error.why for region, error in lagging.items()},
        )
    sample = None
    if written:
        sample = yield from parts.embedder.sample()
        check_sample(parts.manifest.kb, state.sample, sample)
    count = changes.documents
    version = yield Work(lambda: parts.journal.begin(changes.base, count))
    staging = _Staging(parts, version, lagging)
    try:
        yield from staging.write(changes, written)
        yield from staging.verify(written)
        yield from staging.owe(changes)
        yield Work(
            lambda: parts.journal.switch(
                version, changes.base, staging.reached, sample or state.sample
            )
        )
    except Exception:
        yield from _given_up(parts, version, staging)
        raise
    parts.tell(SyncEvent(step="switch", version=version, done=written, total=written))
    yield from parts.announce()
    return SyncReport(
        version=version,
        previous=changes.base,
        written=written,
        deleted=changes.deleted,
        lagging={region: error.why for region, error in staging.failed.items()},
    )


def _check(parts: Workshop, changes: ChangeSet, state: State, *, force: bool) -> None:
    if state.active != changes.base:
        raise StaleVersionError(
            f"these changes are based on version {changes.base} of "
            f"{parts.manifest.kb!r}, which is at {state.active} by now: plan again"
        )
    if not force:
        check_deletions(
            documents=changes.documents,
            deleted=changes.deleted,
            known=changes.known,
            max_delete_fraction=parts.limits.max_delete_fraction,
        )


def _given_up(parts: Workshop, version: int, staging: _Staging) -> Plan[None]:
    """Forget a version, and clear away what the regions that answer hold of it."""
    yield Work(lambda: parts.journal.fail(version))
    leftovers = yield Work(parts.journal.leftovers)
    yield from swept(parts, leftovers, skip=staging.failed)


class _Staging:
    """A version on its way into the stores.

    Attributes:
        failed: Regions that are left behind, each with the reason.
    """

    def __init__(
        self, parts: Workshop, version: int, lagging: dict[str, SyncFailedError]
    ) -> None:
        self._parts = parts
        self._version = version
        self.failed = dict(lagging)

    @property
    def reached(self) -> list[str]:
        """Regions that will be switched."""
        return [region for region in self._parts.regions if region not in self.failed]

    def write(self, changes: ChangeSet, total: int) -> Plan[None]:
        """Write every change down, and into each region that takes part."""
        batches = changes.spool.batches(self._parts.limits.batch_size)
        done = 0
        while batch := (yield Work(lambda: next(batches, None))):
            fresh = [change for change in batch if change.kind != "deleted"]
            yield Work(partial(self._record, batch, fresh))
            if fresh:
                yield from self._write(fresh)
                done += len(fresh)
                self._tell(done, total)

    def verify(self, total: int) -> Plan[None]:
        """Read back what was written, from the stores themselves."""
        if not total:
            return
        view = View(
            version=self._version,
            lineage=frozenset({self._version}),
            removed=frozenset(),
        )
        findings = yield from examined(
            self._parts, self.reached, view, added=self._version, total=total
        )
        for region, found in findings.items():
            if found.problem is not None:
                failure = SyncFailedError(region, "verify", found.problem)
                self._fail(failure, found.error)

    def owe(self, changes: ChangeSet) -> Plan[None]:
        """Keep what the regions that are left behind have to be given later."""
        for region in self.failed:
            batches = changes.spool.batches(self._parts.limits.batch_size)
            while batch := (yield Work(partial(next, batches, None))):
                rows = [
                    (change.name, change.document or "")
                    for change in batch
                    if change.regions is not None
                    and change.kind != "deleted"
                    and region in change.regions.split(",")
                ]
                yield Work(
                    partial(self._parts.journal.owe, region, self._version, rows)
                )

    def _record(
        self, batch: Sequence[PlannedChange], fresh: Sequence[PlannedChange]
    ) -> None:
        self._parts.journal.record(
            self._version,
            [
                {
                    "name": change.name,
                    "content": change.content,
                    "metadata": change.metadata,
                    "regions": change.regions,
                }
                for change in fresh
            ],
            [change.replaces for change in batch if change.replaces is not None],
        )

    def _write(self, fresh: Sequence[PlannedChange]) -> Plan[None]:
        stores = self._parts.regions
        documents = [
            change.read(shadow_id(change.name, self._version)) for change in fresh
        ]
        vectors = None
        if any(stores[region].takes_vectors for region in self.reached):
            vectors = yield from self._parts.embedder.embed(
                [document.page_content for document in documents]
            )
        calls = {}
        for region in self.reached:
            places = [
                place
                for place, change in enumerate(fresh)
                if region in (change.regions or "").split(",")
            ]
            if places:
                calls[region] = stores[region].write(
                    [documents[place] for place in places],
                    None if vectors is None else [vectors[place] for place in places],
                )
        for region, outcome in (yield Calls(calls)).items():
            if isinstance(outcome, Exception):
                self._fail(SyncFailedError(region, "write", repr(outcome)), outcome)

    def _fail(self, failure: SyncFailedError, cause: Exception | None) -> None:
        """Leave a region behind, or give the version up."""
        self.failed[failure.region] = failure
        if self._parts.unavailable == "abort" or not self.reached:
            raise failure from cause

    def _tell(self, done: int, total: int) -> None:
        self._parts.tell(
            SyncEvent(step="stage", version=self._version, done=done, total=total)
        )
