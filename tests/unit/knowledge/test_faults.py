"""Stores that fail, hang or lie: the old version stays, or the region lags."""

from __future__ import annotations

import asyncio

import pytest

from langchain_llmops.errors import ConfigurationError, StorageError
from langchain_llmops.knowledge import SyncFailedError, SyncLimits

OLD = {"a": "1", "b": "2", "c": "3", "d": "4"}
NEW = {"a": "x", "b": "y", "c": "z", "d": "w"}
QUICK = SyncLimits(batch_size=3, timeout_s=0.2, wait_s=0.1)


@pytest.fixture(params=["sync", "async"])
def apply(request):
    """Plan and apply, from a thread or from an event loop."""

    def from_thread(kb, source, **options):
        return kb.apply(kb.plan(source), **options)

    def from_loop(kb, source, **options):
        async def both():
            return await kb.aapply(await kb.aplan(source), **options)

        return asyncio.run(both())

    return from_thread if request.param == "sync" else from_loop


@pytest.mark.parametrize("fault", [OSError("down"), "lose", "alter", "hang"])
@pytest.mark.parametrize("write", [1, 2])
def test_abort_leaves_every_region_as_it_was(
    build, store, faulty, documents, texts, fault, write
):
    kb = build({"eu": store, "us": faulty}, limits=QUICK)
    kb.apply(kb.plan(documents(**OLD)))
    faulty.faults = {faulty.writes + write: fault}
    with pytest.raises(SyncFailedError, match=r"region 'us' failed at (write|verify)"):
        kb.apply(kb.plan(documents(**NEW)))
    assert texts(kb.reader("eu")) == texts(kb.reader("us")) == OLD
    assert len(store) == 4  # what was staged is cleared away
    assert kb.status().versions[-1].state == "failed"
    faulty.hang.set()
    assert kb.apply(kb.plan(documents(**NEW))).lagging == {}
    assert texts(kb.reader("eu")) == texts(kb.reader("us")) == NEW


def test_a_region_that_lags_is_shown_and_catches_up(
    build, store, faulty, documents, texts, apply
):
    kb = build({"eu": store, "us": faulty}, unavailable="lag")
    apply(kb, documents(**OLD))
    faulty.down = OSError("no route")
    report = apply(kb, documents(**NEW))
    assert "no route" in report.lagging["us"]
    assert texts(kb.reader("eu")) == NEW
    us = kb.status().regions["us"]
    assert (us.version, us.lags, us.owed) == (1, True, 4)
    apply(kb, documents(**{**NEW, "e": "5", "a": "xx"}))
    assert kb.status().regions["us"].owed == 6
    faulty.down = None
    assert texts(kb.reader("us")) == OLD
    assert kb.recover() == {}
    assert texts(kb.reader("us")) == texts(kb.reader("eu"))
    assert not kb.status().regions["us"].lags
    assert all(found.ok for found in kb.verify().values())


def test_what_was_collected_meanwhile_is_not_given_to_a_region_that_lags(
    build, store, faulty, documents, texts
):
    kb = build({"eu": store, "us": faulty}, unavailable="lag")
    kb.apply(kb.plan(documents(**OLD)))
    faulty.down = OSError("no route")
    for turn in "xyz":
        kb.apply(kb.plan(documents(**{**OLD, "a": turn})))
    kb.gc(keep=1)
    faulty.down = None
    kb.recover()
    kb.gc(keep=1)
    assert texts(kb.reader("us")) == texts(kb.reader("eu")) == {**OLD, "a": "z"}


def test_lag_gives_up_when_every_region_fails(build, faulty, documents, apply):
    kb = build({"us": faulty}, unavailable="lag")
    faulty.down = OSError("no route")
    with pytest.raises(SyncFailedError, match="no route"):
        apply(kb, documents(**OLD))
    assert kb.status().version == 0


def test_a_region_that_still_lags_stops_a_base_that_aborts(
    build, store, faulty, documents
):
    lag = build({"eu": store, "us": faulty}, unavailable="lag")
    lag.apply(lag.plan(documents(**OLD)))
    faulty.down = OSError("no route")
    lag.apply(lag.plan(documents(**NEW)))
    kb = build({"eu": store, "us": faulty})
    with pytest.raises(SyncFailedError, match="no route"):
        kb.recover()


