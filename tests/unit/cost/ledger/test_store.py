"""Every run counts once, sums equal rows, and a database that fails says why."""

from __future__ import annotations

import sqlite3
import tempfile
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from langchain_llmops.cost.ledger.rows import row_of
from langchain_llmops.cost.ledger.store import LedgerStore
from langchain_llmops.cost.ledger.tables import CALLS, UNIT_PRICES
from langchain_llmops.errors import ConfigurationError, StorageError
from langchain_llmops.pricing import Prices


@pytest.fixture
def store(tmp_path):
    made = LedgerStore(f"sqlite:///{tmp_path}/ledger.db")
    yield made
    made.close()


def test_rows_are_there_for_the_next_process(store, charge, audit):
    row = row_of(charge(1))
    assert store.write([row]) == (1, 0)
    store.close()
    assert audit(store.engine()) == {row.run_id: row}


def test_a_replay_counts_once(store, charge, audit):
    rows = [row_of(charge(number)) for number in range(1_200)]
    assert store.write(rows) == (1_200, 0)
    assert store.write([*rows, row_of(charge(2_000))]) == (1, 1_200)
    assert len(audit(store.engine())) == 1_201


def test_unsettled_gives_way_to_what_became_known(store, charge, audit):
    store.write([row_of(charge(1, basis="unsettled", cost=0))])
    settled = row_of(charge(1, started_at=5e8, feature="other"))
    assert store.write([settled]) == (1, 0)
    assert store.write([row_of(charge(1, basis="unsettled"))]) == (0, 1)
    assert audit(store.engine()) == {settled.run_id: settled}


def test_any_order_of_writes_and_replays_keeps_sums_equal_to_rows(charges, audit):
    @settings(max_examples=15)
    @given(st.lists(st.lists(charges, max_size=8), max_size=6))
    def check(batches):
        with tempfile.TemporaryDirectory() as folder:
            store = LedgerStore(f"sqlite:///{folder}/l.db")
            for batch in batches:
                store.write([row_of(each) for each in batch])
            rows = audit(store.engine())
            store.close()
        offered = [each for batch in batches for each in batch]
        assert set(rows) == {each.run_id.bytes for each in offered}
        for run_id, row in rows.items():
            said = [c.basis for c in offered if c.run_id.bytes == run_id]
            assert row.basis != "unsettled" or set(said) == {"unsettled"}

    check()


def test_unit_prices_are_kept_with_the_calls(store, charge):
    prices = Prices()
    sheet = prices.sheet(("gpt-4o-mini",))
    rows = [row_of(charge(sheet=sheet, price_version=prices.version)) for _ in "abc"]
    store.write(rows)
    with store.engine().connect() as connection:
        (price,) = connection.execute(select(UNIT_PRICES)).all()
        ids = connection.scalars(select(CALLS.c.price_id)).all()
    assert price.version == prices.version
    assert ids == [price.id] * 3


def test_threads_and_stores_share_a_file(tmp_path, charge, audit):
    stores = [LedgerStore(f"sqlite:///{tmp_path}/ledger.db") for _ in range(4)]

    def work(store, first):
        for number in range(first, first + 100, 10):
            store.write([row_of(charge(n)) for n in range(number, number + 20)])

    threads = [
        threading.Thread(target=work, args=(store, 50 * place))
        for place, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(audit(stores[0].engine())) == 260
    for store in stores:
        store.close()


def test_a_reader_makes_nothing(tmp_path):
    reader = LedgerStore(f"sqlite:///{tmp_path}/other.db", create=False)
    with pytest.raises(ConfigurationError, match="there is no ledger in"):
        reader.engine()


def test_a_newer_ledger_is_left_alone(store, charge):
    store.write([row_of(charge())])
    with store.engine().begin() as connection:
        connection.exec_driver_sql("UPDATE llmops_ledger_schema SET version = 99")
    store.close()
    with pytest.raises(StorageError, match="upgrade langchain-llmops"):
        store.write([row_of(charge())])


def test_a_file_that_is_no_database_says_so(tmp_path, charge):
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to look like one " * 20)
    with pytest.raises(StorageError, match="not a usable SQLite database"):
        LedgerStore(f"sqlite:///{path}").write([row_of(charge())])


def test_a_locked_file_says_so_and_changes_nothing(tmp_path, charge, audit):
    path = tmp_path / "l.db"
    store = LedgerStore(f"sqlite:///{path}", busy_timeout_s=0)
    store.write([row_of(charge(1))])
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageError, match="locked"):
        store.write([row_of(charge(2))])
    other.close()
    assert len(audit(store.engine())) == 1
    store.close()
