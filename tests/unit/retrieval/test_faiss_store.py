"""FaissStore: true cosines, upserts, filters that never starve `k`, clear errors."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.indexing import InMemoryRecordManager, aindex, index

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.retrieval import FaissStore, cosine_searches


@pytest.fixture
def store(embeddings):
    return FaissStore(embeddings)


def ids(documents):
    return [document.id for document in documents]


class FixedVectors(Embeddings):
    def __init__(self, vectors):
        self.vectors = vectors

    def embed_documents(self, texts):
        return self.vectors[: len(texts)]

    def embed_query(self, text):
        return self.vectors[-1]


# Scores


@given(
    st.lists(
        st.lists(st.floats(-100, 100), min_size=3, max_size=3), min_size=2, max_size=8
    ),
    st.floats(1e-3, 1e3),
)
def test_a_score_is_the_cosine_whatever_the_scale(vectors, scale):
    scaled = [[scale * x for x in v] for v in vectors]
    store = FaissStore(FixedVectors(scaled))
    store.add_texts([str(n) for n in range(len(vectors) - 1)])
    *stored, query = (np.array(v, dtype=np.float64) for v in vectors)
    truth = {}
    for n, vector in enumerate(stored):
        lengths = np.linalg.norm(vector) * np.linalg.norm(query)
        # Below this, single precision has no direction left to compare.
        if 0 < lengths < 1e-20:
            return
        truth[str(n)] = float(vector @ query / lengths) if lengths else 0.0
    found = store.similarity_search_with_score("query", k=len(stored))
    assert {d.page_content: s for d, s in found} == pytest.approx(truth, abs=1e-4)
    assert [s for _, s in found] == sorted((s for _, s in found), reverse=True)


def test_threshold_and_relevance_score_mean_the_cosine(store):
    store.add_texts(["30 40", "0 1", "-1 0"])
    found = store.similarity_search_with_relevance_scores("1 0", k=3)
    assert [score for _, score in found] == pytest.approx([0.6, 0.0, -1.0], abs=1e-6)
    retriever = store.as_retriever(
        search_type="similarity_score_threshold",
        search_kwargs={"k": 3, "score_threshold": 0.5},
    )
    assert [d.page_content for d in retriever.invoke("1 0")] == ["30 40"]
    assert store._select_relevance_score_fn()(0.25) == 0.25


async def test_threshold_means_the_cosine_asynchronously_too(store):
    await store.aadd_texts(["30 40", "-1 0"])
    found = await store.asimilarity_search_with_relevance_scores(
        "1 0", k=3, score_threshold=-0.5
    )
    assert [score for _, score in found] == pytest.approx([0.6], abs=1e-6)


def test_an_equal_vector_never_scores_above_one():
    vectors = np.random.default_rng(0).normal(size=(200, 33)).tolist()
    store = FaissStore(FixedVectors(vectors))
    store.add_texts([str(n) for n in range(200)])
    scores = [
        score
        for vector in vectors
        for score in (f.cosine for f in store._index.search(vector, 1))
    ]
    assert max(scores) <= 1.0
    assert min(scores) > 1 - 1e-5


def test_a_zero_vector_is_similar_to_nothing(store):
    store.add_texts(["0 0"])
    assert store.similarity_search_with_score("1 0")[0][1] == 0.0


# Writing


def test_an_id_given_twice_in_one_call_keeps_its_last_text(store, embeddings):
    assert store.add_texts(["1 0 old", "1 0 new"], ids=["a", "a"]) == ["a", "a"]
    assert [d.page_content for d in store.similarity_search("1 0", k=9)] == ["1 0 new"]
    assert embeddings.embedded == ["1 0 new"]


def test_a_known_id_is_replaced_with_its_vector(store):
    store.add_texts(["1 0 old", "0 1 other"], ids=["a", "b"])
    store.add_documents([Document("-1 0 new", id="a")])
    assert ids(store.similarity_search("1 0", k=2)) == ["b", "a"]
    assert store.get_by_ids(["a"])[0].page_content == "-1 0 new"


def test_ids_argument_wins_over_the_documents_own(store):
    assert store.add_documents([Document("1 0", id="own")], ids=["given"]) == ["given"]
    assert ids(store.get_by_ids(["given", "own"])) == ["given"]


def test_documents_without_an_id_get_different_ones(store):
    first, second = store.add_texts(["1 0", "1 0"])
    assert first != second
    assert len(store.similarity_search("1 0", k=5)) == 2


def test_texts_may_come_from_a_generator(store):
    assert len(store.add_texts(text for text in ("1 0", "0 1"))) == 2
    assert len(store.similarity_search("1 0")) == 2


def test_adding_nothing_calls_no_embeddings(store, embeddings):
    assert store.add_documents([]) == []
    assert embeddings.sync_calls == 0


def test_delete_takes_some_all_and_unknown_ids(store):
    store.add_texts(["1 0", "0 1", "1 1"], ids=["a", "b", "c"])
    assert store.delete(["a", "unknown"])
    assert ids(store.similarity_search("1 0", k=5)) == ["c", "b"]
    assert store.delete()
    assert store.similarity_search("1 0", k=5) == []


def test_documents_that_went_in_or_came_out_are_copies(store):
    mine = Document("1 0", id="a", metadata={"tag": "x"})
    store.add_documents([mine])
    mine.metadata["tag"] = "changed"
    store.similarity_search("1 0")[0].metadata["tag"] = "changed"
    store.get_by_ids(["a"])[0].metadata["tag"] = "changed"
    assert store.get_by_ids(["a"])[0].metadata == {"tag": "x"}


def test_from_texts_keeps_ids_and_metadata(embeddings):
    store = FaissStore.from_texts(["1 0"], embeddings, [{"n": 1}], ids=["a"])
    assert store.get_by_ids(["a"]) == [Document("1 0", id="a", metadata={"n": 1})]
    assert store.embeddings is embeddings


# Filters and diversity


@given(st.integers(1, 60), st.integers(1, 10), st.integers(1, 12))
def test_a_filter_never_starves_k(size, every, k):
    store = FaissStore(FixedVectors([[1.0, n / 10] for n in range(size + 1)]))
    store.add_texts(
        [str(n) for n in range(size)], [{"rare": n % every == 0} for n in range(size)]
    )
    passing = len(range(0, size, every))
    found = store.similarity_search("query", k=k, filter={"rare": True})
    assert len(found) == min(k, passing)
    assert all(document.metadata["rare"] for document in found)


def test_filters_are_functions_values_or_lists_of_values(store):
    store.add_texts(
        ["1 0", "1 1", "0 1"], [{"n": 1}, {"n": 2}, {}], ids=["one", "two", "none"]
    )
    find = store.similarity_search
    assert ids(find("1 0", filter={"n": 2})) == ["two"]
    assert ids(find("1 0", filter={"n": [1, 2]})) == ["one", "two"]
    assert ids(find("1 0", filter={"n": None})) == []
    assert ids(find("1 0", filter=lambda d: d.id == "none")) == ["none"]
    assert ids(find("1 0", filter={})) == ["one", "two", "none"]


def test_a_filter_may_look_into_the_store(store):
    store.add_texts(["1 0"], ids=["a"])
    found = store.similarity_search(
        "1 0", filter=lambda d: bool(store.get_by_ids([d.id]))
    )
    assert ids(found) == ["a"]


def test_mmr_prefers_different_documents(store):
    store.add_texts(["1 0 a", "1 0.01 b", "0.7 0.7 c"], ids=["a", "b", "c"])
    found = store.max_marginal_relevance_search("1 0", k=2, lambda_mult=0.1)
    assert ids(found) == ["a", "c"]
    retriever = store.as_retriever(
        search_type="mmr",
        search_kwargs={"k": 1, "filter": lambda document: document.id == "b"},
    )
    assert ids(retriever.invoke("1 0")) == ["b"]


def test_mmr_returns_k_even_if_fewer_were_to_be_fetched(store):
    store.add_texts(["1 0", "0 1", "1 1"])
    assert len(store.max_marginal_relevance_search("1 0", k=3, fetch_k=1)) == 3


# Asynchronous twins


async def test_async_methods_await_the_async_embeddings(embeddings):
    store = await FaissStore.afrom_texts(["1 0", "0 1"], embeddings, ids=["a", "b"])
    assert ids(await store.asimilarity_search("1 0", k=1)) == ["a"]
    assert (await store.asimilarity_search_with_score("1 0", k=1))[0][1] == 1.0
    assert ids(await store.asimilarity_search_by_vector([0, 1], k=1)) == ["b"]
    assert ids(await store.amax_marginal_relevance_search("1 0", k=1)) == ["a"]
    assert ids(await store.as_retriever(search_kwargs={"k": 1}).ainvoke("0 1")) == ["b"]
    await store.adelete(["a"])
    assert ids(await store.aget_by_ids(["a", "b"])) == ["b"]
    assert embeddings.sync_calls == 0


async def test_a_big_store_leaves_the_event_loop(store, monkeypatch):
    await store.aadd_texts(["1 0", "0 1"])
    loop_thread = threading.get_ident()
    threads = []

    def spy(document):
        threads.append(threading.get_ident())
        return True

    await store.asimilarity_search("1 0", filter=spy)
    assert set(threads) == {loop_thread}
    threads.clear()
    monkeypatch.setattr(cosine_searches, "_INLINE_FLOATS", 3)
    await store.asimilarity_search("1 0", filter=spy)
    assert loop_thread not in threads


def test_threads_may_write_and_search_at_once(store):
    store.add_texts(["1 0"], ids=["stays"])

    def write(n):
        store.add_texts([f"0 1 text {n}"], ids=[f"{n % 5}"])
        store.delete([f"{(n + 1) % 5}"])

    def read(n):
        found = store.similarity_search_with_score("1 0", k=3)
        return found[0][0].id == "stays" and all(math.isfinite(s) for _, s in found)

    with ThreadPoolExecutor(4) as pool:
        writes = [pool.submit(write, n) for n in range(200)]
        assert all(pool.map(read, range(200)))
        for one in writes:
            one.result()


# Bad input


def test_a_changed_dimension_is_refused_and_changes_nothing(store):
    store.add_texts(["1 0"], ids=["a"])
    with pytest.raises(ConfigurationError, match=r"3 dimensions.*2.*build a new store"):
        store.add_texts(["1 0 0"], ids=["a"])
    with pytest.raises(ConfigurationError, match="3 dimensions"):
        store.similarity_search("1 0 0")
    assert store.get_by_ids(["a"])[0].page_content == "1 0"


def test_an_emptied_store_takes_another_dimension(store):
    store.add_texts(["1 0"])
    store.delete()
    store.add_texts(["1 0 0"])
    assert len(store.similarity_search("1 0 0")) == 1


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        ([[1.0, 2.0], [1.0]], "equally long"),
        ([[float("nan"), 1.0], [1.0, 1.0]], "NaN"),
        ([[float("inf"), 1.0], [1.0, 1.0]], "infinite"),
        ([[], []], "shape"),
        ([[1.0, 2.0]], "1 vectors for 2 texts"),
    ],
)
def test_vectors_that_cannot_be_stored_are_refused(vectors, says):
    store = FaissStore(FixedVectors(vectors))
    with pytest.raises(ConfigurationError, match=says):
        store.add_texts(["a", "b"], ids=["a", "b"])
    assert store.get_by_ids(["a", "b"]) == []


def test_numbers_of_ids_metadata_and_texts_must_agree(store):
    with pytest.raises(ConfigurationError, match="1 ids for 2 documents"):
        store.add_texts(["1 0", "0 1"], ids=["a"])
    with pytest.raises(ConfigurationError, match="1 metadatas for 2 texts"):
        store.add_texts(["1 0", "0 1"], [{}])


def test_a_search_refuses_what_it_does_not_know(store):
    store.add_texts(["1 0"])
    with pytest.raises(ConfigurationError, match="k must be at least 1, got 0"):
        store.similarity_search("1 0", k=0)
    with pytest.raises(TypeError, match="top_k"):
        store.similarity_search("1 0", top_k=3)
    with pytest.raises(ConfigurationError, match=r"operator '\$gt'"):
        store.similarity_search("1 0", filter={"n": {"$gt": 3}})
    with pytest.raises(ConfigurationError, match="must be a function"):
        store.similarity_search("1 0", filter=["n"])


async def test_langchains_index_keeps_a_store_up_to_date():
    store = FaissStore(DeterministicFakeEmbedding(size=8))
    records = InMemoryRecordManager("documents")
    records.create_schema()
    documents = [Document(f"text {n}", id=str(n)) for n in range(3)]
    settings = {"cleanup": "full", "key_encoder": "sha256"}
    index(documents, records, store, **settings)
    assert len(store) == 3
    await aindex(documents[:2], records, store, **settings)
    assert len(store) == 2
