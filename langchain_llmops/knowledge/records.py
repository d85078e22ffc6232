"""Take over what LangChain's `index()` keeps: its records say what a store holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from langchain_core.documents import Document
    from langchain_core.indexing import RecordManager
    from langchain_core.vectorstores import VectorStore

__all__ = ["arecorded_documents", "recorded_documents"]


def recorded_documents(
    record_manager: RecordManager, vectorstore: VectorStore, *, batch_size: int = 500
) -> Iterator[Document]:
    """Yield the documents that `index()` put into a store, as a source for `plan`.

    Their ids are the keys of the record manager. What a record names and the store does
    not have is left out. Nothing is changed: when the new version is checked and
    switched to, `vectorstore.delete(record_manager.list_keys())` deletes the old ones.

    Args:
        record_manager: The records.
        vectorstore: The store they are about.
        batch_size: Documents read at once.

    Example:
        ```python
        from langchain_core.documents import Document
        from langchain_core.embeddings import DeterministicFakeEmbedding
        from langchain_core.indexing import InMemoryRecordManager, index
        from langchain_core.vectorstores import InMemoryVectorStore
        from langchain_llmops import KnowledgeBaseSync
        from langchain_llmops.knowledge import recorded_documents

        store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
        records = InMemoryRecordManager("docs")
        records.create_schema()
        index([Document("Tea is steeped.")], records, store, key_encoder="sha256")

        kb = KnowledgeBaseSync({"eu": store}, manifest="sqlite:///kb.db")
        kb.apply(kb.plan(recorded_documents(records, store)))
        store.delete(records.list_keys())
        assert kb.reader("eu").similarity_search("tea")[0].page_content
        ```
    """
    keys = record_manager.list_keys()
    for start in range(0, len(keys), batch_size):
        yield from vectorstore.get_by_ids(keys[start : start + batch_size])


async def arecorded_documents(
    record_manager: RecordManager, vectorstore: VectorStore, *, batch_size: int = 500
) -> AsyncIterator[Document]:
    """Yield what `recorded_documents` yields; never blocks the event loop."""
    keys = await record_manager.alist_keys()
    for start in range(0, len(keys), batch_size):
        for document in await vectorstore.aget_by_ids(keys[start : start + batch_size]):
            yield document
