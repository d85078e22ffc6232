"""What LangChain's `index()` put into a store becomes the first version."""

from __future__ import annotations

import pytest
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_llmops.knowledge import arecorded_documents, recorded_documents


@pytest.fixture
def records(cached):
    store = InMemoryVectorStore(cached)
    manager = InMemoryRecordManager("docs")
    manager.create_schema()
    pages = [Document(f"page {n}", metadata={"n": n}) for n in range(5)]
    index(pages, manager, store, key_encoder="sha256")
    return manager, store


def test_records_become_a_version_without_embedding_again(build, records, model, texts):
    manager, store = records
    embedded = len(model.texts)
    kb = build({"eu": store})
    kb.apply(kb.plan(recorded_documents(manager, store, batch_size=2)))
    store.delete(manager.list_keys())
    shown = texts(kb.reader("eu"))
    assert sorted(shown.values()) == [f"page {n}" for n in range(5)]
    assert set(shown) == set(manager.list_keys())
    assert not [text for text in model.texts[embedded:] if text.startswith("page")]


async def test_records_of_documents_that_are_gone_are_left_out(records):
    manager, store = records
    store.delete(manager.list_keys()[:2])
    found = [one async for one in arecorded_documents(manager, store, batch_size=2)]
    assert len(found) == 3
