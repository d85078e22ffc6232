"""`KnowledgeBaseSync`: vector stores follow a source, one whole version at a time."""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, Iterable
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.knowledge.checkup import status_of, verified
from langchain_llmops.knowledge.embedder import Embedder, model_of
from langchain_llmops.knowledge.journal import Journal
from langchain_llmops.knowledge.manifest import Manifest
from langchain_llmops.knowledge.pins import Pins
from langchain_llmops.knowledge.planner import Planner, region_rule
from langchain_llmops.knowledge.reader import KnowledgeBaseReader
from langchain_llmops.knowledge.recovery import recovered
from langchain_llmops.knowledge.region_store import RegionStore
from langchain_llmops.knowledge.staging import applied
from langchain_llmops.knowledge.switching import collected, rolled_back
from langchain_llmops.knowledge.turns import ain_turn, in_thread, in_turn
from langchain_llmops.knowledge.workshop import (
    SyncLimits,
    Unavailable,
    Workshop,
    check_arguments,
)
from langchain_llmops.storage.plans import arun, run

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore

    from langchain_llmops.knowledge.changes import ChangeSet
    from langchain_llmops.knowledge.reports import (
        Collected,
        KnowledgeBaseStatus,
        SyncEvent,
        SyncReport,
        Verification,
        VersionSwitch,
    )
    from langchain_llmops.knowledge.sync_errors import SyncFailedError

__all__ = ["KnowledgeBaseSync"]


