"""Ask the stores themselves what they hold: count, hashes, and searches that must find.

A store that acknowledged a write may have lost it. So nothing here trusts a record of
what was written, except for what should be there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from langchain_llmops.knowledge.fingerprints import fingerprint
from langchain_llmops.knowledge.reports import SyncEvent
from langchain_llmops.knowledge.steps import Calls, Work

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from langchain_core.documents import Document

    from langchain_llmops.knowledge.manifest import Item
    from langchain_llmops.knowledge.view import View
    from langchain_llmops.knowledge.workshop import Workshop
    from langchain_llmops.storage.plans import Plan

__all__ = ["Findings", "examined", "fetched_items"]

_NEAREST = 10
_NEAR = 200


@dataclass(slots=True, kw_only=True)
class Findings:
    """What became of one region's documents.

    Args:
        documents: How many it should hold.
        missing: Names of those that it does not.
        altered: Names of those that are not what was written.
        unfound: Names of those that a search did not find.
        error: Why the store could not be asked to the end.
    """

    documents: int = 0
    missing: list[str] = field(default_factory=list)
    altered: list[str] = field(default_factory=list)
    unfound: list[str] = field(default_factory=list)
    error: Exception | None = None
    samples: list[tuple[Item, Document]] = field(default_factory=list)

    def take(
        self,
        items: Sequence[Item],
        found: Sequence[Document],
        *,
        volatile: frozenset[str],
        probes: int,
    ) -> None:
        """Compare a batch with what the store returned for it."""
        by_id = {document.id: document for document in found}
        good: list[tuple[Item, Document]] = []
        self.documents += len(items)
        for item in items:
            document = by_id.get(item.stored_id)
            if document is None:
                self.missing.append(item.name)
                continue
            known = fingerprint(document, volatile)
            if (known.content, known.metadata) == (item.content, item.metadata):
                good.append((item, document))
            else:
                self.altered.append(item.name)
        if probes:
            self.samples += good[:: max(1, len(good) // probes)][:probes]
            if len(self.samples) > 2 * probes:
                self.samples = self.samples[::2]

    @property
    def problem(self) -> str | None:
        """What is wrong, in a few words; `None` if nothing is."""
        if self.error is not None:
            return repr(self.error)
        for names, what in (
            (self.missing, "missing"),
            (self.altered, "other than written"),
            (self.unfound, "not found by their own text"),
        ):
            if names:
                return (
                    f"{len(names):,} of {self.documents:,} documents are {what}, "
                    f"such as {names[0]!r}"
                )
        return None


def fetched_items(
    parts: Workshop, items: Sequence[Item], regions: Collection[str]
) -> tuple[dict[str, list[Item]], Calls]:
    """Return which items each region should have, and the calls that read them."""
    shares = {
        region: share
        for region in regions
        if (share := [item for item in items if region in item.regions.split(",")])
    }
    calls = {
        region: parts.regions[region].fetch([item.stored_id for item in share])
        for region, share in shares.items()
    }
    return shares, Calls(calls)


def examined(
    parts: Workshop,
    regions: Collection[str],
    view: View,
    *,
    added: int | None = None,
    total: int = 0,
) -> Plan[dict[str, Findings]]:
    """Compare regions with the manifest, and search them for a sample.

    Args:
        parts: The knowledge base.
        regions: Which regions.
        view: The version they should hold.
        added: Only what this version added.
        total: Documents in all, for the progress.
    """
    limits = parts.limits
    findings = {region: Findings() for region in regions}
    batches = parts.manifest.items(view, added=added, size=limits.batch_size)
    done = 0
    while batch := (yield Work(lambda: next(batches, None))):
        asked = [region for region in regions if findings[region].error is None]
        shares, calls = fetched_items(parts, batch, asked)
        for region, outcome in (yield calls).items():
            if isinstance(outcome, Exception):
                findings[region].error = outcome
            else:
                findings[region].take(
                    shares[region],
                    outcome,
                    volatile=parts.volatile,
                    probes=limits.probes,
                )
        done += len(batch)
        parts.tell(
            SyncEvent(step="verify", version=view.version, done=done, total=total)
        )
    for region, found in findings.items():
        if found.error is None:
            yield from _probed(parts, region, found)
    return findings


def _probed(parts: Workshop, region: str, found: Findings) -> Plan[None]:
    """Search a region for its sample; what is stored but not indexed is not found."""
    store = parts.regions[region]
    samples = found.samples[: parts.limits.probes]
    texts = [document.page_content for _, document in samples]
    vectors: Sequence[Sequence[float] | None] = [None] * len(texts)
    if store.finds_by_vector and texts:
        vectors = yield from parts.embedder.embed(texts)
    for (item, document), vector in zip(samples, vectors, strict=True):
        for k in (_NEAREST, _NEAR):
            outcome = (
                yield Calls({region: store.near(document.page_content, vector, k)})
            )[region]
            if isinstance(outcome, Exception):
                found.error = outcome
                return
            if _is_among(item, document, outcome, k):
                break
        else:
            found.unfound.append(item.name)


def _is_among(
    item: Item, document: Document, nearest: Sequence[Document], k: int
) -> bool:
    """Say whether a document was found, or could not be for others just like it."""
    if any(other.id == item.stored_id for other in nearest):
        return True
    return len(nearest) >= k and all(
        other.page_content == document.page_content for other in nearest
    )
