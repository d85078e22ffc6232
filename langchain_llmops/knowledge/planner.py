"""Compare a source with what a version shows, batch by batch."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.knowledge.changes import ChangeSet, ChangeSpool, write_document
from langchain_llmops.knowledge.fingerprints import fingerprint

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from langchain_core.documents import Document

    from langchain_llmops.knowledge.fingerprints import Fingerprint
    from langchain_llmops.knowledge.manifest import Item, Manifest
    from langchain_llmops.knowledge.view import View

__all__ = ["Planner", "region_rule"]


def region_rule(
    names: Collection[str], rule: Callable[[Document], Iterable[str]] | None
) -> Callable[[Document], str]:
    """Return the function from a document to its regions, joined by commas.

    Args:
        names: The regions that there are.
        rule: Says where a document belongs; `None` means everywhere.
    """
    everywhere = ",".join(sorted(names))
    if rule is None:
        return lambda _: everywhere

    def regions(document: Document) -> str:
        wanted = rule(document)
        chosen = {wanted} if isinstance(wanted, str) else set(wanted)
        if not chosen or not chosen <= set(names):
            raise ConfigurationError(
                f"regions() put document {document.id!r} into {sorted(chosen)!r}: "
                f"return one or more of {sorted(names)!r}"
            )
        return ",".join(sorted(chosen))

    return regions


class Planner:
    """Take in a source and find what is not as in the active version. Blocks.

    Memory: one batch, and one byte per known document for what was seen.

    Args:
        manifest: What is known.
        volatile: Metadata keys that do not count.
        regions: From a document to its regions.
        rewrite: Ids to be written again even if they are unchanged.
    """

    def __init__(
        self,
        manifest: Manifest,
        *,
        volatile: frozenset[str],
        regions: Callable[[Document], str],
        rewrite: Collection[str],
    ) -> None:
        self._manifest = manifest
        self._volatile = volatile
        self._regions = regions
        self._rewrite = frozenset(rewrite)
        state = manifest.state()
        self._known = state.documents
        self._view: View = manifest.view(state.active)
        self._seen = bytearray(manifest.highest_seq() + 1 if state.active else 0)
        self._counts: Counter[str] = Counter()
        self._spool = ChangeSpool()

    def take(self, documents: Sequence[Document]) -> None:
        """Compare one batch.

        Raises:
            ConfigurationError: An id occurs twice, a document has no content, metadata
                are not JSON, or `regions` names one that there is not.
        """
        prints = [self._checked(document) for document in documents]
        names = [
            document.id or known.name
            for document, known in zip(documents, prints, strict=True)
        ]
        items = self._manifest.known(names, self._view) if self._known else {}
        fresh: dict[str, tuple[Any, ...]] = {}
        for document, name, known in zip(documents, names, prints, strict=True):
            item = items.get(name)
            regions = self._regions(document)
            if item is not None and not self._is_first(item, document):
                continue
            kind = self._kind(name, item, known, regions)
            if kind == "unchanged":
                self._counts[kind] += 1
            elif name in fresh:
                self._repeated(document, name)
            else:
                fresh[name] = (
                    *(name, kind, None if item is None else item.seq),
                    *(known.content, known.metadata, regions),
                    write_document(document),
                )
        if fresh:
            self._keep(fresh, documents, names)

    def finish(self) -> ChangeSet:
        """Find what the source no longer has, and return all changes."""
        counts, view = self._counts, self._view
        found = counts["unchanged"] + counts["content"] + counts["metadata"]
        if found < self._known:
            for batch in self._manifest.items(view, size=2_000):
                gone = [item for item in batch if not self._seen[item.seq]]
                self._spool.add(
                    [
                        (item.name, "deleted", item.seq, None, None, item.regions, None)
                        for item in gone
                    ]
                )
                counts["deleted"] += len(gone)
        return ChangeSet(
            base=view.version,
            known=self._known,
            documents=found + counts["new"],
            unchanged=counts["unchanged"],
            new=counts["new"],
            content=counts["content"],
            metadata=counts["metadata"],
            deleted=counts["deleted"],
            repeated=counts["repeated"],
            spool=self._spool,
        )

    def close(self) -> None:
        """Throw the changes away, when the source failed half way."""
        self._spool.close()

    def _checked(self, document: Document) -> Fingerprint:
        if not document.page_content or document.page_content.isspace():
            raise ConfigurationError(
                f"document {document.id!r} with metadata {document.metadata!r} has no "
                "content: leave it out of the source"
            )
        return fingerprint(document, self._volatile)

    def _is_first(self, item: Item, document: Document) -> bool:
        """Note that a known document was seen; say whether for the first time."""
        if self._seen[item.seq]:
            self._repeated(document, item.name)
            return False
        self._seen[item.seq] = 1
        return True

    def _repeated(self, document: Document, name: str) -> None:
        if document.id is not None:
            raise ConfigurationError(
                f"the id {name!r} occurs twice in the source: give each document an id "
                "of its own, such as its path and the number of its chunk"
            )
        self._counts["repeated"] += 1

    def _kind(
        self, name: str, item: Item | None, known: Fingerprint, regions: str
    ) -> str:
        if item is None:
            return "new"
        if item.content != known.content or name in self._rewrite:
            return "content"
        if item.metadata != known.metadata or item.regions != regions:
            return "metadata"
        return "unchanged"

    def _keep(
        self,
        fresh: dict[str, tuple[Any, ...]],
        documents: Sequence[Document],
        names: Sequence[str],
    ) -> None:
        for known in self._spool.has(list(fresh)):
            self._repeated(documents[names.index(known)], known)
            del fresh[known]
        self._counts.update(row[1] for row in fresh.values())
        self._spool.add(list(fresh.values()))
