"""A threshold of 0.7 means a cosine of 0.7, whatever the store measures."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.retrieval import FaissStore, ThresholdRetriever

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says that it is archived
    from langchain_community.vectorstores import FAISS
    from langchain_community.vectorstores.utils import DistanceStrategy

COSINES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.69, 0.5, 0.3, 0.0, -0.5)
KEPT = 7
QUERY = "the query"


class Known(Embeddings):
    """Texts "0.95 | 3" have that cosine to the query, and that length."""

    def __init__(self, length=1.0):
        self.length = length
        self.calls = 0

    def embed_documents(self, texts):
        self.calls += 1
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        if text == QUERY:
            return [self.length, 0.0, 0.0]
        first, found, length = text.partition(" | ")
        if not found:
            return [0.0, 0.0, self.length]
        cosine = float(first)
        return (
            np.array([cosine, math.sqrt(1 - cosine**2), 0.0]) * float(length)
        ).tolist()


def texts(lengths):
    return [f"{c} | {lengths(n)}" for n, c in enumerate(COSINES)]


LENGTHS = {
    "length 1": lambda n: 1.0,
    "length 3": lambda n: 3.0,
    "any length": lambda n: (0.2, 1.0, 7.0)[n % 3],
}


class Measured(VectorStore):
    """A store of any kind: `score` makes its score, `order` its order."""

    def __init__(self, embeddings, measure, *, unit=False, order=1):
        self._embeddings = embeddings
        self.measure, self.unit, self.order = measure, unit, order
        self.rows = {}

    @property
    def embeddings(self):
        return self._embeddings

    def add_texts(self, texts, metadatas=None, *, ids=None, **kwargs):
        self.rows |= dict(
            zip(texts, self._embeddings.embed_documents(texts), strict=True)
        )
        return list(texts)

    @classmethod
    def from_texts(cls, *args, **kwargs):
        raise NotImplementedError

    def ranked(self, vector, k):
        pairs = [(t, self.score(vector, row)) for t, row in self.rows.items()]
        pairs.sort(key=lambda pair: self.order * pair[1])
        return [(Document(text, id=text), score) for text, score in pairs[:k]]

    def score(self, a, b):
        a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
        if self.unit:
            a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
        return float(self.measure(a, b))

    def similarity_search(self, query, k=4, **kwargs):
        vector = self._embeddings.embed_query(query)
        return [document for document, _ in self.ranked(vector, k)]


class ByText(Measured):
    def similarity_search_with_score(self, query, k=4, **kwargs):
        return self.ranked(self._embeddings.embed_query(query), k)


class ByVector(ByText):
    def similarity_search_with_score_by_vector(self, embedding, k=4, **kwargs):
        return self.ranked(embedding, k)


class OnlyRelevance(Measured):
    def _similarity_search_with_relevance_scores(self, query, k=4, **kwargs):
        return self.ranked(self._embeddings.embed_query(query), k)


def cosine(a, b):
    return a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def squared(a, b):
    return ((a - b) ** 2).sum()


# Name: measure, and whether less is nearer.
MEASURES = {
    "cosine": (cosine, -1),
    "cosine distance": (lambda a, b: 1 - cosine(a, b), 1),
    "(1 + cosine) / 2": (lambda a, b: (1 + cosine(a, b)) / 2, -1),
    "squared L2": (squared, 1),
    "L2": (lambda a, b: math.sqrt(squared(a, b)), 1),
    "negative squared L2 from 1": (lambda a, b: 1 - squared(a, b), -1),
    "L2 relevance": (lambda a, b: 1 - math.sqrt(squared(a, b)) / math.sqrt(2), -1),
    "squared L2 relevance": (lambda a, b: 1 - squared(a, b) / math.sqrt(2), -1),
    "1 / (1 + L2)": (lambda a, b: 1 / (1 + math.sqrt(squared(a, b))), -1),
    "1 / (1 + squared L2)": (lambda a, b: 1 / (1 + squared(a, b)), -1),
    "inner product": (lambda a, b: a @ b, -1),
    "negative inner product": (lambda a, b: -(a @ b), 1),
    "1 - inner product": (lambda a, b: 1 - a @ b, 1),
}


def check(retriever):
    found = retriever.invoke(QUERY)
    scores = [document.metadata["score"] for document in found]
    truth = [float(document.page_content.split(" | ")[0]) for document in found]
    assert truth == list(COSINES[:KEPT])
    assert scores == pytest.approx(truth, abs=1e-3)


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("unit", [False, True], ids=["as given", "normalised"])
@pytest.mark.parametrize("kind", [ByText, ByVector, OnlyRelevance])
@pytest.mark.parametrize("name", MEASURES)
def test_a_threshold_is_a_cosine_for_every_measure(name, kind, unit, length):
    measure, order = MEASURES[name]
    store = kind(Known(), measure, unit=unit, order=order)
    store.add_texts(texts(LENGTHS[length]))
    check(ThresholdRetriever(store, k=12))


@pytest.mark.parametrize("query_length", [1.0, 3.0])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("normalize", [False, True], ids=["as given", "normalised"])
@pytest.mark.parametrize("strategy", DistanceStrategy)
@pytest.mark.filterwarnings("ignore:Normalizing L2 is not applicable")
def test_a_threshold_is_a_cosine_on_langchain_communitys_faiss(
    strategy, normalize, length, query_length
):
    store = FAISS.from_texts(
        texts(LENGTHS[length]),
        Known(query_length),
        distance_strategy=strategy,
        normalize_L2=normalize,
    )
    check(ThresholdRetriever(store, k=12))


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("kind", [FaissStore, InMemoryVectorStore])
def test_a_threshold_is_a_cosine_on_stores_of_cosines(kind, length):
    store = kind(Known(5.0))
    store.add_texts(texts(LENGTHS[length]))
    check(ThresholdRetriever(store, k=12))


async def test_the_probe_is_native_on_an_event_loop():
    for kind in (ByVector, ByText, OnlyRelevance):
        store = kind(Known(), squared, order=1)
        store.add_texts(texts(LENGTHS["any length"]))
        found = await ThresholdRetriever(store, k=12).ainvoke(QUERY)
        assert len(found) == KEPT


def test_a_store_without_scores_is_refused_with_a_way_out():
    store = Measured(Known(), cosine, order=-1)
    store.add_texts(texts(LENGTHS["any length"]))
    with pytest.raises(ConfigurationError, match=r'no scores.*cosine_from="embed"'):
        ThresholdRetriever(store).invoke(QUERY)
    check(ThresholdRetriever(store, k=12, cosine_from="embed"))


def test_a_score_without_meaning_is_refused_with_a_way_out():
    store = ByText(Known(), lambda a, b: math.exp(cosine(a, b)), order=-1)
    store.add_texts(texts(LENGTHS["length 1"]))
    with pytest.raises(
        ConfigurationError, match=r"no known meaning: a cosine of 1\.000 scored 2\.71"
    ):
        ThresholdRetriever(store).invoke(QUERY)
    check(ThresholdRetriever(store, k=12, cosine_from=math.log))


def test_another_model_than_the_stores_is_noticed():
    store = ByVector(Known(), cosine, order=-1)
    store.add_texts(texts(LENGTHS["length 1"]))
    with pytest.raises(ConfigurationError, match="Check that embeddings= is the model"):
        ThresholdRetriever(store, embeddings=Turned()).invoke(QUERY)


class Turned(Known):
    """Finds every text somewhere else."""

    def embed_query(self, text):
        x, y, z = super().embed_query(text)
        return [z, (x + y) / 2, y] if text != QUERY else [x, y, z]


def test_a_store_that_hides_its_embeddings_needs_them():
    class Hidden(ByVector):
        @property
        def embeddings(self):
            return None

    model = Known()
    store = Hidden(model, squared, order=1)
    store.add_texts(texts(LENGTHS["length 1"]))
    with pytest.raises(ConfigurationError, match="pass embeddings="):
        ThresholdRetriever(store).invoke(QUERY)
    check(ThresholdRetriever(store, k=12, embeddings=model))
    check(ThresholdRetriever(store, k=12, cosine_from=lambda s: 1 - s / 2))


def test_an_empty_store_finds_nothing_and_is_probed_once_it_is_filled():
    store = ByVector(Known(), squared, order=1)
    retriever = ThresholdRetriever(store, k=12, cache=False)
    assert retriever.invoke(QUERY) == []
    store.add_texts(texts(LENGTHS["length 1"]))
    check(retriever)


def test_the_probe_is_made_once():
    model = Known()
    store = ByVector(model, squared, order=1)
    store.add_texts(texts(LENGTHS["length 1"]))
    retriever = ThresholdRetriever(store, k=12, cache=False)
    model.calls = 0
    check(retriever)
    assert model.calls == 2
    check(retriever)
    assert model.calls == 2


@pytest.mark.parametrize("kind", [ByVector, ByText])
def test_one_document_is_enough_to_tell_measures_apart(kind):
    for measure, order in MEASURES.values():
        store = kind(Known(), measure, order=order)
        store.add_texts(["0.8 | 1"])
        (found,) = ThresholdRetriever(store).invoke(QUERY)
        assert found.metadata["score"] == pytest.approx(0.8, abs=1e-3)


def test_documents_that_are_all_alike_are_compared_by_their_texts():
    # Nothing tells one measure from another: every score is about the same cosine.
    store = OnlyRelevance(SameDirection(), lambda a, b: a @ b, order=-1)
    store.add_texts(["a", "bb", "ccc"])
    found = ThresholdRetriever(store).invoke("dddd")
    assert [d.metadata["score"] for d in found] == pytest.approx([1.0] * 3)


class SameDirection(Known):
    def embed_query(self, text):
        return [float(len(text)), 0.0]


def test_an_exact_boundary_is_kept():
    store = FaissStore(Known())
    store.add_texts(["0.7 | 1", "0.6998 | 1"])
    found = ThresholdRetriever(store).invoke(QUERY)
    assert [document.page_content for document in found] == ["0.7 | 1"]


def test_deletions_do_not_confuse_vectors_read_from_communitys_faiss():
    store = FAISS.from_texts(
        texts(LENGTHS["any length"]), Known(), ids=list("abcdefghijkl")
    )
    retriever = ThresholdRetriever(store, k=12, cache=False)
    check(retriever)
    store.delete(["a", "c"])
    found = retriever.invoke(QUERY)
    assert [d.metadata["score"] for d in found] == pytest.approx(
        [0.95, 0.85, 0.8, 0.75, 0.7], abs=1e-3
    )


def test_a_filter_sees_all_documents_of_communitys_faiss():
    many = [f"0.{900 + n} | 1" for n in range(60)]
    store = FAISS.from_texts(many, Known(), metadatas=[{"n": n} for n in range(60)])
    found = ThresholdRetriever(store).invoke(QUERY, filter={"n": 0})
    assert [document.page_content for document in found] == ["0.900 | 1"]


def test_a_document_that_vanished_from_communitys_faiss_is_embedded_again():
    class Renamed(FAISS):
        """Hands out documents under names that its table does not know."""

        def similarity_search_with_score_by_vector(self, *args, **kwargs):
            pairs = super().similarity_search_with_score_by_vector(*args, **kwargs)
            return [
                (document.model_copy(update={"id": "gone"}), score)
                for document, score in pairs
            ]

    store = Renamed.from_texts(texts(LENGTHS["any length"]), Known())
    check(ThresholdRetriever(store, k=12))


def test_a_store_whose_search_by_vector_is_not_there_is_asked_by_text():
    class Unfinished(ByText):
        def similarity_search_with_score_by_vector(self, embedding, k=4, **kwargs):
            raise NotImplementedError

    store = Unfinished(Known(), squared, order=1)
    store.add_texts(texts(LENGTHS["length 1"]))
    check(ThresholdRetriever(store, k=12))


def test_embedding_again_finds_nothing_in_an_empty_store():
    store = Measured(Known(), cosine)
    assert ThresholdRetriever(store, cosine_from="embed").invoke(QUERY) == []


def test_near_duplicates_work_on_a_store_that_is_probed():
    store = ByVector(Known(), squared, order=1)
    store.add_texts(texts(LENGTHS["length 1"]))
    retriever = ThresholdRetriever(store, k=12, near_duplicates=0.99)
    check(retriever)
    retriever.cache.clear()
    check(retriever)
