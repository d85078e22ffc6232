"""A version is staged, checked and switched to; what is unchanged is left alone."""

from __future__ import annotations

import asyncio

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_llmops import FaissStore
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.knowledge import (
    KnowledgeBaseBusyError,
    StaleVersionError,
    SyncLimits,
    SyncRefusedError,
)
from langchain_llmops.knowledge.manifest_lock import ManifestLock


def test_readers_see_the_new_version_everywhere(build, store, faulty, documents, texts):
    kb = build({"eu": store, "us": faulty})
    kb.apply(kb.plan(documents(a="1", b="2", c="3", d="4")))
    report = kb.apply(kb.plan(documents(a="1", b="x", c="3", d="4", e="5")))
    assert (report.version, report.previous, report.written) == (2, 1, 2)
    wanted = {"a": "1", "b": "x", "c": "3", "d": "4", "e": "5"}
    assert texts(kb.reader("eu")) == texts(kb.reader("us")) == wanted


def test_unchanged_content_is_neither_embedded_nor_written(
    build, store, faulty, model, documents
):
    kb = build({"eu": store, "us": faulty})
    kb.apply(kb.plan(documents(a="1", b="2")))
    model.texts.clear()
    writes = faulty.writes
    report = kb.apply(kb.plan(documents(b="2", a="1")))
    assert (report.version, report.previous, report.written) == (1, 1, 0)
    assert model.texts == []
    assert faulty.writes == writes
    kb.apply(kb.plan(documents(a="1", b="2", c="3")))
    assert model.texts == ["3"]


def test_other_metadata_are_written_and_not_embedded(build, store, faulty, model):
    kb = build({"eu": store, "us": faulty})
    kb.apply(kb.plan([Document("a", id="a", metadata={"v": 1})]))
    model.texts.clear()
    kb.apply(kb.plan([Document("a", id="a", metadata={"v": 2})]))
    for region in ("eu", "us"):
        (found,) = kb.reader(region).similarity_search("a")
        assert found.metadata == {"v": 2}
    assert model.texts == []


def test_two_regions_embed_a_text_once(build, store, cached, model, documents):
    kb = build({"eu": store, "us": InMemoryVectorStore(cached)})
    kb.apply(kb.plan(documents(a="1")))
    assert model.texts.count("1") == 1


def test_a_plain_model_is_cached_beside_the_manifest(
    build, new_model, documents, tmp_path
):
    one, other = new_model(), new_model()
    for model in (one, other):  # a new process has a new object of the same model
        store = FaissStore(model)
        kb = build({"eu": store}, embeddings=None, manifest=f"{tmp_path}/one.db")
        kb.apply(kb.plan(documents(a=f"{model is one}")))
    assert (tmp_path / "one.db.vectors").exists()


def test_documents_go_where_they_belong_and_move(build, store, faulty, texts):
    kb = build({"eu": store, "us": faulty}, regions=lambda d: d.metadata["in"].split())
    page = {"a": "eu", "b": "us", "c": "eu us"}
    kb.apply(
        kb.plan(Document(n, id=n, metadata={"in": where}) for n, where in page.items())
    )
    assert set(texts(kb.reader("eu"))) == {"a", "c"}
    assert set(texts(kb.reader("us"))) == {"b", "c"}
    assert kb.reader("us").get_by_ids(["a", "b"])[0].id == "b"
    page["a"] = "us"
    kb.apply(
        kb.plan(Document(n, id=n, metadata={"in": where}) for n, where in page.items())
    )
    assert set(texts(kb.reader("eu"))) == {"c"}
    assert set(texts(kb.reader("us"))) == {"a", "b", "c"}


def test_an_empty_source_is_refused_and_forced(build, store, documents, texts):
    kb = build({"eu": store})
    kb.apply(kb.plan(documents(a="1", b="2")))
    with pytest.raises(SyncRefusedError, match="all 2 documents would be deleted"):
        kb.apply(kb.plan([]))
    assert len(texts(kb.reader("eu"))) == 2
    kb.apply(kb.plan([]), force=True)
    assert texts(kb.reader("eu")) == {}


def test_a_big_deletion_is_refused_from_the_fraction_on(build, store):
    kb = build({"eu": store})
    pages = [Document(f"{n}", id=f"{n}") for n in range(10)]
    kb.apply(kb.plan(pages))
    with pytest.raises(SyncRefusedError, match=r"3 of 10 .*max_delete_fraction=0\.2"):
        kb.apply(kb.plan(pages[3:]))
    assert kb.apply(kb.plan(pages[2:])).deleted == 2


