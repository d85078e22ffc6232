"""The question index beside exact search: lookup, insert, delete, partitions, recall.

Vectors are made here: clusters of near duplicates among unrelated ones, 384 dimensions,
as MiniLM's. Embedding is not part of any figure.
"""

from __future__ import annotations

from itertools import count

import faiss
import numpy as np
from _harness import compare, machine, publish, table

from langchain_llmops.caching.semantic.vector_index import VectorIndex

WIDTH = 384
SIZES = (1_000, 10_000, 100_000)
PARTITIONS = 20_000
QUERIES = 1_000
NOISE = 0.5


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
    """Compare one entry after the other, as tutorials do."""
    best = -1.0
    for row in rows:
        cosine = np.dot(row, query) / (np.linalg.norm(row) * np.linalg.norm(query))
        best = max(best, float(cosine))
    return best


def lookups(rows: np.ndarray, index: VectorIndex, asked: np.ndarray) -> dict[str, str]:
    flat = faiss.IndexFlatIP(WIDTH)
    flat.add(rows)
    turn = count()

    def each(search):
        def operation(repeat: int) -> None:
            for _ in range(repeat):
                search(asked[next(turn) % QUERIES])

        return operation

    variants = {
        "ours": each(lambda query: index.search("0", query)),
        "numpy": each(lambda query: int((rows @ query).argmax())),
        "faiss FlatIP": each(lambda query: flat.search(query[None], 1)),
    }
    times = compare(variants, rounds=5, repeat=max(10, 500_000 // len(rows)))
    cells = {name: f"{timing.median:,.0f}" for name, timing in times.items()}
    cells["loop"] = "n/a"
    if len(rows) <= min(SIZES):
        timing = compare({"loop": each(lambda q: loop(rows, q))}, rounds=3, repeat=3)
        cells["loop"] = f"{timing['loop'].median:,.0f}"
    return cells


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
        cells = lookups(rows, index, asked)
        measured = [changes(index, size), recall(rows, index, asked)]
        rows_of.append((f"{size:,}", *cells.values(), *measured))
    header = ["questions", "ours", "numpy exact", "faiss FlatIP", "one by one"]
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
    body = f"""## Semantic lookup: the index alone

CPU microseconds per operation (medians, all threads together), {WIDTH} dimensions,
without the embedding. `IndexFlatIP` and numpy compare every row, on both cores where
that pays; "one by one" is the loop of the tutorials.

{table(header, rows_of)}

The same {SIZES[-1]:,} questions in one partition: {split["one"].median:,.0f} µs a
lookup; spread over {PARTITIONS:,} partitions: {split["many"].median:,.0f} µs.

{machine("numpy", "faiss-cpu")}
"""
    publish("caching-semantic", body)


if __name__ == "__main__":
    main()
