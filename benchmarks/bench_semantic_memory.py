"""What a million questions take of memory, in a process of its own.

Run with `python benchmarks/bench_semantic_memory.py`; it needs `/proc` (Linux). The
answers are not part of it: they stay in the tier's file.
"""

from __future__ import annotations

import os
import sys
import time
from hashlib import blake2b
from pathlib import Path

import numpy as np
from _harness import compare, machine, publish, table

from langchain_llmops.caching.semantic.vector_index import VectorIndex

WIDTH = 384
SIZE = 1_000_000
BATCH = 1_000
ALLOWED_GB = 1.2
LOOKUPS = 20


def resident_gb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e9


def directions(rng: np.random.Generator, size: int) -> np.ndarray:
    rows = rng.standard_normal((size, WIDTH), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def main() -> None:
    rng = np.random.default_rng(0)
    index = VectorIndex(max_entries=SIZE)
    for row in directions(rng, 200):  # what comes with the first rows stays anyhow
        index.add("warm", str(row[0]), "a question", row)
    index.clear()
    before, began = resident_gb(), time.process_time()
    for start in range(0, SIZE, BATCH):
        for at, row in enumerate(directions(rng, BATCH), start):
            key = blake2b(str(at).encode(), digest_size=16).hexdigest()
            index.add("0", key, f"What is to be done about matter number {at}?", row)
    took, grown = time.process_time() - began, resident_gb() - before
    asked = directions(rng, LOOKUPS)

    def search(repeat: int) -> None:
        for at in range(repeat):
            index.search("0", asked[at])

    lookup = compare({"ours": search}, rounds=5, repeat=LOOKUPS)["ours"].median
    header = ["questions", "memory, GB", "allowed", "to fill, CPU s", "lookup, CPU µs"]
    row = (f"{SIZE:,}", f"{grown:.2f}", ALLOWED_GB, f"{took:.0f}", f"{lookup:,.0f}")
    publish(
        "caching-memory",
        f"""## A million questions in memory

Resident memory over that of the empty process: vectors of {WIDTH} dimensions in
float16, their signatures, keys and texts of the questions. The answers are in the
tier's file. One run.

{table(header, [row])}

{machine("numpy", "faiss-cpu")}
""",
    )


if __name__ == "__main__":
    if sys.platform == "linux":
        main()
    else:
        sys.stderr.write(f"Skipped.\n{__doc__}")