def test_a_plan_that_was_overtaken_is_refused(build, store, documents, texts):
    kb = build({"eu": store})
    late = kb.plan(documents(a="late"))
    kb.apply(kb.plan(documents(a="first")))
    with pytest.raises(StaleVersionError, match=r"based on version 0.*at 1"):
        kb.apply(late)
    assert texts(kb.reader("eu")) == {"a": "first"}


def test_a_second_synchronisation_fails_clearly(build, store, documents):
    kb = build({"eu": store})
    changes = kb.plan(documents(a="1"))
    lock = ManifestLock(kb._manifest, 0.1)
    lock.acquire()
    with pytest.raises(KnowledgeBaseBusyError, match="'default' is under way"):
        kb.apply(changes)
    lock.release()
    assert kb.apply(changes).version == 1


async def test_a_second_synchronisation_fails_clearly_on_a_loop(
    build, store, documents
):
    kb = build({"eu": store})
    changes = await kb.aplan(documents(a="1"))
    lock = ManifestLock(kb._manifest, 0.1)
    await asyncio.to_thread(lock.acquire)
    with pytest.raises(KnowledgeBaseBusyError):
        await kb.aapply(changes)
    await asyncio.to_thread(lock.release)
    assert (await kb.aapply(changes)).version == 1


@pytest.mark.parametrize(
    ("size", "salt", "match"),
    [(8, "", "makes 8 dimensions.*built with 16"), (16, "x", "is not the one")],
)
def test_another_model_is_refused(build, new_model, documents, size, salt, match):
    first = new_model()
    kb = build({"eu": FaissStore(first)}, embeddings=first)
    kb.apply(kb.plan(documents(a="1")))
    other = new_model(size, salt)
    kb = build({"eu": FaissStore(other)}, embeddings=other)
    with pytest.raises(ConfigurationError, match=match):
        kb.apply(kb.plan(documents(a="2")))
    assert kb.status().version == 1


def test_an_error_of_the_model_is_the_callers_own(build, store, model, documents):
    kb = build({"eu": store})
    error = RuntimeError("the provider is gone")
    kb.apply(kb.plan(documents(a="1")))

    def fail(texts):
        raise error

    model.embed_documents = fail
    with pytest.raises(RuntimeError) as raised:
        kb.apply(kb.plan(documents(a="2")))
    assert raised.value is error
    assert kb.status().version == 1


def test_progress_is_told_and_its_errors_harm_nothing(build, store, documents, caplog):
    seen = []

    def progress(event):
        seen.append((event.step, event.done, event.total))
        raise ValueError("observer")

    kb = build({"eu": store}, on_progress=progress)
    kb.apply(kb.plan(documents(a="1", b="2", c="3", d="4")))
    assert seen == [
        ("stage", 3, 4),
        ("stage", 4, 4),
        ("verify", 3, 4),
        ("verify", 4, 4),
        ("switch", 4, 4),
    ]
    assert caplog.text.count("on_progress failed") == 1


def test_a_switch_is_announced_until_it_is_heard(build, store, documents, caplog):
    heard = []

    def listen(switch):
        if switch.version == 1 and not heard:
            heard.append("deaf")
            raise ValueError("cache is down")
        heard.append(switch.generation)

    kb = build({"eu": store}, on_switch=listen)
    kb.apply(kb.plan(documents(a="1")))
    assert "on_switch failed for default@1" in caplog.text
    kb.apply(kb.plan(documents(a="1")))
    kb.apply(kb.plan(documents(a="1")))
    kb.apply(kb.plan(documents(a="2")))
    kb.rollback(1)
    assert heard == ["deaf", "default@1", "default@2", "default@1"]


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"stores": {}}, "at least one region"),
        ({"stores": {"a,b": None}}, "no commas"),
        ({"unavailable": "maybe"}, "'maybe' is unknown"),
        ({"manifest": "sqlite:///:memory:"}, "would forget"),
        ({"max_delete_fraction": 2}, "between 0 and 1"),
        ({"volatile_metadata": "at"}, "is one text"),
        ({"name": ""}, "name must not be empty"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(build, store, settings, match):
    with pytest.raises(ConfigurationError, match=match):
        build(**{"stores": {"eu": store}, **settings})


@pytest.mark.parametrize(
    ("limits", "match"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"timeout_s": 0}, "timeout_s=0"),
        ({"wait_s": -1}, "wait_s=-1"),
        ({"probes": -1}, "probes=-1"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits, match):
    with pytest.raises(ConfigurationError, match=match):
        SyncLimits(**limits)
