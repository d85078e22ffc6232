"""Break a synchronisation at each of its steps, in each way, and read all the while.

Run it as `python benchmarks/bench_knowledge_faults.py`: it writes its section of
docs/benchmarks.md and fails if a reader ever saw a mixture. With `--json 2 lag` it
prints the outcomes of one kind; tests/integration/test_knowledge_faults.py reads those.

Each case is a process of its own (a fork of this one) on SQLite files of its own. A
kill is a real SIGKILL at the step; an exception is raised there; a lost write is one
that the store acknowledged and did not do.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
import tempfile
import traceback
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from _harness import publish, table
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import VectorStore

from langchain_llmops import CachedEmbeddings, KnowledgeBaseSync
from langchain_llmops.knowledge import SyncLimits
from langchain_llmops.knowledge.journal import Journal

# ruff: noqa: ARG002, D102, BLE001  # core's signatures; any error ends a case

OLD = {f"d{n}": f"page {n} old" for n in range(8)}
NEW = {
    **{f"d{n}": f"page {n} new" for n in range(5)},
    **{f"d{n}": f"page {n} old" for n in range(5, 7)},  # d7 goes, d8 comes
    "d8": "page 8 new",
}
TEXT = """## Knowledge base: every step, every fault, no mixed read

Every step of `apply` (8 documents, 6 of them change) was broken in a process of its
own: by `SIGKILL` just before and just after it, by an exception, and by a store that
acknowledged the write and lost it. Before each step, and after the crash, readers of
all regions were asked for everything. A read is mixed if it is neither the old version
nor the new one, or if two regions that do not lag differ. Afterwards a new process
synchronised again; *recovered* means that all regions then showed the new version, and
the stores, after `gc`, nothing else.

{rows}

