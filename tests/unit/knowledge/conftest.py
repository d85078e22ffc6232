"""What the knowledge base tests share: stores that misbehave, a model that counts."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_llmops import CachedEmbeddings, FaissStore, KnowledgeBaseSync
from langchain_llmops.knowledge import SyncLimits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class CountingEmbeddings(Embeddings):
    """Deterministic vectors; remembers the texts that were embedded."""

    def __init__(self, size: int = 16, salt: str = "") -> None:
        self.texts: list[str] = []
        self._salt = salt
        self._fake = DeterministicFakeEmbedding(size=size)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.texts += texts
        return self._fake.embed_documents([self._salt + text for text in texts])

    def embed_query(self, text: str) -> list[float]:
        return self._fake.embed_query(self._salt + text)


class FaultyStore(InMemoryVectorStore):
    """A store whose n-th write does what `faults` says: an error, or what to do.

    `writes` counts them from 1; `deleted` is set to lose acknowledged deletions.
    """

    def __init__(self, embedding: Embeddings) -> None:
        super().__init__(embedding)
        self.faults: dict[int, Any] = {}
        self.writes = 0
        self.down: Exception | None = None
        self.keeps_deleted = False
        self.hang = threading.Event()

    def add_documents(self, documents, ids=None, **kwargs):
        self.writes += 1
        fault = self.faults.get(self.writes, self.down)
        if isinstance(fault, Exception):
            raise fault
        if fault == "lose":
            return ids
        if fault == "hang":
            self.hang.wait()
        if fault == "alter":
            documents = [d.model_copy(update={"page_content": "x"}) for d in documents]
        return super().add_documents(documents, ids, **kwargs)

    async def aadd_documents(self, documents, ids=None, **kwargs):
        return self.add_documents(documents, ids, **kwargs)

    def delete(self, ids=None, **kwargs):
        if self.down:
            raise self.down
        if not self.keeps_deleted:
            super().delete(ids, **kwargs)

    def get_by_ids(self, ids, /):
        if self.down:
            raise self.down
        return super().get_by_ids(ids)


def texts_of(reader: Any, k: int = 100) -> dict[str, str]:
    """Everything that a reader shows, by id."""
    return {d.id: d.page_content for d in reader.similarity_search("all", k=k)}


@pytest.fixture
def texts() -> Callable[..., dict[str, str]]:
    return texts_of


@pytest.fixture
def documents() -> Callable[..., list[Document]]:
    """Make documents from ids and texts."""

    def make(**pages: str) -> list[Document]:
        return [Document(page, id=name) for name, page in pages.items()]

    return make


@pytest.fixture
def model() -> CountingEmbeddings:
    return CountingEmbeddings()


@pytest.fixture
def new_model() -> type[CountingEmbeddings]:
    return CountingEmbeddings


@pytest.fixture
def cached(model) -> CachedEmbeddings:
    return CachedEmbeddings(model, namespace="counting")


@pytest.fixture
def store(cached) -> FaissStore:
    return FaissStore(cached)


@pytest.fixture
def faulty(cached) -> FaultyStore:
    faulty = FaultyStore(cached)
    yield faulty
    faulty.hang.set()


@pytest.fixture
def build(tmp_path, cached) -> Iterator[Callable[..., KnowledgeBaseSync]]:
    """Make a knowledge base whose manifest is a file of this test."""
    made = []

    def make(stores: dict[str, Any], **settings: Any) -> KnowledgeBaseSync:
        settings.setdefault("manifest", f"sqlite:///{tmp_path}/kb.db")
        settings.setdefault("embeddings", cached)
        settings.setdefault("limits", SyncLimits(batch_size=3, timeout_s=5, wait_s=0.1))
        made.append(KnowledgeBaseSync(stores, **settings))
        return made[-1]

    yield make
    for kb in made:
        kb.close()