def test_a_lost_deletion_stays_hidden_and_is_tried_again(
    build, faulty, documents, texts
):
    kb = build({"us": faulty})
    kb.apply(kb.plan(documents(**OLD)))
    kb.apply(kb.plan(documents(**NEW)))
    faulty.keeps_deleted = True
    assert kb.gc(keep=1).left == 4
    assert texts(kb.reader("us")) == NEW
    faulty.keeps_deleted = False
    assert kb.gc(keep=1).documents == 4
    assert len(faulty.store) == 4
    assert texts(kb.reader("us")) == NEW


def test_a_wiped_store_is_told_and_repaired(build, store, documents, texts):
    kb = build({"eu": store})
    kb.apply(kb.plan(documents(**OLD)))
    store.delete(["b@1", "c@1"])
    found = kb.verify("eu")["eu"]
    assert found.missing == ("b", "c")
    assert not found.ok
    assert "2 missing" in str(found)
    assert kb.plan(documents(**OLD)).changed == 0
    kb.apply(kb.plan(documents(**OLD), rewrite=found.damaged))
    assert kb.verify()["eu"].ok
    assert texts(kb.reader("eu")) == OLD


def test_what_is_stored_and_not_indexed_is_told(build, store, documents, monkeypatch):
    kb = build({"eu": store})
    kb.apply(kb.plan(documents(**OLD)))
    search = store.similarity_search_by_vector

    def forgetful(*args, **kwargs):
        return [hit for hit in search(*args, **kwargs) if hit.id != "a@1"]

    monkeypatch.setattr(store, "similarity_search_by_vector", forgetful)
    assert kb.verify()["eu"].unfound == ("a",)


def test_a_store_that_cannot_be_asked_is_an_error(build, faulty, documents):
    kb = build({"us": faulty})
    kb.apply(kb.plan(documents(**OLD)))
    faulty.down = OSError("no route")
    with pytest.raises(SyncFailedError, match="no route"):
        kb.verify()


async def test_a_cancelled_synchronisation_leaves_the_old_version(
    build, store, documents, monkeypatch
):
    kb = build({"eu": store})
    await kb.aapply(await kb.aplan(documents(**OLD)))
    started = asyncio.Event()

    async def never(*_, **__):
        started.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(store, "aadd_embeddings", never)
        kb = build({"eu": store})
        task = asyncio.create_task(kb.aapply(await kb.aplan(documents(**NEW))))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    status = await kb.astatus()
    assert (status.version, status.versions[-1].state) == (1, "staging")
    kb = build({"eu": store})
    assert (await kb.aapply(await kb.aplan(documents(**NEW)))).version == 3
    assert (await kb.astatus()).versions[1].state == "failed"


def test_a_corrupt_manifest_is_told_in_one_sentence(build, store, tmp_path):
    (tmp_path / "bad.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageError, match=r"bad\.db' is not a usable SQLite"):
        build({"eu": store}, manifest=f"sqlite:///{tmp_path}/bad.db").status()


def test_a_manifest_whose_rows_do_not_fit_is_refused(build, store, documents):
    kb = build({"eu": store})
    kb.apply(kb.plan(documents(**OLD)))
    with kb._manifest.begin() as connection:
        connection.exec_driver_sql("DELETE FROM llmops_kb_versions")
    with pytest.raises(StorageError, match="is damaged"):
        kb.status()


def test_a_manifest_of_another_release_is_refused(build, store):
    kb = build({"eu": store})
    kb.status()
    with kb._manifest.begin() as connection:
        connection.exec_driver_sql("UPDATE llmops_kb_bases SET schema = 99")
    with pytest.raises(StorageError, match="format 99"):
        build({"eu": store}).status()


def test_regions_are_neither_added_nor_forgotten(build, store, faulty, documents):
    kb = build({"eu": store})
    kb.apply(kb.plan(documents(**OLD)))
    with pytest.raises(ConfigurationError, match=r"regions \['us'\] are new"):
        build({"eu": store, "us": faulty}).status()
    both = {"eu": store, "us": faulty}
    two = build(both, name="two")
    two.apply(two.plan(documents(**OLD)))
    one = build({"eu": store}, name="two")
    with pytest.raises(ConfigurationError, match=r"without a store here: \['us'\]"):
        one.apply(one.plan(documents(**NEW)))
