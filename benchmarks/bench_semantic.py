"""Semantic lookups beside other ways to search, GPTCache and the tutorials' loop.

Vectors are made here: clusters of near duplicates among unrelated ones, 384 dimensions,
as MiniLM's. Embedding is not part of any figure.
"""

from __future__ import annotations

import tempfile
import time
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import faiss
import numpy as np
from _gptcache import VERSION, gptcache
from _harness import compare, machine, publish, table
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_llmops import MemoryTier, SemanticCache, TieredCache
from langchain_llmops.caching import CacheRequest
from langchain_llmops.caching.semantic.vector_index import VectorIndex

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 384
SIZES = (1_000, 10_000, 100_000)
PARTITIONS = 20_000
QUERIES = 1_000
NOISE = 0.5
COLUMNS = ("cache", "index", "numpy", "faiss", "gptcache")


def directions(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def corpus(size: int) -> np.ndarray:
    """Return vectors of which every twentieth has near duplicates among them."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((size // 20 + 1, WIDTH), dtype=np.float32)
    noise = rng.standard_normal((size, WIDTH), dtype=np.float32)
    spread = np.where(np.arange(size) % 2, NOISE, 3.0)[:, None].astype(np.float32)
    return directions(centres[np.arange(size) % len(centres)] + spread * noise)


def queries(rows: np.ndarray) -> np.ndarray:
    rng = np.random.default_rng(1)
    picked = rows[rng.integers(0, len(rows), QUERIES)]
    noise = rng.standard_normal(picked.shape, dtype=np.float32) / np.sqrt(WIDTH)
    return directions(picked + NOISE * noise)


def filled(rows: np.ndarray, partitions: int = 1) -> VectorIndex:
    index = VectorIndex(max_entries=2 * len(rows))
    for number, row in enumerate(rows):
        index.add(str(number % partitions), str(number), f"question {number}", row)
    return index


def loop(rows: np.ndarray, query: np.ndarray) -> float:
    """Compare one entry after the other, as the article and tutorials do."""
    best = -1.0
    for row in rows:
        cosine = np.dot(row, query) / (np.linalg.norm(row) * np.linalg.norm(query))
        best = max(best, float(cosine))
    return best


def whole_cache(rows: np.ndarray, asked: np.ndarray) -> Callable[[int], object]:
    """Return a lookup in a `SemanticCache` that holds an answer per row: always a hit.

    A question is about the row that is nearest to it, in other words.
    """
    stored = [f"How do I repair a {word(n)}?" for n in range(len(rows))]
    nearest = [int((rows @ query).argmax()) for query in asked]
    questions = [f"How can I repair a {word(n)}?" for n in nearest]
    told = dict(zip(stored, rows, strict=True)) | dict(
        zip(questions, asked, strict=True)
    )
    memory = MemoryTier(max_entries=2 * len(rows), max_bytes=2**30)
    cache = SemanticCache(Told(told), threshold=0.8, tier=TieredCache([memory]))
    answer = [ChatGeneration(message=AIMessage("Because."))]
    for question in stored:
        cache.put(request(question), answer)

    def ask(number: int) -> None:
        hit = cache.get(request(questions[number]))
        assert hit is not None
        assert hit.mark["kind"] == "semantic"

    return ask


def word(number: int) -> str:
    """Return a word of its own for a number: digits would be compared as such."""
    return "".join(chr(ord("b") + int(digit)) for digit in f"{number:06}")


def request(question: str) -> CacheRequest:
    return CacheRequest(key=question, partition="0", question=question, model=None)


class Told(Embeddings):
    """Vectors that were made before: no embedding is part of any figure."""

    def __init__(self, vectors: dict[str, np.ndarray]) -> None:
        self._vectors = vectors

    def embed_query(self, text: str) -> list[float]:
        """Return a vector as LangChain's models do."""
        return self._vectors[text].tolist()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of several texts."""
        return [self.embed_query(text) for text in texts]


def lookups(rows: np.ndarray, index: VectorIndex, asked: np.ndarray) -> list[str]:
    flat = faiss.IndexFlatIP(WIDTH)
    flat.add(rows)
    turn = count()
    ask_cache = whole_cache(rows, asked)

    def each(search):
        def operation(repeat: int) -> None:
            for _ in range(repeat):
                search(next(turn) % QUERIES)

        return operation

    variants = {
        "cache": each(ask_cache),
        "index": each(lambda n: index.search("0", asked[n])),
        "numpy": each(lambda n: int((rows @ asked[n]).argmax())),
        "faiss": each(lambda n: flat.search(asked[n][None], 1)),
    }
    with tempfile.TemporaryDirectory() as name, gptcache(Path(name)) as peer:
        if peer:
            peer.fill(rows, asked, Path(name))
            variants["gptcache"] = partial(peer.ask, "near")

        def cpu() -> float:
            return time.process_time() + (peer.cpu_s if peer else 0)

        repeat = max(10, 200_000 // len(rows))
        times = compare(variants, rounds=5, repeat=repeat, clock=cpu)
    slow = {"loop": each(lambda n: loop(rows, asked[n]))}
    times |= compare(slow, rounds=3, repeat=2)
    cells = {name: f"{timing.median:,.0f}" for name, timing in times.items()}
    return [cells.get(name, "n/a") for name in (*COLUMNS, "loop")]


def recall(rows: np.ndarray, index: VectorIndex, asked: np.ndarray) -> str:
    """Return recall@1 among the queries that have a neighbour at 0.8 or nearer."""
    found = of = 0
    for query in asked:
        exact = rows @ query
        if exact.max() < 0.8:
            continue
        of += 1
        key = int(index.search("0", query, limit=1)[0].key)
        found += exact[key] >= exact.max() - 1e-4
    return f"{found / of:.4f} (n={of})"


def changes(index: VectorIndex, size: int) -> str:
    """Return microseconds to insert one question and to delete it."""
    rng = np.random.default_rng(2)
    fresh = directions(rng.standard_normal((200, WIDTH), dtype=np.float32))
    number = count(size)

    def insert_and_delete(repeat: int) -> None:
        keys = [str(next(number)) for _ in range(repeat)]
        for at, key in enumerate(keys):
            index.add("0", key, "a new question", fresh[at % 200])
        for key in keys:
            index.remove(key)

    timing = compare({"both": insert_and_delete}, rounds=5)["both"]
    return f"{timing.median:.0f}"


def main() -> None:
    rows_of = []
    for size in SIZES:
        rows = corpus(size)
        index, asked = filled(rows), queries(rows)
        measured = [changes(index, size), recall(rows, index, asked)]
        rows_of.append((f"{size:,}", *lookups(rows, index, asked), *measured))
    header = ["questions", "`SemanticCache.get`", "its index alone", "numpy exact"]
    header += ["faiss FlatIP", f"GPTCache {VERSION}", "one by one"]
    header += ["insert + delete", "recall@1 at ≥ 0.8"]
    spread = filled(rows, PARTITIONS)
    number = count()

    def in_many(repeat: int) -> None:
        for _ in range(repeat):
            at = next(number) % QUERIES
            spread.search(str(at % PARTITIONS), asked[at])

    def in_one(repeat: int) -> None:
        for _ in range(repeat):
            index.search("0", asked[next(number) % QUERIES])

    split = compare({"one": in_one, "many": in_many}, rounds=5, repeat=50)
    body = f"""## Semantic lookup

CPU microseconds per operation (medians, all threads together), {WIDTH} dimensions,
without the embedding; the variants take turns. `SemanticCache.get` is a whole lookup:
exact key, index, guards, and a copy of the answer out of memory. So is GPTCache's, with
SQLite and faiss, in a process of its own on one thread. `IndexFlatIP` and numpy compare
every row, on both cores where that pays; "one by one" is the loop of the tutorials.
Insert, delete and recall are the index's. Allowed at 100,000: 1,000 µs, and a recall of
0.999.

{table(header, rows_of)}

The same {SIZES[-1]:,} questions in one partition: {split["one"].median:,.0f} µs a
lookup; spread over {PARTITIONS:,} partitions: {split["many"].median:,.0f} µs.

{machine("numpy", "faiss-cpu")}
"""
    publish("caching-semantic", body)


if __name__ == "__main__":
    main()
