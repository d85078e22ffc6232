"""Runs in GPTCache's environment: an order a line in, seconds of CPU used so far out.

The cache is set up as its README does for similar questions: SQLite and faiss, the
distance of the search as the evaluation.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from itertools import count
from pathlib import Path

import numpy as np
from gptcache import cache
from gptcache.adapter.api import get, put
from gptcache.manager import CacheBase, VectorBase, get_data_manager
from gptcache.processor.pre import get_prompt
from gptcache.similarity_evaluation import SearchDistanceEvaluation

ANSWER = "The `nonlocal` statement makes names refer to an enclosing scope. " * 4
BATCH = 5_000

vectors: dict[str, np.ndarray] = {}
near: list[str] = []
turn = count()


def fill(folder: Path) -> None:
    rows, queries = (np.load(folder / name) for name in ("rows.npy", "queries.npy"))
    vectors.update((f"question {n}", row) for n, row in enumerate(rows))
    vectors.update((f"query {n}", row) for n, row in enumerate(queries))
    near.extend(f"query {n}" for n in range(len(queries)))
    manager = get_data_manager(
        CacheBase("sqlite", sql_url=f"sqlite:///{folder / 'gptcache.db'}"),
        VectorBase("faiss", dimension=rows.shape[1], index_path=str(folder / "index")),
        max_size=10 * len(rows),
    )
    cache.init(
        pre_embedding_func=get_prompt,
        embedding_func=lambda text, **_: vectors[text],
        data_manager=manager,
        similarity_evaluation=SearchDistanceEvaluation(),
    )
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        names = [f"question {start + n}" for n in range(len(part))]
        manager.import_data(names, [ANSWER] * len(part), list(part), [None] * len(part))


def obey(order: dict) -> None:
    times = range(order.get("times", 0))
    if order["do"] == "fill":
        fill(Path(order["folder"]))
    elif order["do"] == "hit":
        for _ in times:
            assert get("question 7") == ANSWER
    elif order["do"] == "near":
        for _ in times:
            get(near[next(turn) % len(near)])
    elif order["do"] == "put":
        for _ in times:
            name = f"another question {next(turn)}"
            vectors[name] = near_vector()
            put(name, ANSWER)


def near_vector() -> np.ndarray:
    rng = np.random.default_rng(next(turn))
    vector = rng.standard_normal(len(vectors["query 0"]), dtype=np.float32)
    return vector / np.linalg.norm(vector)


for line in sys.stdin:
    with contextlib.redirect_stdout(sys.stderr):
        obey(json.loads(line))
    print(time.process_time(), flush=True)
