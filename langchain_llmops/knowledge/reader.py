"""A vector store that shows one version of a region, and cannot be written."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from langchain_core.runnables import run_in_executor
from langchain_core.vectorstores import VectorStore
from typing_extensions import override

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.knowledge.steps import Call, Work
from langchain_llmops.knowledge.sync_errors import StaleVersionError
from langchain_llmops.knowledge.view import shadow_id
from langchain_llmops.knowledge.workshop import generation_of
from langchain_llmops.storage.plans import arun, run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings

    from langchain_llmops.knowledge.manifest import Manifest
    from langchain_llmops.knowledge.pins import Pins
    from langchain_llmops.knowledge.view import View
    from langchain_llmops.storage.plans import Plan

__all__ = ["KnowledgeBaseReader"]

T = TypeVar("T")

_MARGIN = 8
_ATTEMPTS = 5
_OPTIONAL = frozenset(
    {
        "similarity_search_with_score_by_vector",
        "asimilarity_search_with_score_by_vector",
    }
)


class KnowledgeBaseReader(VectorStore):
    """Search one version of a knowledge base in one region.

    Made by `KnowledgeBaseSync.reader`. Either it is pinned and shows its version for
    ever, or it follows: each call shows the version that is active when it begins, and
    that one only. Documents carry the ids that the source gave them.

    A search asks the store for more than `k` and leaves out what does not belong to the
    version, asking on until `k` documents are found or the store has no more. Scores,
    filters and all other arguments are the store's own. Safe across threads and event
    loops; a call costs up to two short reads of the manifest.

    Args:
        vectorstore: The region's store.
        region: The region.
        manifest: Which version shows what.
        pins: Which version is active.
        version: The version it is pinned to; `None` follows.
    """

    def __init__(
        self,
        vectorstore: VectorStore,
        *,
        region: str,
        manifest: Manifest,
        pins: Pins,
        version: int | None,
    ) -> None:
        self._store = vectorstore
        self._region = region
        self._manifest = manifest
        self._pins = pins
        self._version = version

    @property
    def vectorstore(self) -> VectorStore:
        """The store underneath, with all versions in it: its scores are these."""
        return self._store

    @property
    def version(self) -> int | None:
        """The version it is pinned to; `None` if it follows."""
        return self._version

    @property
    @override
    def embeddings(self) -> Embeddings | None:
        """The store's embeddings."""
        return self._store.embeddings

    @property
    def generation(self) -> str:
        """One text for what is shown: the same text, the same documents.

        For the key of a cache. Never blocks an event loop. A switch by this process is
        seen at once, one by another process within `refresh_s`.
        """
        version = self._version
        if version is None:
            version = self._pins.current(self._region)
        return generation_of(self._manifest.kb, version)

    def __getattr__(self, name: str) -> Any:
        # What only some stores have, for those who look whether it is there.
        if name == "score_scale":
            return getattr(self._store, name)
        if name in _OPTIONAL and hasattr(self._store, name.removeprefix("a")):
            return partial(getattr(self, f"_{name}"), name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def _similarity_search_with_score_by_vector(
        self, name: str, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        return self._search(name, embedding, k, kwargs)

    async def _asimilarity_search_with_score_by_vector(
        self, name: str, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        return await self._asearch(name.removeprefix("a"), embedding, k, kwargs)

    @override
    def similarity_search(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the `k` nearest documents of the version."""
        return self._search("similarity_search", query, k, kwargs)

    @override
    async def asimilarity_search(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the `k` nearest documents of the version."""
        return await self._asearch("similarity_search", query, k, kwargs)

    @override
    def similarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the `k` documents of the version nearest to a vector."""
        return self._search("similarity_search_by_vector", embedding, k, kwargs)

    @override
    async def asimilarity_search_by_vector(
        self, embedding: list[float], k: int = 4, **kwargs: Any
    ) -> list[Document]:
        """Return the `k` documents of the version nearest to a vector."""
        return await self._asearch("similarity_search_by_vector", embedding, k, kwargs)

    @override
    def similarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the `k` nearest documents, each with the store's own score."""
        return self._search("similarity_search_with_score", query, k, kwargs)

    @override
    async def asimilarity_search_with_score(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the `k` nearest documents, each with the store's own score."""
        return await self._asearch("similarity_search_with_score", query, k, kwargs)

    @override
    def similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the `k` nearest documents, each with the store's relevance."""
        name = "similarity_search_with_relevance_scores"
        return self._search(name, query, k, kwargs)

    @override
    async def asimilarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **kwargs: Any
    ) -> list[tuple[Document, float]]:
        """Return the `k` nearest documents, each with the store's relevance."""
        name = "similarity_search_with_relevance_scores"
        return await self._asearch(name, query, k, kwargs)

    @override
    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Return `k` documents of the version that differ from each other."""
        kwargs |= {"fetch_k": fetch_k, "lambda_mult": lambda_mult}
        return self._search("max_marginal_relevance_search", query, k, kwargs)

    @override
    async def amax_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        **kwargs: Any,
    ) -> list[Document]:
        """Return `k` documents of the version that differ from each other."""
        kwargs |= {"fetch_k": fetch_k, "lambda_mult": lambda_mult}
        return await self._asearch("max_marginal_relevance_search", query, k, kwargs)

    @override
    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the version's documents with these ids, the source's own."""
        return run(self._pinned(lambda view: self._fetched(view, ids)))

    @override
    async def aget_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the version's documents with these ids, the source's own."""
        return await arun(self._pinned(lambda view: self._fetched(view, ids)))

    @override
    def add_texts(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse: what readers see changes only through `apply`.

        Raises:
            ConfigurationError: Always.
        """
        raise ConfigurationError(_READ_ONLY)

    @override
    async def aadd_texts(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse, as `add_texts` does."""
        raise ConfigurationError(_READ_ONLY)

    @override
    def add_documents(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse, as `add_texts` does."""
        raise ConfigurationError(_READ_ONLY)

    @override
    async def aadd_documents(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse, as `add_texts` does."""
        raise ConfigurationError(_READ_ONLY)

    @override
    def delete(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse, as `add_texts` does."""
        raise ConfigurationError(_READ_ONLY)

    @override
    async def adelete(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse, as `add_texts` does."""
        raise ConfigurationError(_READ_ONLY)

    @classmethod
    @override
    def from_texts(cls, *_: Any, **__: Any) -> NoReturn:
        """Refuse: readers come from `KnowledgeBaseSync.reader`."""
        raise ConfigurationError(_READ_ONLY)

    def _search(
        self, name: str, query: Any, k: int, kwargs: dict[str, Any]
    ) -> list[Any]:
        return run(self._pinned(lambda view: self._shown(view, name, query, k, kwargs)))

    async def _asearch(
        self, name: str, query: Any, k: int, kwargs: dict[str, Any]
    ) -> list[Any]:
        return await arun(
            self._pinned(lambda view: self._shown(view, name, query, k, kwargs))
        )

    def _remembered(self) -> int | None:
        if self._version is not None:
            return self._version
        return self._pins.remembered(self._region)

    def _pinned(self, act: Callable[[View], Plan[T]]) -> Plan[T]:
        """Act on one version, and make sure that it was there to the end."""
        for _ in range(_ATTEMPTS):
            version = self._remembered()
            if version is None:
                version = yield Work(lambda: self._pins.look(self._region))
            try:
                view = self._manifest.remembered_view(version)
                if view is None:
                    view = yield Work(partial(self._manifest.view, version))
                found = yield from act(view)
                # gc drops a version before it deletes anything of it: what is
                # readable after the search was whole during the search.
                if (yield Work(partial(self._manifest.is_readable, version))):
                    return found
            except StaleVersionError:
                pass
            if self._version is not None:
                break
            yield Work(lambda: self._pins.look(self._region))
        raise StaleVersionError(
            f"version {version!r} of {self._manifest.kb!r} was collected by gc(): make "
            "a new reader, keep more versions, or let the reader follow"
        )

    def _shown(
        self, view: View, name: str, query: Any, k: int, kwargs: dict[str, Any]
    ) -> Plan[list[Any]]:
        """Ask the store for more and more until `k` documents of the version are in."""
        if k < 1:
            raise ConfigurationError(f"k must be at least 1, got {k!r}")
        if not view.version:
            return []
        ask: Callable[..., list[Any]] = getattr(self._store, name)
        aask: Callable[..., Awaitable[list[Any]]] = getattr(
            self._store, f"a{name}", partial(run_in_executor, None, ask)
        )
        size = k + _MARGIN if view.removed else k
        while True:
            if "fetch_k" in kwargs:
                kwargs = {**kwargs, "fetch_k": max(size, kwargs["fetch_k"])}
            given: dict[str, Any] = {**kwargs, "k": size}
            found = yield Call(
                partial(ask, query, **given), partial(aask, query, **given)
            )
            shown = [hit for hit in map(view_of(view), found) if hit is not None]
            if len(shown) >= k or len(found) < size:
                return shown[:k]
            size *= 4

    def _fetched(self, view: View, ids: Sequence[str]) -> Plan[list[Document]]:
        names = list(dict.fromkeys(ids))
        if not names or not view.version:
            return []
        items = yield Work(lambda: self._manifest.known(names, view))
        stored = [
            shadow_id(items[name].name, items[name].added)
            for name in names
            if name in items and self._region in items[name].regions.split(",")
        ]
        if not stored:
            return []
        found = yield Call(
            lambda: self._store.get_by_ids(stored),
            lambda: self._store.aget_by_ids(stored),
        )
        return [hit for hit in map(view_of(view), found) if hit is not None]


_READ_ONLY = (
    "a reader of a knowledge base cannot be written: plan() and apply() of its "
    "KnowledgeBaseSync change what it shows"
)


def view_of(view: View) -> Callable[[Any], Any]:
    """Return what makes of a store's hit the version's: with its own id, or `None`."""

    def shown(hit: Any) -> Any:
        document, *score = hit if isinstance(hit, tuple) else (hit,)
        name = view.name_of(document.id)
        if name is None:
            return None
        metadata = dict(document.metadata)
        own = document.model_copy(update={"id": name, "metadata": metadata})
        return (own, *score) if score else own

    return shown
