"""Several processes, forks and exits: one file, every row, no sum that disagrees."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import uuid

import pytest

from langchain_llmops.cost import Charge, CostAnalyzer, UsageLedger
from langchain_llmops.pricing import Usage


def charge(number):
    return Charge(
        run_id=uuid.UUID(int=number),
        model="m",
        feature="f",
        basis="reported",
        usage=Usage(10, 1),
        cost=10**20,
        started_at=1.7e9,
    )


def record_some(path, first, count):
    ledger = UsageLedger(path)
    for number in range(first, first + count):
        ledger.record(charge(number))
    # Neither flushed nor closed: the end of the process does it.


def calls_in(path):
    with UsageLedger(path) as ledger:
        return CostAnalyzer(ledger).analyze(by=()).total.calls


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_processes_share_a_file_and_overlap_counts_once(tmp_path, method):
    path = tmp_path / "ledger.db"
    context = multiprocessing.get_context(method)
    workers = [
        context.Process(target=record_some, args=(path, 100 * place, 150))
        for place in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert calls_in(path) == 450


FORK = """
import os, sys, uuid
from langchain_llmops.cost import Charge, UsageLedger

def charge(number):
    run_id = uuid.UUID(int=number)
    return Charge(run_id=run_id, model="m", feature="f", basis="reported")

ledger = UsageLedger(sys.argv[1], durability=sys.argv[2], interval_s=3600)
ledger.record(charge(1))
ledger.flush()
ledger.record(charge(2))  # queued when the process forks
child = os.fork()
if child == 0:
    ledger.record(charge(3))
    if sys.argv[3] == "os._exit":
        ledger.flush()
        os._exit(0)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
ledger.record(charge(4))
"""


@pytest.mark.parametrize("durability", ["batched", "journal", "commit"])
@pytest.mark.parametrize("way_out", ["sys.exit", "os._exit"])
def test_a_fork_writes_its_own_rows_and_the_parent_its_own(
    tmp_path, durability, way_out
):
    path = tmp_path / "ledger.db"
    done = subprocess.run(
        [sys.executable, "-c", FORK, str(path), durability, way_out],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert calls_in(path) == 4
    assert not list(tmp_path.glob("*.journal/*.journal"))


MULTIPROCESSING_FORK = """
import multiprocessing, sys, uuid
from langchain_llmops.cost import Charge, UsageLedger

ledger = UsageLedger(sys.argv[1])

def work(number):
    ledger.record(Charge(
        run_id=uuid.UUID(int=number), model="m", feature="f", basis="reported"
    ))

context = multiprocessing.get_context("fork")
workers = [context.Process(target=work, args=(number,)) for number in range(5)]
for worker in workers: worker.start()
for worker in workers: worker.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_multiprocessing_child_writes_at_its_end(tmp_path):
    path = tmp_path / "ledger.db"
    subprocess.run(
        [sys.executable, "-c", MULTIPROCESSING_FORK, str(path)], check=True, timeout=60
    )
    assert calls_in(path) == 5
