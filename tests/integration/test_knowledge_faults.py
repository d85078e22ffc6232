"""Every step of a synchronisation broken in a process of its own: no mixed read."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "bench_knowledge_faults.py"
EVERY = {
    "open the version",
    "record the batch",
    "write eu",
    "read back eu",
    "search eu",
    "switch",
    "note the announcement",
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("regions", "unavailable"), [("1", "abort"), ("2", "abort"), ("2", "lag")]
)
def test_readers_see_no_mixture_and_the_next_process_recovers(regions, unavailable):
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--json", regions, unavailable],
        capture_output=True,
        text=True,
        check=True,
        cwd=SCRIPT.parent,
    )
    outcomes = json.loads(done.stdout)
    for kill in ("kill before", "kill after"):
        killed = {one["step"] for one in outcomes if one["fault"] == kill}
        assert killed >= EVERY
    assert all(one["killed"] for one in outcomes if one["fault"].startswith("kill"))
    assert any(one["fault"] == "lost write" for one in outcomes)
    assert sum(one["reads"] for one in outcomes) > 100
    assert [one for one in outcomes if one["mixed"] or not one["recovered"]] == []
