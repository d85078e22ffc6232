"""The tables of tests/conformance: bare models beside layered ones and routers.

Run it as `python benchmarks/conformance_tables.py`; it writes its sections of
docs/benchmarks.md and exits with 1 if a cell fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from _harness import machine, publish, table

SUITES = Path(__file__).parent.parent / "tests" / "conformance"
LAYERS = """## Layers: a layered model does what the bare one does

Each cell ran twice against the same provider, bare and in a layer that passes
everything through: same output or error, same run tree (names, types, order, parents,
tokens), each run closed, and one pass through the layer per LLM run. The ChatOpenAI
columns talk HTTP to the local provider. A ✓ with the name of an error: both raise it
(a ChatOpenAI cannot be pickled, a fake has no tools). An empty cell: a
fake in memory has no connection to lose. An `ainvoke` that is cancelled
leaves its run open in LangChain itself; the layer does learn of it.
"""
ROUTER = """## Router: a router does what its model does

Each scenario ran against the same local provider, with a bare ChatOpenAI and with a
`ModelRouter` over it, plain and in a layer: same output or error, same LLM run (its
parameters, its tokens in order, its end), each run closed, no task left, and in the
layered column one pass through the layer per LLM run, with the caller's metadata. Left
out of the comparison are ids and the marks that a router adds. A ✓ with the name of an
error: both raise it. An `ainvoke` that is cancelled leaves its run open in LangChain;
the router closes it.
"""
# Section of the page, file of tests, what it says, what a row is.
TABLES = (
    ("layer-conformance", "test_layers.py", LAYERS, "mode"),
    ("router-conformance", "test_router.py", ROUTER, "scenario"),
)


class Cells:
    """Collects what each test says about its cell."""

    def __init__(self) -> None:
        self.marks: dict[tuple[str, str], str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how one test ended (a hook of pytest)."""
        said = dict(report.user_properties)
        if report.when == "call" and "cell" in said:
            mark = f"✓ {said['raised']}".strip() if report.passed else "✗"
            self.marks[said["cell"]] = mark


def tabulate(section: str, suite: str, text: str, row: str) -> int:
    """Run a file of tests, publish its table and return its exit code."""
    cells = Cells()
    # In the file's own order, by one process: the table is read from its reports.
    options = ["-q", "-n0", "-p", "no:randomly"]
    code = pytest.main([str(SUITES / suite), *options], plugins=[cells])
    names = dict.fromkeys(name for name, _ in cells.marks)
    kinds = dict.fromkeys(kind for _, kind in cells.marks)
    rows = [
        [name, *(cells.marks.get((name, kind), "") for kind in kinds)] for name in names
    ]
    passed = sum(mark.startswith("✓") for mark in cells.marks.values())
    versions = machine("langchain-core", "langchain-openai", "langchain")
    total = f"{passed} of {len(cells.marks)} cells pass. {versions}."
    publish(section, "\n".join([text, total, "", table([row, *kinds], rows)]))
    return int(code)


if __name__ == "__main__":
    sys.exit(max([tabulate(*each) for each in TABLES]))
