"""The same ledger on a real PostgreSQL."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select

from langchain_llmops.cost import Charge, CostAnalyzer, UsageLedger
from langchain_llmops.cost.ledger.tables import CALLS, UNIT_PRICES
from langchain_llmops.errors import StorageError
from langchain_llmops.pricing import Prices, Usage

NOON = datetime(2026, 11, 16, 12, tzinfo=UTC).timestamp()


def charge(number, **changes):
    known = {"model": "m", "feature": "f", "basis": "reported", "started_at": NOON}
    usage = Usage(10, 1)
    return Charge(
        run_id=uuid.UUID(int=number),
        **{**known, "usage": usage, "cost": 10**24, **changes},
    )


def test_rows_sums_and_replays(postgres):
    prices = Prices()
    sheet = prices.sheet(("gpt-4o",))
    with UsageLedger(postgres, interval_s=3600) as ledger:
        ledger.record(charge(1, basis="unsettled", cost=0))
        for _ in range(2):
            ledger.record(charge(2, sheet=sheet, price_version=prices.version))
            ledger.record(charge(3, user="ada\0", error="ValueError"))
            assert ledger.flush()
        ledger.record(charge(1))
        found = CostAnalyzer(ledger).analyze("hourly", ("feature",))
        assert (found.total.calls, found.total.unsettled) == (3, 0)
        assert (found.total.usd, found.total.wasted_usd) == (3, 1)
        assert found.groups == {("f",): found.total}
        users = CostAnalyzer(ledger).analyze(by=("user",))
        assert {key: each.calls for key, each in users.groups.items()} == {
            ("ada?",): 1,
            ("(none)",): 2,
        }
        with ledger.engine().connect() as connection:
            (price,) = connection.execute(select(UNIT_PRICES)).all()
            kept = {bytes(each) for each in connection.scalars(select(CALLS.c.run_id))}
        assert price.version == prices.version
        assert kept == {uuid.UUID(int=number).bytes for number in (1, 2, 3)}


def test_writers_take_turns_and_no_sum_is_lost(postgres):
    def work(first):
        with UsageLedger(postgres, interval_s=3600) as ledger:
            for number in range(first, first + 60):
                ledger.record(charge(number, feature=f"f{number % 3}"))
                if number % 10 == 0:
                    assert ledger.flush()

    threads = [threading.Thread(target=work, args=(30 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with UsageLedger(postgres) as ledger:
        assert CostAnalyzer(ledger).analyze(by=()).total.usd == Decimal(150)


def test_sums_outgrow_64_bits(postgres):
    with UsageLedger(postgres) as ledger:
        for number in range(12):
            ledger.record(charge(number, cost=10**30))
        assert CostAnalyzer(ledger).analyze(by=()).total.usd == 12_000_000


def test_a_server_that_is_gone_keeps_rows_waiting(caplog):
    url = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    ledger = UsageLedger(url, interval_s=3600)
    ledger.record(charge(1))
    assert not ledger.flush()
    assert ledger.status().queued == 1
    with pytest.raises(StorageError):
        CostAnalyzer(ledger).analyze()
    ledger.close()
