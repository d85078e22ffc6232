"""Readers see one version: all old or all new, whatever happens to the store."""

from __future__ import annotations

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_llmops import ThresholdRetriever
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.knowledge import StaleVersionError
from langchain_llmops.knowledge.view import View, lineage, shadow_id
from langchain_llmops.types import GenerationSource


@pytest.fixture
def kb(build, store, faulty, documents):
    kb = build({"eu": store, "us": faulty})
    kb.apply(kb.plan(documents(a="a 1", b="b 1", c="c 1")))
    kb.apply(kb.plan(documents(a="a 2", b="b 2", c="c 1")))
    return kb


@pytest.mark.parametrize("region", ["eu", "us"])
def test_every_search_shows_one_version(kb, region, model):
    for version, tag in ((1, "1"), (2, "2")):
        reader = kb.reader(region, version=version)
        vector = model.embed_query(f"a {tag}")
        for found in (
            reader.similarity_search(f"a {tag}", k=2),
            reader.similarity_search_by_vector(vector, k=2),
            reader.max_marginal_relevance_search(f"a {tag}", k=2),
            [hit for hit, _ in reader.similarity_search_with_score(f"a {tag}", k=2)],
            [
                hit
                for hit, _ in reader.similarity_search_with_score_by_vector(vector, k=2)
            ],
        ):
            assert len(found) == 2
            assert (found[0].id, found[0].page_content) == ("a", f"a {tag}")
        assert reader.get_by_ids(["b", "nobody"])[0].page_content == f"b {tag}"


@pytest.mark.parametrize("region", ["eu", "us"])
async def test_every_search_has_its_twin(kb, region, model):
    reader = await kb.areader(region, version=1)
    vector = model.embed_query("a 1")
    for found in (
        await reader.asimilarity_search("a 1", k=2),
        await reader.asimilarity_search_by_vector(vector, k=2),
        await reader.amax_marginal_relevance_search("a 1", k=2),
        [hit for hit, _ in await reader.asimilarity_search_with_score("a 1", k=2)],
        [
            hit
            for hit, _ in await reader.asimilarity_search_with_score_by_vector(vector)
        ],
    ):
        assert (found[0].id, found[0].page_content) == ("a", "a 1")
    assert (await reader.aget_by_ids(["b"]))[0].page_content == "b 1"


def test_relevance_scores_and_filters_are_the_stores_own(kb):
    reader = kb.reader("eu")
    ((document, score),) = reader.similarity_search_with_relevance_scores("a 2", k=1)
    assert document.id == "a"
    assert score == pytest.approx(1, abs=1e-5)
    (other,) = reader.similarity_search("a 2", filter=lambda d: d.page_content == "c 1")
    assert other.id == "c"
    with pytest.raises(ConfigurationError, match="k must be at least 1"):
        reader.similarity_search("a", k=0)


def test_what_is_handed_out_may_be_changed(kb):
    reader = kb.reader("us")
    reader.similarity_search("a")[0].metadata["mine"] = 1
    assert reader.similarity_search("a")[0].metadata == {}


def test_a_reader_cannot_be_written(kb):
    reader = kb.reader("eu")
    for write in (
        lambda: reader.add_texts(["x"]),
        lambda: reader.add_documents([Document("x")]),
        lambda: reader.delete(["a"]),
        lambda: type(reader).from_texts(["x"], None),
    ):
        with pytest.raises(ConfigurationError, match="cannot be written"):
            write()
    with pytest.raises(AttributeError):
        _ = reader.no_such_thing


async def test_a_reader_cannot_be_written_on_a_loop(kb):
    reader = await kb.areader("eu")
    for write in (
        reader.aadd_texts(["x"]),
        reader.aadd_documents([Document("x")]),
        reader.adelete(["a"]),
    ):
        with pytest.raises(ConfigurationError, match="cannot be written"):
            await write


def test_foreign_documents_are_not_shown(kb, store, texts):
    store.add_documents([Document("x", id="x"), Document("y", id="y@9")])
    assert set(texts(kb.reader("eu"))) == {"a", "b", "c"}


def test_a_pinned_reader_stays_and_a_following_one_goes_along(kb, documents, texts):
    pinned, following = kb.reader("eu"), kb.reader("eu", follow=True)
    assert isinstance(following, GenerationSource)
    kb.apply(kb.plan(documents(a="a 3", b="b 3", c="c 1")))
    assert (pinned.generation, following.generation) == ("default@2", "default@3")
    assert texts(pinned)["a"] == "a 2"
    assert texts(following)["a"] == "a 3"
    kb.rollback(1)
    assert following.generation == "default@1"
    assert texts(following)["a"] == "a 1"


