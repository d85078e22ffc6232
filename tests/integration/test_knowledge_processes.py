"""A manifest on a real PostgreSQL, and two processes that want to synchronise."""

from __future__ import annotations

import subprocess
import sys

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding

from langchain_llmops import CachedEmbeddings, FaissStore, KnowledgeBaseSync
from langchain_llmops.knowledge import (
    KnowledgeBaseBusyError,
    StaleVersionError,
    SyncLimits,
)

HOLDER = """
import sys
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_llmops import FaissStore
from langchain_llmops.knowledge.manifest import Manifest
from langchain_llmops.knowledge.manifest_lock import ManifestLock

lock = ManifestLock(Manifest(sys.argv[1], "default", ["eu"]), 5)
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture(params=["sqlite", "postgres"])
def manifest(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/kb.db"
    return request.getfixturevalue("postgres")


def build(manifest, wait_s=0.2):
    model = CachedEmbeddings(DeterministicFakeEmbedding(size=8), namespace="fake")
    return KnowledgeBaseSync(
        {"eu": FaissStore(model)},
        manifest=manifest,
        embeddings=model,
        limits=SyncLimits(batch_size=3, wait_s=wait_s),
    )


def documents(tag):
    return [Document(f"page {n} {tag}", id=f"{n}") for n in range(7)]


def test_while_another_process_synchronises_one_fails_clearly(manifest):
    kb = build(manifest)
    changes = kb.plan(documents("old"))
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, manifest],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(KnowledgeBaseBusyError, match="under way"):
            kb.apply(changes)
        holder.kill()
        holder.wait()
    # The lock went with its process: nothing to wait for, nothing to clear.
    assert kb.apply(changes).version == 1
    kb.close()


def test_versions_switch_roll_back_and_are_collected(manifest):
    kb = build(manifest)
    kb.apply(kb.plan(documents("old")))
    late = kb.plan(documents("late"))
    kb.apply(kb.plan(documents("new")))
    with pytest.raises(StaleVersionError):
        kb.apply(late)
    follower = kb.reader("eu", follow=True)
    for version, tag in ((1, "old"), (2, "new")):
        kb.rollback(version)
        found = follower.similarity_search("page", k=20)
        assert len(found) == 7
        assert all(document.page_content.endswith(tag) for document in found)
        assert follower.generation == f"default@{version}"
    assert kb.gc(keep=1).documents == 7
    assert kb.verify()["eu"].ok
    kb.close()


async def test_the_asynchronous_side_does_the_same(manifest):
    kb = build(manifest)
    for tag in ("old", "new"):
        await kb.aapply(await kb.aplan(documents(tag)))
    reader = await kb.areader("eu")
    await kb.arollback(1)
    found = await reader.asimilarity_search("page", k=20)
    assert {document.page_content.split()[-1] for document in found} == {"new"}
    assert (await kb.averify())["eu"].ok
    assert (await kb.agc()).documents == 0
    assert await kb.arecover() == {}
    kb.close()
