"""`kill -9` at random moments: no row lost in the guaranteed modes, none doubled.

`LLMOPS_KILLS=500` makes it long.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import uuid

import pytest
from sqlalchemy import func, select

from langchain_llmops.cost import UsageLedger
from langchain_llmops.cost.ledger.rollups import rollups_of
from langchain_llmops.cost.ledger.rows import CallRow
from langchain_llmops.cost.ledger.tables import CALLS, ROLLUPS

KILLS = int(os.environ.get("LLMOPS_KILLS", "12"))
# Each line says that `record` returned for that run; the reader kills after some.
WRITER = """
import sys, threading, uuid
from langchain_llmops.cost import Charge, UsageLedger
from langchain_llmops.pricing import Usage

path, durability, seed = sys.argv[1:]
ledger = UsageLedger(path, durability=durability, interval_s=0.002, batch_rows=20)
lock = threading.Lock()

def work(place):
    for number in range(10**9):
        run_id = uuid.UUID(int=(int(seed) << 96) + (place << 64) + number)
        charge = Charge(
            run_id=run_id, model="m", feature=f"f{number % 3}", basis="reported",
            usage=Usage(100, 10), cost=10**18, started_at=1.7e9 + number * 100,
        )
        ledger.record(charge)
        if number % 7 == 0:
            ledger.record(charge)
        if durability == "batched" and number % 100 == 0:
            ledger.flush()
        with lock:
            sys.stdout.write(run_id.hex + "\\n")
            sys.stdout.flush()

for place in (1, 2):
    threading.Thread(target=work, args=(place,)).start()
"""


def killed_after(path, durability, seed, lines):
    """Run a writer, kill it after so many lines; return the runs it was done with."""
    done = []
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), durability, str(seed)],
        stdout=subprocess.PIPE,
    ) as writer:
        done += [writer.stdout.readline() for _ in range(lines)]
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().splitlines(keepends=True)
    return {
        uuid.UUID(line.strip().decode()).bytes
        for line in (*done, *rest)
        if line.endswith(b"\n")
    }


def assert_sums_equal_rows(engine):
    with engine.connect() as connection:
        rows = [
            CallRow._make((bytes(row[0]), *row[1:-1], None))
            for row in connection.execute(select(CALLS))
        ]
        for table, cells in zip(ROLLUPS, rollups_of(rows), strict=True):
            keys = len(table.primary_key)
            kept = {
                tuple(row[:keys]): tuple(row[keys:])
                for row in connection.execute(select(table))
            }
            assert kept == cells
    return {row.run_id for row in rows}


@pytest.mark.parametrize("durability", ["journal", "commit"])
def test_a_killed_process_loses_nothing_it_was_done_with(tmp_path, durability):
    chance = random.Random(durability)
    path = tmp_path / "ledger.db"
    done = set()
    for seed in range(KILLS):
        done |= killed_after(path, durability, seed, chance.randrange(1, 400))
    ledger = UsageLedger(path, interval_s=3600)
    ledger.recover()
    kept = assert_sums_equal_rows(ledger.engine())
    assert done <= kept
    # At most the row that each of two threads was at when it died is there as well.
    assert len(kept - done) <= 2 * KILLS
    assert not list(tmp_path.glob("*.journal/*.journal"))
    ledger.close()


def test_the_default_loses_only_what_was_queued_and_doubles_nothing(tmp_path):
    chance = random.Random(1)
    path = tmp_path / "ledger.db"
    done = set()
    for seed in range(max(3, KILLS // 4)):
        done |= killed_after(path, "batched", seed, chance.randrange(200, 2_000))
    ledger = UsageLedger(path, interval_s=3600)
    kept = assert_sums_equal_rows(ledger.engine())
    assert kept
    with ledger.engine().connect() as connection:
        (count,) = connection.execute(select(func.count()).select_from(CALLS)).one()
    assert count == len(kept)
    ledger.close()
