"""What a ledger costs a call, how fast it writes, and how fast it answers.

Ten million rows for the breakdown are made by SQL, with the sums that the ledger would
have kept beside them; making them takes some minutes.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from _harness import compare, machine, publish, table
from langchain_core.utils.uuid import uuid7
from sqlalchemy import text

from langchain_llmops.cost import Charge, CostAnalyzer, UsageLedger
from langchain_llmops.cost.ledger.rollups import DAY_S, HOUR_S
from langchain_llmops.cost.ledger.rows import row_of
from langchain_llmops.cost.ledger.store import LedgerStore
from langchain_llmops.pricing import Prices, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 10_000_000
START = 1_790_000_000 // DAY_S * DAY_S
PRICES = Prices()
MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1")
RANDOM = random.Random(1)


def charge(number: int) -> Charge:
    """Return a call of one of 1,000 users, 10 tenants, 5 features, 3 models."""
    usage = Usage(RANDOM.randrange(100, 4_000), RANDOM.randrange(10, 800))
    model = MODELS[number % 3]
    sheet = PRICES.sheet((model,))
    return Charge(
        run_id=uuid7(),
        model=model,
        feature=f"feature-{number % 5}",
        tenant=f"tenant-{number % 10}",
        user=f"user-{RANDOM.randrange(1_000)}",
        provider="openai",
        basis="reported",
        usage=usage,
        cost=sheet.cost(usage) if sheet else None,
        started_at=START + number / 50,
        duration_s=RANDOM.random() * 3,
        sheet=sheet,
        price_version=PRICES.version,
    )


def recording(folder: Path) -> str:
    """Measure what `record` takes out of a call in each mode."""
    charges = [charge(number) for number in range(2_000)]
    ledgers = [
        UsageLedger(folder / f"{durability}.db", durability=durability, interval_s=3600)
        for durability in ("batched", "journal", "commit")
    ]

    def record(ledger: UsageLedger, times: int) -> None:
        for each in charges[:times]:
            ledger.record(each)

    names = ("`batched` (default)", "`journal`", "`commit`")
    timings = compare(
        {
            name: partial(record, each)
            for name, each in zip(names, ledgers, strict=True)
        },
        rounds=5,
        repeat=500,
    )
    for each in ledgers:
        each.close()
    lost = ("since the last write: about a second", "nothing", "nothing")
    rows = [
        (name, f"{timings[name].median:.1f}", loses)
        for name, loses in zip(names, lost, strict=True)
    ]
    return table(("durability", "µs a call", "`kill -9` loses"), rows)


def writing(folder: Path) -> str:
    """Measure rows per second into a new SQLite file, sums included."""
    rows = []
    for size in (1_000, 5_000, 20_000):
        speeds = []
        for turn in range(3):
            charges = [charge(number) for number in range(100_000)]
            store = LedgerStore(f"sqlite:///{folder}/{size}-{turn}.db")
            store.engine()
            cpu, wall = time.process_time(), time.perf_counter()
            for start in range(0, len(charges), size):
                store.write([row_of(each) for each in charges[start : start + size]])
            cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
            store.close()
            speeds.append((len(charges) / cpu, len(charges) / wall))
        by_cpu, by_wall = (median(each) for each in zip(*speeds, strict=True))
        rows.append((f"{size:,}", f"{by_cpu:,.0f}", f"{by_wall:,.0f}"))
    return table(("rows a batch", "rows per CPU second", "rows per second"), rows)


# Thirty days; every combination of 1,000 users, 10 tenants, 5 features and 3 models.
_FILL = """
INSERT INTO llmops_calls
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :rows)
SELECT CAST(printf('%016d', i) AS BLOB), :start + i * 2592000.0 / :rows,
  'tenant-' || (i % 10), 'user-' || (i * 7919 % 1000), 'feature-' || (i / 10 % 5),
  'model-' || (i / 50 % 3), 'openai', NULL, 'reported', NULL, NULL,
  100 + i % 4000, 10 + i % 800, 0, 0, 0, 0, 0, 0, 1000000 * (1 + i % 97), 0, 1.0,
  NULL, NULL
FROM n
"""
_SUM = """
INSERT INTO {rollup}
SELECT CAST(started_at / {period} AS INTEGER) * {period}, {keys},
  COUNT(*), COUNT(*), 0, 0, 0, 0, 0, 0, SUM(input_tokens), SUM(output_tokens),
  SUM(cache_read), SUM(CAST(duration_s * 1000 AS INTEGER)), SUM(cost_pico), 0, 0
FROM llmops_calls GROUP BY 1, {keys}
"""
_KEYS = "tenant, feature, model, provider"
_USER_KEYS = "tenant, user_id, feature, model, provider"


def filled(folder: Path, rows: int) -> UsageLedger:
    """Return a ledger with so many rows and the sums that belong to them."""
    ledger = UsageLedger(folder / "large.db")
    with ledger.engine().begin() as connection:
        connection.execute(text(_FILL), {"rows": rows, "start": START})
        for rollup, period, keys in (
            ("llmops_hourly", HOUR_S, _KEYS),
            ("llmops_daily", DAY_S, _KEYS),
            ("llmops_daily_users", DAY_S, _USER_KEYS),
        ):
            sums = _SUM.format(rollup=rollup, period=period, keys=keys)
            connection.exec_driver_sql(sums)
    return ledger


def answering(folder: Path, rows: int) -> str:
    """Measure breakdowns of many rows, beside the same question to the rows."""
    with filled(folder, rows) as ledger:
        analyzer = CostAnalyzer(ledger)

        def by_rows() -> None:
            with ledger.engine().connect() as connection:
                connection.exec_driver_sql(
                    "SELECT feature, model, SUM(cost_pico) "
                    "FROM llmops_calls GROUP BY feature, model"
                ).all()

        questions: dict[str, Callable[[], object]] = {
            "by feature and model": partial(analyzer.analyze, by=("feature", "model")),
            "by tenant, weekly": partial(analyzer.analyze, "weekly", ("tenant",)),
            "by feature, hourly series": partial(
                analyzer.analyze, "hourly", ("feature",)
            ),
            "by user": partial(analyzer.analyze, by=("user",)),
            "by feature, user and model": analyzer.analyze,
            "the rows themselves, in SQL": by_rows,
        }
        timed = []
        for name, ask in questions.items():
            taken = [_time(ask) for _ in range(1 if ask is by_rows else 9)]
            cpu, wall = (median(each) * 1e3 for each in zip(*taken, strict=True))
            timed.append((name, f"{cpu:,.0f}", f"{wall:,.0f}"))
    return table((f"breakdown of {rows:,} calls", "CPU ms", "wall ms"), timed)


def _time(operation: Callable[[], object]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    operation()
    return time.process_time() - cpu, time.perf_counter() - wall


def main(rows: int) -> None:
    """Measure and publish."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        body = (
            "## Ledger\n\n"
            "What `UsageLedger.record` takes out of a call, in CPU time; then batches "
            "into a SQLite file with their sums by hour and day, one thread; then "
            "`CostAnalyzer` over thirty days of 1,000 users, 10 tenants, 5 features "
            "and 3 models.\n\n"
            + recording(folder)
            + "\n\n"
            + writing(folder)
            + "\n\n"
            + answering(folder, rows)
            + f"\n\n{machine('sqlalchemy')}.\n"
        )
    publish("ledger", body)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
