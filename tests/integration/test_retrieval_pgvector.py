"""A threshold is a cosine on a real pgvector, whatever operator the store ranks by."""

from __future__ import annotations

import math

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import VectorStore

from langchain_llmops.retrieval import ThresholdRetriever

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is missing")
COSINES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.69, 0.5, 0.3, 0.0, -0.5)
KEPT = 7
QUERY = "the query"


class Known(Embeddings):
    """Texts "0.95 | 3" have that cosine to the query, and that length."""

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        first, found, length = text.partition(" | ")
        if not found:
            return [2.0, 0.0, 0.0]
        cosine, size = float(first), float(length)
        return [cosine * size, math.sqrt(1 - cosine**2) * size, 0.0]


class PgStore(VectorStore):
    """As langchain_postgres has it: the score is what the operator returns."""

    def __init__(self, url, operator):
        self.connection = psycopg.connect(url.replace("+psycopg", ""), autocommit=True)
        self.operator = operator
        self.connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        self.connection.execute(
            "CREATE TABLE documents (text text, tag int, v vector(3))"
        )

    @property
    def embeddings(self):
        return Known()

    def add_texts(self, texts, metadatas=None, *, ids=None, **kwargs):
        for tag, text in enumerate(texts):
            self.connection.execute(
                "INSERT INTO documents VALUES (%s, %s, %s)",
                (text, tag, str(Known().embed_query(text))),
            )
        return list(texts)

    @classmethod
    def from_texts(cls, *args, **kwargs):
        raise NotImplementedError

    def similarity_search_with_score_by_vector(self, embedding, k=4, filter=None):  # noqa: A002 - LangChain's
        rows = self.connection.execute(
            f"SELECT text, v {self.operator} %(v)s::vector AS score FROM documents "
            "WHERE %(tag)s::int IS NULL OR tag = %(tag)s ORDER BY score LIMIT %(k)s",
            {"v": str(embedding), "k": k, "tag": (filter or {}).get("tag")},
        )
        return [(Document(text, id=text), score) for text, score in rows]

    def similarity_search_with_score(self, query, k=4, **kwargs):
        vector = Known().embed_query(query)
        return self.similarity_search_with_score_by_vector(vector, k, **kwargs)

    def similarity_search(self, query, k=4, **kwargs):
        pairs = self.similarity_search_with_score(query, k, **kwargs)
        return [document for document, _ in pairs]


@pytest.fixture(params=["<=>", "<->", "<#>"], ids=["cosine", "L2", "inner product"])
def store(request, postgres):
    store = PgStore(postgres, request.param)
    yield store
    store.connection.close()


def check(found):
    truth = [float(document.page_content.split(" | ")[0]) for document in found]
    assert truth == list(COSINES[:KEPT])
    scores = [document.metadata["score"] for document in found]
    assert scores == pytest.approx(truth, abs=1e-3)


@pytest.mark.parametrize("sizes", [(1.0,), (3.0,), (0.2, 1.0, 7.0)])
def test_a_threshold_is_a_cosine_on_pgvector(store, sizes):
    store.add_texts([f"{c} | {sizes[n % len(sizes)]}" for n, c in enumerate(COSINES)])
    check(ThresholdRetriever(store, k=12).invoke(QUERY))


async def test_a_threshold_is_a_cosine_on_pgvector_asynchronously(store):
    store.add_texts([f"{c} | 3" for c in COSINES])
    check(await ThresholdRetriever(store, k=12).ainvoke(QUERY))


def test_a_filter_reaches_the_database_while_the_score_is_probed(store):
    store.add_texts([f"{c} | 3" for c in COSINES])
    found = ThresholdRetriever(store).invoke(QUERY, filter={"tag": 2})
    assert [document.page_content for document in found] == ["0.9 | 3"]
