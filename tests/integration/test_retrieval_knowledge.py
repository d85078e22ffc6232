"""A retriever over a knowledge base: nothing old once a version is switched."""

from __future__ import annotations

import threading

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_llmops.knowledge import KnowledgeBaseSync
from langchain_llmops.retrieval import FaissStore, ThresholdRetriever
from langchain_llmops.types import GenerationSource

NAMES = [f"document {number}" for number in range(5)]


def version(number):
    return [
        Document(f"{name}, version {number}", id=name, metadata={"version": number})
        for name in NAMES
    ]


@pytest.fixture(params=[FaissStore, InMemoryVectorStore])
def knowledge(request, tmp_path):
    model = DeterministicFakeEmbedding(size=32)
    sync = KnowledgeBaseSync(
        stores={"eu": request.param(model)},
        manifest=f"sqlite:///{tmp_path}/kb.db",
        embeddings=model,
    )
    sync.apply(sync.plan(version(1)))
    return sync


def test_a_switch_leaves_no_stale_hit(knowledge):
    reader = knowledge.reader("eu", follow=True)
    assert isinstance(reader, GenerationSource)
    retriever = ThresholdRetriever(reader, threshold=-1.0, k=5)
    for number in (1, 2, 3):
        if number > 1:
            knowledge.apply(knowledge.plan(version(number)))
        for _ in range(2):
            found = retriever.invoke("any")
            assert [d.metadata["version"] for d in found] == [number] * 5
            assert {d.metadata["store_version"] for d in found} == {reader.generation}
    assert retriever.cache.stats().hits == 3


def test_a_rollback_brings_back_what_was_found_then(knowledge):
    retriever = ThresholdRetriever(knowledge.reader("eu", follow=True), threshold=-1.0)
    before = retriever.invoke("any")
    knowledge.apply(knowledge.plan(version(2)))
    assert retriever.invoke("any") != before
    knowledge.rollback(1)
    assert {d.metadata["version"] for d in retriever.invoke("any")} == {1}


def test_a_pinned_reader_stays_on_its_version(knowledge):
    retriever = ThresholdRetriever(knowledge.reader("eu"), threshold=-1.0, cache=False)
    knowledge.apply(knowledge.plan(version(2)))
    assert {d.metadata["version"] for d in retriever.invoke("any")} == {1}


def test_a_threshold_is_a_cosine_through_a_reader(knowledge):
    retriever = ThresholdRetriever(knowledge.reader("eu"), threshold=0.99)
    (found,) = retriever.invoke("document 3, version 1")
    assert (found.id, round(found.metadata["score"], 4)) == ("document 3", 1.0)


def test_readers_at_the_time_of_a_switch_see_one_version(knowledge):
    retriever = ThresholdRetriever(
        knowledge.reader("eu", follow=True), threshold=-1.0, k=5
    )
    seen, done = [], threading.Event()

    def read():
        while not done.is_set():
            found = retriever.invoke("any")
            seen.append(
                (
                    {d.metadata["version"] for d in found},
                    {d.metadata["store_version"] for d in found},
                )
            )

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(2, 6):
        knowledge.apply(knowledge.plan(version(number)))
    done.set()
    for thread in threads:
        thread.join()
    assert seen
    assert all(len(versions) == 1 for versions, _ in seen)
    assert {d.metadata["version"] for d in retriever.invoke("any")} == {5}