class KnowledgeBaseSync:
    """Bring vector stores to what a source says, one whole version at a time.

    `plan` compares a source with the active version; `apply` writes what changed beside
    it, reads it back from the stores, searches for it, and switches the readers of all
    regions in one transaction. Whatever fails on the way, a killed process included,
    readers see the old version or the new one. What did not change is neither embedded
    nor written.

    Any vector store will do that takes ids, deletes by ids, has `get_by_ids` and
    returns ids from its searches. Read it through `reader(region)`; the store itself
    holds several versions.

    Methods come in pairs, `apply` and `aapply`. Those that change something take turns
    across threads and processes. The manifest is opened on first use; nothing blocks an
    event loop. The object is safe across threads and event loops.

    Args:
        stores: The vector store of each region.
        manifest: Where versions are kept: SQLAlchemy URL of a SQLite file or of a
            PostgreSQL database.
        embeddings: The embedding model; by default that of the first store. Embeddings
            are cached by content: in a `CachedEmbeddings` if this is one, else in a
            file beside a SQLite manifest. A store that cannot be given vectors embeds
            by itself: make it with that same `CachedEmbeddings`.
        name: Which knowledge base, for there may be several in one manifest.
        regions: Says in which regions a document is kept; by default in all.
        unavailable: What to do when a region fails: `"abort"`, nothing changes
            anywhere; `"lag"`, it stays on its version and catches up later.
        volatile_metadata: Metadata keys that say nothing about a document, such as a
            time of loading: a change of them changes nothing.
        max_delete_fraction: Share of the documents that `apply` deletes without
            `force=True`; overrides that of `limits`.
        limits: Batch sizes and times; see `SyncLimits`.
        on_switch: Told when readers see another version, in a thread where the caller
            is asynchronous: the place to invalidate caches. An error is logged, and the
            next operation tells it again.
        on_progress: Told of each batch. Its errors are logged.
        refresh_s: Seconds after which readers notice a switch by another process.
        clock: Seconds since the epoch.

    Raises:
        ConfigurationError: An argument makes no sense.

    Example:
        ```python
        from langchain_core.documents import Document
        from langchain_core.embeddings import DeterministicFakeEmbedding
        from langchain_llmops import FaissStore, KnowledgeBaseSync

        store = FaissStore(DeterministicFakeEmbedding(size=64))
        kb = KnowledgeBaseSync({"eu": store}, manifest="sqlite:///kb.db")
        kb.apply(kb.plan([Document("Tea is steeped for 3 minutes.", id="tea")]))
        reader = kb.reader("eu")
        kb.apply(kb.plan([Document("Tea is steeped for 5 minutes.", id="tea")]))
        assert "3" in reader.similarity_search("tea")[0].page_content
        assert "5" in kb.reader("eu").similarity_search("tea")[0].page_content
        ```
    """

    def __init__(  # noqa: PLR0913 - what a knowledge base is made of, by keyword
        self,
        stores: Mapping[str, VectorStore],
        *,
        manifest: str,
        embeddings: Embeddings | None = None,
        name: str = "default",
        regions: Callable[[Document], Iterable[str]] | None = None,
        unavailable: Unavailable = "abort",
        volatile_metadata: Collection[str] = (),
        max_delete_fraction: float | None = None,
        limits: SyncLimits | None = None,
        on_switch: Callable[[VersionSwitch], object] | None = None,
        on_progress: Callable[[SyncEvent], None] | None = None,
        refresh_s: float = 1.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        check_arguments(stores, name, unavailable, volatile_metadata)
        limits = limits or SyncLimits()
        if max_delete_fraction is not None:
            limits = replace(limits, max_delete_fraction=max_delete_fraction)
        self._stores = dict(stores)
        self._manifest = Manifest(manifest, name, self._stores)
        self._pins = Pins(self._manifest, refresh_s=refresh_s)
        self._region_of = region_rule(self._stores, regions)
        self._parts = Workshop(
            manifest=self._manifest,
            journal=Journal(self._manifest, clock),
            regions={
                region: RegionStore(region, store, limits.timeout_s)
                for region, store in self._stores.items()
            },
            embedder=Embedder(
                model_of(embeddings, next(iter(self._stores.values()))), self._manifest
            ),
            volatile=frozenset(volatile_metadata),
            unavailable=unavailable,
            limits=limits,
            on_progress=on_progress,
            on_switch=on_switch,
            moved=self._pins.moved,
        )

    @property
    def name(self) -> str:
        """The knowledge base's name."""
        return self._manifest.kb

    def plan(
        self, documents: Iterable[Document], *, rewrite: Collection[str] = ()
    ) -> ChangeSet:
        """Compare a source with the active version; changes nothing.

        Documents are told apart by their ids. One without an id is told apart by its
        content and metadata: it never changes, it goes and another comes.

        Args:
            documents: The whole source. What it lacks will be deleted. Taken in batch
                by batch, so a loader's `lazy_load()` is fine.
            rewrite: Ids to write again although they are unchanged, for a store that
                lost them: `verify()` tells which.

        Returns:
            The changes, for `apply`.

        Raises:
            ConfigurationError: An id occurs twice, a document has no content or its
                metadata are not JSON, or `regions` names one that there is not.
            StorageError: The manifest cannot be used.
        """
        planner = self._planner(rewrite)
        try:
            stream = iter(documents)
            while batch := list(islice(stream, self._parts.limits.batch_size)):
                planner.take(batch)
            return planner.finish()
        except BaseException:
            planner.close()
            raise

    async def aplan(
        self,
        documents: Iterable[Document] | AsyncIterable[Document],
        *,
        rewrite: Collection[str] = (),
    ) -> ChangeSet:
        """Compare as `plan` does; the source may be asynchronous.

        An ordinary one is read in a thread, for it may block.
        """
        if not isinstance(documents, AsyncIterable):
            return await in_thread(lambda: self.plan(documents, rewrite=rewrite))
        planner = await in_thread(partial(self._planner, rewrite))
        try:
            batch: list[Document] = []
            async for document in documents:
                batch.append(document)
                if len(batch) == self._parts.limits.batch_size:
                    await in_thread(partial(planner.take, batch))
                    batch = []
            await in_thread(lambda: planner.take(batch))
            return await in_thread(planner.finish)
        except BaseException:
            await in_thread(planner.close)
            raise

    def apply(self, changes: ChangeSet, *, force: bool = False) -> SyncReport:
        """Carry changes out, and switch all regions to the new version at once.

        First what an earlier process left behind is put right: a version whose process
        died is given up, regions that lag catch up. Costs one embedding per changed
        text, and one write, one read and a few searches per batch and region.

        Args:
            changes: From `plan`.
            force: Delete even what the guards refuse.

        Returns:
            What was done. Nothing to change makes no new version.

        Raises:
            SyncRefusedError: The source is empty, or too much would be deleted.
            SyncFailedError: A region failed, and `unavailable` is `"abort"`, or all
                failed. Readers see the old version.
            StaleVersionError: Somebody else applied changes since they were planned.
            KnowledgeBaseBusyError: Somebody else is at it.
            ConfigurationError: Another embedding model.
            StorageError: The manifest cannot be used.
        """
        return in_turn(self._parts, applied(self._parts, changes, force=force))

    async def aapply(self, changes: ChangeSet, *, force: bool = False) -> SyncReport:
        """Carry changes out as `apply` does; stores and embeddings are awaited.

        If it is cancelled, readers see the old version, and the next operation clears
        away what was staged.
        """
        return await ain_turn(self._parts, applied(self._parts, changes, force=force))

    def recover(self) -> dict[str, str]:
        """Put right what crashes and outages left, as `apply` does at its beginning.

        Returns:
            Regions that still lag, each with the reason.

        Raises:
            SyncFailedError: One still lags, and `unavailable` is `"abort"`.
        """
        return _reasons(in_turn(self._parts, recovered(self._parts)))

    async def arecover(self) -> dict[str, str]:
        """Put right as `recover` does."""
        return _reasons(await ain_turn(self._parts, recovered(self._parts)))

    def rollback(self, version: int) -> None:
        """Show an earlier version again: one transaction, nothing is written to stores.

        Raises:
            StaleVersionError: It does not exist, or `gc` has collected it.
            KnowledgeBaseBusyError: A synchronisation is under way.
        """
        in_turn(self._parts, rolled_back(self._parts, version))

    async def arollback(self, version: int) -> None:
        """Show an earlier version as `rollback` does."""
        await ain_turn(self._parts, rolled_back(self._parts, version))

    def gc(self, *, keep: int = 2) -> Collected:
        """Delete documents that no kept version shows.

        Readers that are pinned to a version that goes raise `StaleVersionError` from
        then on; they never see part of it.

        Args:
            keep: How many of the newest versions stay. Those that are read always do.

        Raises:
            ConfigurationError: `keep` is below 1.
            KnowledgeBaseBusyError: A synchronisation is under way.
        """
        return in_turn(self._parts, collected(self._parts, keep))

    async def agc(self, *, keep: int = 2) -> Collected:
        """Delete as `gc` does."""
        return await ain_turn(self._parts, collected(self._parts, keep))

    def verify(self, region: str | None = None) -> dict[str, Verification]:
        """Ask the stores for every document of the version that their readers see.

        Reads all of it back, compares hashes, and searches for a sample.

        Args:
            region: Only this one.

        Returns:
            What each region holds; nothing is repaired. `plan(docs, rewrite=…)` with
            what is `damaged` repairs it.

        Raises:
            ConfigurationError: There is no such region.
            SyncFailedError: A store cannot be asked.
            StaleVersionError: `gc` collected the version meanwhile.
        """
        return run(verified(self._parts, self._asked(region)))

    async def averify(self, region: str | None = None) -> dict[str, Verification]:
        """Ask the stores as `verify` does."""
        return await arun(verified(self._parts, self._asked(region)))

    def status(self) -> KnowledgeBaseStatus:
        """Return where the knowledge base stands, from its manifest alone."""
        return status_of(self.name, self._manifest.state())

    async def astatus(self) -> KnowledgeBaseStatus:
        """Return what `status` returns."""
        return status_of(self.name, await in_thread(self._manifest.state))

    def reader(
        self, region: str, *, version: int | None = None, follow: bool = False
    ) -> KnowledgeBaseReader:
        """Return a read-only vector store that shows one version.

        Args:
            region: Whose store.
            version: The version to pin; by default the one that is active now.
            follow: Instead of pinning, show in each call the version that is active
                when the call begins: for a chain that lives longer than a version.

        Raises:
            ConfigurationError: There is no such region, or both are asked for.
            StaleVersionError: There is no such version to read.
        """
        self._check_region(region)
        if follow and version is not None:
            raise ConfigurationError(
                f"version={version!r} and follow=True contradict each other: give one"
            )
        if not follow:
            version = self._manifest.active(region) if version is None else version
            self._manifest.view(version)
        else:
            self._pins.look(region)
        return KnowledgeBaseReader(
            self._stores[region],
            region=region,
            manifest=self._manifest,
            pins=self._pins,
            version=version,
        )

    async def areader(
        self, region: str, *, version: int | None = None, follow: bool = False
    ) -> KnowledgeBaseReader:
        """Return what `reader` returns; never blocks the event loop."""
        return await in_thread(
            lambda: self.reader(region, version=version, follow=follow)
        )

    def close(self) -> None:
        """Close the manifest's connections; the stores are the caller's."""
        self._manifest.close()

    def _asked(self, region: str | None) -> list[str]:
        if region is None:
            return list(self._stores)
        self._check_region(region)
        return [region]

    def _check_region(self, region: str) -> None:
        if region not in self._stores:
            raise ConfigurationError(
                f"there is no region {region!r}: use one of {sorted(self._stores)!r}"
            )

    def _planner(self, rewrite: Collection[str]) -> Planner:
        return Planner(
            self._manifest,
            volatile=self._parts.volatile,
            regions=self._region_of,
            rewrite=rewrite,
        )


def _reasons(lagging: Mapping[str, SyncFailedError]) -> dict[str, str]:
    return {region: error.why for region, error in lagging.items()}