def test_a_switch_by_another_process_is_noticed(
    build, store, faulty, documents, kb, texts
):
    follower = build({"eu": store, "us": faulty}, refresh_s=0).reader("eu", follow=True)
    kb.rollback(1)
    assert follower.generation == "default@1"
    assert texts(follower)["a"] == "a 1"


async def test_the_generation_never_blocks_a_loop(build, store, faulty, kb):
    other = build({"eu": store, "us": faulty}, refresh_s=0)
    reader = await other.areader("eu", follow=True)
    assert reader.generation == "default@2"
    await kb.arollback(1)
    while reader.generation != "default@1":
        await reader.asimilarity_search("a")


def test_versions_that_cannot_be_read_are_refused(kb):
    with pytest.raises(StaleVersionError, match=r"version 7 .*does not exist"):
        kb.reader("eu", version=7)
    with pytest.raises(StaleVersionError, match=r"roll back to one of \[1, 2\]"):
        kb.rollback(7)
    with pytest.raises(ConfigurationError, match="no region 'mars'"):
        kb.reader("mars")
    with pytest.raises(ConfigurationError, match="contradict"):
        kb.reader("eu", version=1, follow=True)


def test_a_reader_of_a_collected_version_says_so(kb, store, documents, texts):
    old, following = kb.reader("eu", version=1), kb.reader("eu", follow=True)
    collected = kb.gc(keep=1)
    assert (collected.versions, collected.documents) == ((1,), 2)
    assert len(store) == 3
    with pytest.raises(StaleVersionError, match="collected by gc"):
        old.similarity_search("a")
    assert texts(following)["a"] == "a 2"
    assert kb.verify()["eu"].ok
    with pytest.raises(ConfigurationError, match="keep=0"):
        kb.gc(keep=0)


def test_a_version_made_after_a_rollback_does_not_show_what_was_left(
    kb, documents, texts
):
    kb.rollback(1)
    kb.apply(kb.plan(documents(a="a 1", b="b 3", c="c 1")))
    assert texts(kb.reader("eu")) == {"a": "a 1", "b": "b 3", "c": "c 1"}
    assert texts(kb.reader("eu", version=2))["b"] == "b 2"
    kb.gc(keep=1)
    assert texts(kb.reader("us")) == {"a": "a 1", "b": "b 3", "c": "c 1"}
    assert kb.verify()["us"].ok


def test_a_cached_retriever_never_answers_from_an_old_version(kb, documents):
    reader = kb.reader("eu", follow=True)
    retriever = ThresholdRetriever(vectorstore=reader, threshold=-1, k=3)
    for turn in "345":
        kb.apply(kb.plan(documents(a=f"a {turn}", b=f"b {turn}", c="c 1")))
        for _ in range(2):
            found = {d.id: d.page_content for d in retriever.invoke("a")}
            assert found == {"a": f"a {turn}", "b": f"b {turn}", "c": "c 1"}


def test_concurrent_readers_of_two_regions_see_no_mixture(
    build, store, faulty, documents, texts
):
    kb = build({"eu": store, "us": faulty})
    names = [f"d{n}" for n in range(12)]
    kb.apply(kb.plan(documents(**{name: f"{name} 0" for name in names})))
    readers = [kb.reader(region, follow=True) for region in ("eu", "us")]
    done, mixed, seen = threading.Event(), [], set()

    def read(reader):
        while not done.is_set():
            found = texts(reader, 50)
            versions = {text.split()[1] for text in found.values()}
            seen.update(versions)
            if len(found) != len(names) or len(versions) != 1:
                mixed.append(found)

    threads = [threading.Thread(target=read, args=(r,)) for r in readers for _ in "ab"]
    for thread in threads:
        thread.start()
    for turn in range(1, 4):
        kb.apply(kb.plan(documents(**{name: f"{name} {turn}" for name in names})))
        kb.gc(keep=1)
    done.set()
    for thread in threads:
        thread.join()
    assert mixed == []
    assert len(seen) > 1


@given(parents=st.lists(st.integers(0, 30), max_size=20), data=st.data())
def test_a_version_shows_what_its_ancestors_added_and_none_removed(parents, data):
    tree = {n: min(parent, n - 1) for n, parent in enumerate(parents, start=1)}
    version = data.draw(st.sampled_from([0, *tree]))
    found = lineage(tree, version)
    assert found <= set(range(1, version + 1))
    assert all(tree[one] in {0, *found} for one in found)
    name, added = data.draw(st.text()), data.draw(st.sampled_from([1, *tree]))
    stored = shadow_id(name, added)
    view = View(version=version, lineage=found, removed=frozenset())
    shown = name if name and added in found else None
    assert view.name_of(stored) == shown
    gone = View(version=version, lineage=found, removed=frozenset([stored]))
    assert gone.name_of(stored) is None
