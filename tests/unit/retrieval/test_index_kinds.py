"""Every kind of index behind a store: found, filtered, deleted, saved, and exact."""

from __future__ import annotations

import threading
from typing import get_args

import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.retrieval import FaissStore, IndexKind, IndexSpec

KINDS = get_args(IndexKind)
COUNT, WIDTH = 900, 24
ROUNDED = {"sq8": 6e-3, "bits": 1e-3}  # 384 dimensions average out better than 24


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(7)
    # Clusters, as the embeddings of texts have; and of any length.
    middles = rng.standard_normal((30, WIDTH))
    rows = middles[rng.integers(30, size=COUNT)] + rng.normal(0, 0.3, (COUNT, WIDTH))
    return rows * rng.uniform(0.1, 20, (COUNT, 1))


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def store(kind, vectors, embeddings):
    return filled(kind, vectors, embeddings)


def filled(kind, vectors, embeddings, **settings):
    spec = IndexSpec(kind=kind, build_at=100, ef_construction=40, **settings)
    store = FaissStore(embeddings, index=spec)
    for start in range(0, COUNT, 300):
        store.add_embeddings(
            [
                Document(f"text {n}", id=str(n), metadata={"n": n, "rare": n % 90 == 0})
                for n in range(start, start + 300)
            ],
            vectors[start : start + 300],
        )
    return store


def cosines(vectors, query):
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    return vectors @ query / lengths


def search(store, query, k=10, **kwargs):
    return store.similarity_search_with_score_by_vector(list(query), k, **kwargs)


def test_each_kind_finds_the_nearest_with_their_cosine(store, kind, vectors):
    hits = 0
    for n in range(0, COUNT, 45):
        query = vectors[n] + 0.3
        truth = cosines(vectors, query)
        found = search(store, query)
        assert len(found) == 10
        for document, score in found:
            wanted = truth[document.metadata["n"]]
            assert score == pytest.approx(wanted, abs=ROUNDED.get(kind, 1e-5))
        hits += len(
            {d.metadata["n"] for d, _ in found} & set(np.argsort(-truth)[:10].tolist())
        )
        scores = [score for _, score in found]
        assert scores == sorted(scores, reverse=True)
    assert hits >= 0.9 * 200


def test_a_filter_gets_its_k_whatever_the_index(store, vectors):
    found = search(store, vectors[1], filter={"rare": True})
    assert len(found) == 10
    assert all(document.metadata["rare"] for document, _ in found)
    half = search(store, vectors[1], 400, filter=lambda d: d.metadata["n"] < 450)
    assert len(half) == 400
    assert all(document.metadata["n"] < 450 for document, _ in half)


def test_as_many_come_back_as_are_asked_for(store, vectors):
    assert len(search(store, vectors[0], COUNT + 5)) == COUNT


def test_a_deleted_document_is_never_found_again(store, vectors):
    nearest = search(store, vectors[5], 1)[0][0].id
    store.delete([nearest])
    assert nearest not in {d.id for d, _ in search(store, vectors[5], 50)}
    assert store.get_by_ids([nearest]) == []
    assert store.vectors([nearest]) == {}
    assert len(store) == COUNT - 1


def test_rows_that_move_keep_their_documents(store, kind, vectors):
    # More than a quarter goes, so that the rows are numbered anew.
    gone = [str(n) for n in range(COUNT) if n % 3]
    store.delete(gone)
    left = [n for n in range(COUNT) if not n % 3]
    assert {d.id for d, _ in search(store, vectors[0], COUNT)} == set(map(str, left))
    for n in left[::25]:
        document, score = search(store, vectors[n], 1)[0]
        assert document.page_content == f"text {document.id}"
        truth = cosines(vectors[[int(document.id)]], vectors[n])[0]
        assert score == pytest.approx(truth, abs=ROUNDED.get(kind, 1e-5))


def test_a_replaced_document_is_found_under_its_new_vector(store, vectors):
    store.add_embeddings([Document("moved", id="1")], [vectors[2]])
    assert {d.id for d, _ in search(store, vectors[2], 2)} == {"1", "2"}
    assert len(store) == COUNT


def test_a_saved_store_comes_back_with_its_index(
    store, kind, vectors, embeddings, tmp_path
):
    store.delete([str(n) for n in range(20)])
    before = search(store, vectors[40])
    store.save(tmp_path)
    loaded = FaissStore.load(tmp_path, embeddings)
    assert search(loaded, vectors[40]) == [
        (document, pytest.approx(score, abs=ROUNDED.get(kind, 1e-6)))
        for document, score in before
    ]
    # It goes on as the same kind: it takes, replaces and forgets.
    loaded.add_embeddings([Document("late", id="late")], [vectors[3]])
    assert search(loaded, vectors[3], 1)[0][0].id == "late"
    loaded.delete(["late"])
    assert search(loaded, vectors[3], 1)[0][0].id != "late"
    loaded.save(tmp_path)
    assert len(FaissStore.load(tmp_path, embeddings)) == COUNT - 20


