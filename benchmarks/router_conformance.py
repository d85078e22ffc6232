"""The table of tests/conformance/test_router.py: a router beside its bare model.

Run it as `python benchmarks/router_conformance.py`; it writes its section of
docs/benchmarks.md and exits with 1 if a cell fails.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from _harness import machine, publish, table

SUITE = Path(__file__).parent.parent / "tests" / "conformance" / "test_router.py"
TEXT = """## Router: a router does what its model does

Each scenario ran against the same local provider, with a bare ChatOpenAI and with a
`ModelRouter` over it, plain and in a layer: same output or error, same LLM run (its
parameters, its tokens in order, its end), each run closed, no task left, and in the
layered column one pass through the layer per LLM run, with the caller's metadata. Left
out of the comparison are ids and the marks that a router adds. A ✓ with the name of an
error: both raise it. An `ainvoke` that is cancelled leaves its run open in LangChain;
the router closes it.
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
    scenarios = dict.fromkeys(name for name, _ in cells.marks)
    kinds = dict.fromkeys(kind for _, kind in cells.marks)
    rows = [
        [name, *(cells.marks.get((name, kind), "") for kind in kinds)]
        for name in scenarios
    ]
    passed = sum(mark.startswith("✓") for mark in cells.marks.values())
    versions = machine("langchain-core", "langchain-openai", "langchain")
    total = f"{passed} of {len(cells.marks)} cells pass. {versions}."
    publish(
        "router-conformance",
        "\n".join([TEXT, total, "", table(["scenario", *kinds], rows)]),
    )
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
