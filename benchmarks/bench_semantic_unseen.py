"""Look-alikes and paraphrases that nobody tuned for: the semantic cache's first look.

    python benchmarks/bench_semantic_unseen.py qqp_dev.json vectors.npz

Arguments as those of bench_semantic_quality.py, whose pairs calibrate the cache here.
Read the head of semantic_unseen.tsv before touching anything.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _harness import machine, publish, table
from _minilm import Known
from bench_semantic_quality import CALIBRATED_SHARE, components, threshold_for

from langchain_llmops import SemanticCache

if TYPE_CHECKING:
    from collections.abc import Callable

PAIRS = Path(__file__).parent / "semantic_unseen.tsv"
DEFAULT, LOWER = 0.92, 0.80
RATES = (0.20, 0.15, 0.10)
MOST_SERVED, LEAST_KEPT = 5, 90
EVERYTHING = 0.01
"""A threshold that all pairs reach: what is refused there, the guards refuse."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two questions, whether they ask the same, and what kind of pair they are."""

    same: bool
    kind: str
    a: str
    b: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """A way to decide, and the plain cosine to compare it with."""

    name: str
    served: Callable[[str, str], bool]
    plain: float


def unseen() -> list[Pair]:
    lines = PAIRS.read_text(encoding="utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return [Pair(same=same == "1", kind=kind, a=a, b=b) for same, kind, _, a, b in rows]


def training_part(pairs: list[tuple[str, str, bool]]) -> list[tuple[str, str, bool]]:
    """Return the pairs that bench_semantic_quality calibrates its first split on."""
    component = components(pairs)
    lot = np.random.default_rng(0).permutation(component.max() + 1)
    known = lot[component] < CALIBRATED_SHARE * len(lot)
    return [pairs[at] for at in np.flatnonzero(known)]


def decisions(embeddings: Known, labelled: list[tuple[str, str, bool]]):
    for threshold in (DEFAULT, LOWER):
        cache = SemanticCache(embeddings, threshold=threshold)
        name = f"cosine ≥ {threshold:.2f}"
        if threshold == DEFAULT:
            name += ", the default"
        yield Decision(name=name, served=cache.same, plain=threshold)
    cosines = np.array([embeddings.cosine(a, b) for a, b, _ in labelled])
    same = np.array([label for _, _, label in labelled])
    for rate in RATES:
        cache = SemanticCache(embeddings, max_false_hit_rate=rate)
        abstains = cache.calibrate(labelled).abstains
        yield Decision(
            name=f"calibrated, rate {rate:.2f}{' (abstains)' if abstains else ''}",
            served=cache.same,
            plain=threshold_for(cosines, same, 1 - rate),
        )
    cache = SemanticCache(embeddings, threshold=EVERYTHING)
    yield Decision(name="guards alone", served=cache.same, plain=EVERYTHING)


def summary(decision: Decision, pairs: list[Pair], embeddings: Known) -> list[object]:
    cells: list[object] = [decision.name]
    for same in (False, True):
        group = [pair for pair in pairs if pair.same is same]
        near = [embeddings.cosine(pair.a, pair.b) >= decision.plain for pair in group]
        served = [decision.served(pair.a, pair.b) for pair in group]
        cells += [sum(near), sum(served)]
        if same and any(near):
            both = sum(n and s for n, s in zip(near, served, strict=True))
            cells.append(f"{both / sum(near):.0%}")
        elif same:
            cells.append("n/a")
    return cells


def verdict(row: list) -> str:
    """Say which of the two aims a row meets."""
    apart, kept = row[2] <= MOST_SERVED, int(row[-1].rstrip("%")) >= LEAST_KEPT
    if apart and kept:
        return "both are met."
    if not apart and not kept:
        return "neither is met."
    return f"only the {'first' if apart else 'second'} is met."


def by_kind(chosen: list[Decision], pairs: list[Pair]) -> list[list[object]]:
    rows = []
    for same, kind in dict.fromkeys((pair.same, pair.kind) for pair in pairs):
        group = [pair for pair in pairs if (pair.same, pair.kind) == (same, kind)]
        label = f"same: {kind}" if same else kind
        counts = [sum(one.served(pair.a, pair.b) for pair in group) for one in chosen]
        rows.append([label, len(group), *counts])
    return rows


def main() -> None:
    questions, vectors = map(Path, sys.argv[1:3])
    labelled = [
        (entry["text_a"], entry["text_b"], bool(entry["label"]))
        for entry in json.loads(questions.read_text(encoding="utf-8"))
    ]
    pairs = unseen()
    texts = [text for a, b, _ in labelled for text in (a, b)]
    texts += [text for pair in pairs for text in (pair.a, pair.b)]
    embeddings = Known(vectors, texts)
    learnt = training_part(labelled)
    tried = list(decisions(embeddings, learnt))
    chosen = [tried[at] for at in (0, 1, 3, 5)]
    rows = [summary(one, pairs, embeddings) for one in tried]
    header = ["decision", "look-alikes, plain cosine", "look-alikes served"]
    header += ["paraphrases, plain cosine", "paraphrases served", "kept"]
    body = f"""## Semantic decisions on pairs nobody tuned for

{len(pairs)} pairs (`benchmarks/semantic_unseen.tsv`), half look-alikes with different
answers and half paraphrases, written after the guards were frozen by someone who had
not read them. MiniLM embeddings. Measured once, and nothing was changed after. "Plain
cosine" serves by the similarity alone: at the same threshold, or, beside a calibrated
cache, at the threshold that keeps to the rate on the same {len(learnt):,} QQP pairs.
"Kept": of the paraphrases that the plain cosine serves, the share that is served too.
With 100 pairs a side, read the counts as ± 5 or more.

{table(header, rows)}

Asked for were at most 5 look-alikes served and at least 90% kept. At the default it is
{rows[0][2]} and {rows[0][-1]}: {verdict(rows[0])}

Served, by kind of pair ("guards alone": what no guard refuses, however unlike):

{table(["kind", "pairs", *(one.name for one in chosen)], by_kind(chosen, pairs))}

{machine("numpy")}
"""
    publish("caching-unseen", body)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        main()
    else:
        sys.stderr.write(f"Skipped, it needs files from elsewhere.\n{__doc__}")