def test_vectors_come_back_with_length_one(store, kind, vectors):
    stored = store.vectors(["3", "unknown", "1"])
    assert list(stored) == ["3", "1"]
    for name, vector in stored.items():
        unit = vectors[int(name)] / np.linalg.norm(vectors[int(name)])
        assert vector == pytest.approx(unit, abs=6e-3 if kind == "sq8" else 1e-3)


def test_diversity_works_on_every_index(store, vectors):
    found = store.max_marginal_relevance_search_by_vector(list(vectors[0]), 5)
    assert len({document.id for document in found}) == 5


def test_known_vectors_are_not_embedded(embeddings):
    store = FaissStore(embeddings)
    names = store.add_embeddings(
        [Document("a"), Document("b"), Document("c")],
        [[1, 0], [0, 1], [3, 4]],
        ids=["x", "y", "x"],
    )
    assert names == ["x", "y", "x"]
    assert embeddings.embedded == []
    assert store.vectors(["x"])["x"] == pytest.approx([0.6, 0.8])


async def test_known_vectors_are_added_asynchronously(embeddings):
    store = FaissStore(embeddings)
    assert await store.aadd_embeddings([Document("a", id="a")], [[1, 0]]) == ["a"]
    assert await store.aadd_embeddings([], []) == []
    found = await store.asimilarity_search_with_score_by_vector([2, 0])
    assert [(d.id, score) for d, score in found] == [("a", 1.0)]


async def test_an_index_is_never_learnt_on_the_event_loop(embeddings):
    threads = set()

    class Spy(IndexSpec):
        def build(self, vectors):
            threads.add(threading.get_ident())
            return IndexSpec.build(self, vectors)

    store = FaissStore(embeddings, index=Spy(kind="hnsw", build_at=2))
    names = [str(n) for n in range(600)]
    await store.aadd_texts([f"{name} 1" for name in names], ids=names)
    await store.adelete([str(n) for n in range(300)])
    assert len(threads) >= 1
    assert threading.get_ident() not in threads
    assert len(store) == 300


def test_vectors_must_be_as_many_as_documents(embeddings):
    with pytest.raises(ConfigurationError, match="1 vectors for 2 documents"):
        FaissStore(embeddings).add_embeddings([Document("a"), Document("b")], [[1.0]])


def test_the_generation_changes_with_the_contents_and_only_then(embeddings, tmp_path):
    store = FaissStore(embeddings)
    seen = [store.generation]
    store.add_texts(["1 0", "0 1"], ids=["a", "b"])
    seen.append(store.generation)
    store.delete(["a"])
    seen.append(store.generation)
    store.add_texts(["0 2"], ids=["b"])
    seen.append(store.generation)
    assert len(set(seen)) == 4
    store.delete(["unknown"])
    store.add_texts([])
    store.similarity_search("1 0")
    store.save(tmp_path)
    assert store.generation == seen[-1]


def test_a_small_store_is_exact_whatever_its_kind(embeddings):
    store = FaissStore(embeddings, index="sq8")
    store.add_texts(["1 0", "3 4"])
    found = store.similarity_search_with_score("1 0")
    assert [score for _, score in found] == pytest.approx([1.0, 0.6], abs=1e-7)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kind": "annoy"}, "'annoy' is unknown: use one of flat, hnsw"),
        ({"m": 0}, "m=0: use 1 or more"),
        ({"lists": -1}, "lists=-1"),
    ],
)
def test_settings_that_make_no_index_are_refused(settings, says):
    with pytest.raises(ConfigurationError, match=says):
        IndexSpec(**settings)


def test_lists_follow_the_number_of_vectors():
    assert IndexSpec(kind="ivf").lists_for(1_000_000) == 4000
    assert IndexSpec(kind="ivf").lists_for(100) == 2  # k-means needs 39 for a list
    assert IndexSpec(kind="ivf").lists_for(1) == 1
    assert IndexSpec(kind="ivf", lists=7).lists_for(100_000) == 7


def test_lists_are_learnt_anew_as_the_store_grows(vectors, embeddings):
    store = filled("ivf", vectors, embeddings)
    assert store._index._rows._learnt_from == 300
    store.add_embeddings(
        [Document("x", id=f"more {n}") for n in range(COUNT)], vectors + 1
    )
    assert store._index._rows._learnt_from == 2 * COUNT