{total} cases, {reads} reads, {mixed} mixed."""


class FileStore(VectorStore):
    """A vector store in a SQLite file: it survives its process, and nothing else."""

    def __init__(self, path: Path, embeddings) -> None:
        self._path, self._model = path, embeddings
        with self._open() as file:
            file.execute(
                "CREATE TABLE IF NOT EXISTS docs "
                "(id TEXT PRIMARY KEY, text TEXT, metadata TEXT, vector BLOB)"
            )

    @property
    def embeddings(self):
        return self._model

    def add_texts(self, texts, metadatas=None, *, ids=None, **kwargs):
        vectors = self._model.embed_documents(list(texts))
        rows = zip(
            ids,
            texts,
            map(json.dumps, metadatas or [{}] * len(ids)),
            (np.asarray(vector, dtype=np.float32).tobytes() for vector in vectors),
            strict=True,
        )
        with self._open() as file:
            file.executemany("INSERT OR REPLACE INTO docs VALUES (?, ?, ?, ?)", rows)
        return ids

    def delete(self, ids=None, **kwargs):
        with self._open() as file:
            file.executemany("DELETE FROM docs WHERE id = ?", [(one,) for one in ids])

    def get_by_ids(self, ids, /):
        wanted = set(ids)
        return [document for document, _ in self._all() if document.id in wanted]

    def similarity_search(self, query, k=4, **kwargs):
        return self.similarity_search_by_vector(self._model.embed_query(query), k)

    def similarity_search_by_vector(self, embedding, k=4, **kwargs):
        query = np.asarray(embedding, dtype=np.float32)
        ranked = sorted(
            self._all(),
            key=lambda pair: -(pair[1] @ query) / np.linalg.norm(pair[1]),
        )
        return [document for document, _ in ranked[:k]]

    @classmethod
    def from_texts(cls, texts, embedding, metadatas=None, **kwargs):
        raise NotImplementedError

    def _all(self):
        with self._open() as file:
            return [
                (
                    Document(id=name, page_content=text, metadata=json.loads(metadata)),
                    np.frombuffer(vector, dtype=np.float32),
                )
                for name, text, metadata, vector in file.execute("SELECT * FROM docs")
            ]

    def _open(self):
        return sqlite3.connect(self._path, timeout=5)


def build(folder: Path, regions: int, unavailable: str) -> KnowledgeBaseSync:
    model = CachedEmbeddings(DeterministicFakeEmbedding(size=8), namespace="fake")
    return KnowledgeBaseSync(
        {
            name: FileStore(folder / f"{name}.db", model)
            for name in ("eu", "us")[:regions]
        },
        manifest=f"sqlite:///{folder}/kb.db",
        embeddings=model,
        unavailable=unavailable,
        limits=SyncLimits(batch_size=3, timeout_s=None, probes=2),
        on_switch=lambda _: None,
    )


def documents(pages: dict[str, str]) -> list[Document]:
    return [Document(page, id=name) for name, page in pages.items()]


class Steps:
    """Count the steps of a synchronisation; at one of them, do the fault."""

    def __init__(self, folder: Path, kb: KnowledgeBaseSync, fault: str, at: int):
        self.folder, self.kb, self.fault, self.at = folder, kb, fault, at
        self.count, self.reading = 0, False
        self.readers = {
            name: kb.reader(name, follow=True) for name in kb.status().regions
        }

    def read(self) -> None:
        self.reading = True
        seen = [
            {d.id: d.page_content for d in reader.similarity_search("page", k=50)}
            for reader in self.readers.values()
        ]
        self.reading = False
        lags = any(region.lags for region in self.kb.status().regions.values())
        mixed = any(one not in (OLD, NEW) for one in seen) or (
            not lags and any(one != seen[0] for one in seen)
        )
        with (self.folder / "reads").open("a") as file:
            file.write("mixed\n" if mixed else "whole\n")

    def wrap(self, owner: object, name: str, label: str) -> None:
        inner = getattr(owner, name)

        def step(*args, **kwargs):
            if self.reading:  # not a step of the synchronisation
                return inner(*args, **kwargs)
            self.count += 1
            mine = self.count == self.at
            self.read()
            if mine:
                (self.folder / "step").write_text(label)
                if self.fault == "kill before":
                    os.kill(os.getpid(), signal.SIGKILL)
                if self.fault == "exception":
                    raise OSError(f"broken at {label}")
                if self.fault == "lost write":
                    if not label.startswith("write"):
                        os._exit(9)  # nothing to lose at this step
                    return kwargs.get("ids")
            outcome = inner(*args, **kwargs)
            if mine and self.fault == "kill after":
                os.kill(os.getpid(), signal.SIGKILL)
            return outcome

        setattr(owner, name, step)


def broken(folder: Path, regions: int, unavailable: str, fault: str, at: int) -> int:
    """Synchronise with a fault; the exit code is 7 if there was no such step."""
    kb = build(folder, regions, unavailable)
    steps = Steps(folder, kb, fault, at)
    parts = kb._parts  # noqa: SLF001 - the steps are what is tested
    for name, label in {
        "begin": "open the version",
        "record": "record the batch",
        "owe": "note what a region lacks",
        "fail": "give up",
        "forget": "forget what was cleared",
        "switch": "switch",
        "announced": "note the announcement",
    }.items():
        assert hasattr(Journal, name)
        steps.wrap(parts.journal, name, label)
    for region in parts.regions.values():
        for name, label in {
            "add_documents": "write",
            "get_by_ids": "read back",
            "similarity_search_by_vector": "search",
            "delete": "clear away",
        }.items():
            steps.wrap(region.store, name, f"{label} {region.name}")
    try:
        kb.apply(kb.plan(documents(NEW)))
    except Exception:
        steps.at = 0
    steps.read()
    return 0 if (folder / "step").exists() else 7


def checked(folder: Path, regions: int, unavailable: str) -> int:
    """Read, synchronise again in a new process, and look at what there is."""
    kb = build(folder, regions, unavailable)
    Steps(folder, kb, "", 0).read()
    kb.apply(kb.plan(documents(NEW)))
    kb.recover()
    kb.gc(keep=1)
    for reader in (kb.reader(name) for name in kb.status().regions):
        shown = {d.id: d.page_content for d in reader.similarity_search("p", k=50)}
        stored = reader.vectorstore.similarity_search("p", k=50)
        if shown != NEW or len(stored) != len(NEW):
            return 8
    whole = all(found.ok for found in kb.verify().values())
    lags = any(region.lags for region in kb.status().regions.values())
    return 0 if whole and not lags else 8


def in_fork(do, *args) -> int:
    """Return the exit code of `do` in a forked process; -9 if it was killed."""
    child = os.fork()
    if not child:
        code = 1
        try:
            code = do(*args)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def first(folder: Path, regions: int, unavailable: str) -> int:
    kb = build(folder, regions, unavailable)
    kb.apply(kb.plan(documents(OLD)))
    return 0


def cases(kinds=((1, "abort"), (2, "abort"), (2, "lag"))):
    """Yield one outcome after the other."""
    for regions, unavailable in kinds:
        for fault in ("kill before", "kill after", "exception", "lost write"):
            at, code = 0, 0
            while code != 7:
                at += 1
                with tempfile.TemporaryDirectory() as name:
                    folder = Path(name)
                    assert in_fork(first, folder, regions, unavailable) == 0
                    code = in_fork(broken, folder, regions, unavailable, fault, at)
                    if code in {7, 9}:
                        continue
                    recovered = in_fork(checked, folder, regions, unavailable)
                    reads = Counter((folder / "reads").read_text().split())
                    yield {
                        "regions": regions,
                        "unavailable": unavailable,
                        "fault": fault,
                        "step": (folder / "step").read_text(),
                        "killed": code == -signal.SIGKILL,
                        "reads": reads.total(),
                        "mixed": reads["mixed"],
                        "recovered": recovered == 0,
                    }


def report(outcomes: list[dict]) -> str:
    cells: dict[str, dict[str, list[dict]]] = defaultdict(lambda: defaultdict(list))
    columns = []
    for one in outcomes:
        column = (
            f"{one['regions']} region{'s' * (one['regions'] > 1)}, "
            + (one["unavailable"])
        )
        if column not in columns:
            columns.append(column)
        step = one["step"].removesuffix(" eu").removesuffix(" us")
        cells[f"{step}: {one['fault'].split()[0]}"][column].append(one)
    rows = [
        [
            name,
            *(
                f"{sum(o['mixed'] for o in found)} mixed of "
                f"{sum(o['reads'] for o in found)}, "
                f"{sum(o['recovered'] for o in found)}/{len(found)} recovered"
                if (found := by_column[column])
                else "-"
                for column in columns
            ),
        ]
        for name, by_column in cells.items()
    ]
    return TEXT.format(
        rows=table(["step: fault", *columns], rows),
        total=len(outcomes),
        reads=f"{sum(one['reads'] for one in outcomes):,}",
        mixed=sum(one["mixed"] for one in outcomes),
    )


def main() -> int:
    if "--json" in sys.argv:
        regions, unavailable = sys.argv[sys.argv.index("--json") + 1 :]
        print(json.dumps(list(cases([(int(regions), unavailable)]))))
        return 0
    outcomes = list(cases())
    publish("knowledge-faults", report(outcomes))
    bad = [one for one in outcomes if one["mixed"] or not one["recovered"]]
    return 1 if bad or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
