"""The table of tests/conformance/test_layers.py: every mode, bare beside layered.

Run it as `python benchmarks/layer_conformance.py`; it writes its section of
docs/benchmarks.md and exits with 1 if a cell fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from _harness import machine, publish, table

SUITE = Path(__file__).parent.parent / "tests" / "conformance" / "test_layers.py"
TEXT = """## Layers: a layered model does what the bare one does

Each cell ran twice against the same provider, bare and in a layer that passes
everything through: same output or error, same run tree (names, types, order, parents,
tokens), each run closed, and one pass through the layer per LLM run. The ChatOpenAI
columns talk HTTP to the local provider. A ✓ with the name of an error: both raise it
(a ChatOpenAI cannot be pickled, a fake has no tools). An empty cell: a
fake in memory has no connection to lose. An `ainvoke` that is cancelled
leaves its run open in LangChain itself; the layer does learn of it.
"""


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


def main() -> int:
    cells = Cells()
    # In the file's own order, by one process: the table is read from its reports.
    options = ["-q", "-n0", "-p", "no:randomly"]
    code = pytest.main([str(SUITE), *options], plugins=[cells])
    modes = dict.fromkeys(mode for mode, _ in cells.marks)
    models = dict.fromkeys(model for _, model in cells.marks)
    rows = [
        [mode, *(cells.marks.get((mode, model), "") for model in models)]
        for mode in modes
    ]
    passed = sum(mark.startswith("✓") for mark in cells.marks.values())
    versions = machine("langchain-core", "langchain-openai", "langchain")
    total = f"{passed} of {len(cells.marks)} cells pass. {versions}."
    publish(
        "layer-conformance",
        "\n".join([TEXT, total, "", table(["mode", *models], rows)]),
    )
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
