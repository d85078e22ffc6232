"""What an import costs: the package alone, and each name beyond what LangChain needs.

Each sample is a fresh interpreter; the figure is CPU time inside it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

from _harness import machine, publish, table

import langchain_llmops

MODELS = "import langchain_core.language_models.chat_models"
CACHES = f"{MODELS}, langchain_core.caches, langchain_core.load"
SQL = (
    f"{MODELS}, sqlalchemy, sqlalchemy.dialects.postgresql, sqlalchemy.dialects.sqlite"
)
# What a LangChain user has imported already when reaching for the name.
NEEDS = {
    "caching": CACHES,
    "errors": "",
    "retrieval": "from langchain_core.vectorstores import VectorStore\nimport faiss",
    "SemanticCache": f"{CACHES}, numpy",  # what LangChain compares vectors with
    "memory": f"{MODELS}, numpy",
    "knowledge": f"{SQL}\nfrom langchain_core.vectorstores import VectorStore",
    **dict.fromkeys(("CostAnalyzer", "SQLBudgetStore", "UsageLedger"), SQL),
}
RUNS = 5


def cpu_ms(before: str, measured: str) -> float:
    """Return the median CPU milliseconds of `measured` after `before` has run."""
    code = (
        f"import time\n{before}\nstart = time.process_time()\n{measured}\n"
        "print((time.process_time() - start) * 1e3)"
    )
    samples = [
        float(subprocess.check_output([sys.executable, "-c", code], text=True))
        for _ in range(RUNS)
    ]
    return statistics.median(samples)


def main() -> None:
    rows = [
        ("`import langchain_llmops`", f"{cpu_ms('', 'import langchain_llmops'):.1f}")
    ]
    for name in langchain_llmops.__all__:
        folder = getattr(langchain_llmops, name).__module__.split(".")[1]
        needs = NEEDS.get(name, NEEDS.get(folder, MODELS))
        took = cpu_ms(needs, f"from langchain_llmops import {name}")
        rows.append((f"`{name}`", f"{took:.1f}"))
    publish(
        "import",
        "## Import\n\n"
        f"CPU milliseconds, median of {RUNS} fresh interpreters; a name is counted "
        "beyond LangChain, and beyond numpy or SQLAlchemy where it works with them. "
        "Budgets: 20 ms for the "
        f"package, 30 ms for a name. {machine('langchain-core')}\n\n"
        + table(("import", "CPU ms"), rows),
    )


if __name__ == "__main__":
    main()
