"""The stores that others wrote: ids, deletions and vectors in their own ways."""

from __future__ import annotations

import warnings

import faiss
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_llmops import KnowledgeBaseSync


@pytest.fixture
def community_faiss():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # archived upstream, and says so
        docstores = pytest.importorskip("langchain_community.docstore.in_memory")
        stores = pytest.importorskip("langchain_community.vectorstores")
        return stores.FAISS(
            DeterministicFakeEmbedding(size=16),
            faiss.IndexFlatL2(16),
            docstores.InMemoryDocstore(),
            {},
        )


@pytest.mark.filterwarnings("ignore")
def test_langchain_communitys_faiss_is_kept_up_to_date(community_faiss, tmp_path):
    kb = KnowledgeBaseSync({"eu": community_faiss}, manifest=f"{tmp_path}/kb.db")
    for tag in ("old", "new"):
        kb.apply(kb.plan([Document(f"{n} {tag}", id=f"{n}") for n in range(6)]))
    reader = kb.reader("eu", follow=True)
    for version, tag in ((1, "old"), (2, "new")):
        kb.rollback(version)
        found = reader.similarity_search("page", k=10)
        assert {d.page_content for d in found} == {f"{n} {tag}" for n in range(6)}
    assert kb.gc(keep=1).documents == 6
    assert kb.verify()["eu"].ok
    kb.close()
