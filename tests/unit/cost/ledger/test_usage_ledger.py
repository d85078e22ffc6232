"""The ledger keeps what it is given, and whatever happens to it no call notices."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading

import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_llmops.cost import CostCallbackHandler, UsageLedger
from langchain_llmops.cost.ledger.journal import Journal
from langchain_llmops.cost.ledger.rows import row_of
from langchain_llmops.errors import ConfigurationError, StorageError
from langchain_llmops.pricing import Prices

NEVER_S = 3_600.0


@pytest.fixture
def ledger(tmp_path):
    """A ledger whose thread does nothing by itself within a test."""
    made = UsageLedger(tmp_path / "l.db", interval_s=NEVER_S)
    yield made
    made.close()


def test_a_recorded_charge_is_a_row_after_a_flush(ledger, charge, audit):
    ledger.record(charge(1))
    assert ledger.status().queued == 1
    assert ledger.flush()
    status = ledger.status()
    assert (status.written, status.queued, status.last_error) == (1, 0, None)
    (row,) = audit(ledger.engine()).values()
    assert (row.tenant, row.user_id, row.feature) == ("acme", "ada", "answer")


async def test_the_same_in_an_event_loop(tmp_path, charge, audit):
    async with UsageLedger(tmp_path / "l.db", interval_s=NEVER_S) as ledger:
        ledger.record(charge(1))
        assert await ledger.aflush()
    assert len(await asyncio.to_thread(lambda: audit(ledger.engine()))) == 1
    await ledger.aclose()


def test_a_full_batch_is_written_without_being_asked_for(tmp_path, charge):
    with UsageLedger(tmp_path / "l.db", interval_s=NEVER_S, batch_rows=3) as ledger:
        wrote = threading.Event()
        store = ledger._writer().store
        write = store.write
        store.write = lambda rows: (write(rows), wrote.set())[0]
        for _ in range(3):
            ledger.record(charge())
        assert wrote.wait(20)


def test_a_run_counts_once_however_often_it_is_recorded(ledger, charge):
    for _ in range(3):
        ledger.record(charge(1))
        ledger.flush()
    assert (ledger.status().written, ledger.status().known) == (1, 2)


def test_close_writes_everything_and_a_later_use_opens_it_again(ledger, charge, audit):
    ledger.record(charge(1))
    assert ledger.close()
    ledger.record(charge(2))
    assert ledger.close()
    assert len(audit(ledger.engine())) == 2


def test_commit_returns_when_the_row_is_there(tmp_path, charge, audit):
    with UsageLedger(tmp_path / "l.db", durability="commit") as ledger:
        ledger.record(charge(1))
        assert ledger.status().queued == 0
        assert len(audit(ledger.engine())) == 1


async def test_commit_never_stops_an_event_loop(tmp_path, charge):
    ledger = UsageLedger(tmp_path / "l.db", durability="commit", interval_s=NEVER_S)
    ledger.record(charge(1))  # blockbuster would object to a write
    assert ledger.status().queued == 1
    await ledger.aclose()


async def test_a_journal_does_not_stop_an_event_loop(tmp_path, charge):
    ledger = UsageLedger(tmp_path / "l.db", durability="journal", interval_s=NEVER_S)
    ledger.record(charge(1))
    assert ledger.status().failures == 0
    await ledger.aclose()
    assert await asyncio.to_thread(lambda: list(tmp_path.glob("l.db.journal/*"))) == []


def test_a_journal_is_empty_once_the_rows_are_written(tmp_path, charge):
    ledger = UsageLedger(tmp_path / "l.db", durability="journal", interval_s=NEVER_S)
    ledger.record(charge(1))
    assert len(list(tmp_path.glob("l.db.journal/*"))) == 1
    ledger.flush()
    assert list(tmp_path.glob("l.db.journal/*")) == []
    ledger.close()


def test_what_a_dead_process_left_is_brought_in(tmp_path, charge, audit):
    dead = Journal(tmp_path / "l.db.journal")
    dead.append(row_of(charge(1)))
    dead.abandon()  # as if killed: the file stays, its lock is gone
    with UsageLedger(tmp_path / "l.db", interval_s=NEVER_S) as ledger:
        assert ledger.recover() == 1
        assert len(audit(ledger.engine())) == 1


def test_a_journal_that_cannot_be_written_keeps_rows_in_memory(
    tmp_path, charge, caplog
):
    (tmp_path / "file").write_text("in the way")
    ledger = UsageLedger(
        tmp_path / "l.db",
        durability="journal",
        journal=tmp_path / "file" / "below",
        interval_s=NEVER_S,
    )
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            ledger.record(charge())
    assert ledger.status().failures == 3
    assert len(caplog.records) == 1
    assert ledger._writer().drain()
    assert ledger.status().written == 3
    ledger.close()


def broken_file(path):
    path.write_bytes(b"not a database at all " * 100)


def locked_file(path):
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def folder_in_its_place(path):
    path.mkdir()


@pytest.mark.parametrize("spoil", [broken_file, locked_file, folder_in_its_place])
def test_a_file_that_cannot_be_written_is_no_calls_business(
    tmp_path, charge, caplog, audit, spoil, monkeypatch
):
    monkeypatch.setattr("langchain_llmops.storage.engine._WAL_RETRY_S", 0.0)
    path = tmp_path / "l.db"
    held = spoil(path)
    ledger = UsageLedger(path, interval_s=NEVER_S)
    ledger._writer().store._busy_timeout_s = 0
    with caplog.at_level(logging.WARNING):
        for number in range(3):
            ledger.record(charge(number))
            assert not ledger.flush()
    status = ledger.status()
    assert (status.queued, status.written, status.failures >= 3) == (3, 0, True)
    assert str(path) in status.last_error
    assert len(caplog.records) == 1
    with pytest.raises(StorageError):
        ledger.engine()
    if held is not None:
        held.close()
    path.rename(tmp_path / "moved") if path.exists() else None
    assert ledger.flush()
    assert len(audit(ledger.engine())) == 3
    ledger.close()


def test_rows_that_wait_are_bounded_and_the_rest_is_counted(tmp_path, charge, caplog):
    ledger = UsageLedger(tmp_path, interval_s=NEVER_S, max_queued=2)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            ledger.record(charge())
    status = ledger.status()
    assert (status.queued, status.dropped) == (2, 3)
    assert len([each for each in caplog.records if "dropped" in each.message]) == 1
    assert not ledger.close()
    assert "2 rows of the ledger were not written" in caplog.text


@pytest.mark.parametrize("durability", ["batched", "journal", "commit"])
def test_what_is_no_charge_is_dropped_and_counted(tmp_path, charge, durability):
    ledger = UsageLedger(tmp_path / "l.db", durability=durability, interval_s=NEVER_S)
    ledger.record("junk")
    ledger.record(charge(usage=None))
    ledger.record(charge(1))
    assert ledger.flush()
    assert (ledger.status().written, ledger.status().dropped) == (1, 2)
    ledger.close()


def test_a_handler_writes_each_call_and_says_who_it_was_for(ledger, scripted, audit):
    costs = CostCallbackHandler(ledger, prices=Prices())
    about = {"tenant": "acme", "user": 7, "feature": "chat"}
    config = {"callbacks": [costs], "metadata": about}
    model = scripted(model="gpt-4o-mini")
    model.invoke("hi", config)
    list(model.stream("hi", config))
    with pytest.raises(ValueError, match="odd"):
        scripted(error=ValueError("odd")).invoke("hi", config)
    ledger.flush()
    rows = list(audit(ledger.engine()).values())
    assert sorted(row.basis for row in rows) == ["reported", "reported", "unsettled"]
    assert {(r.tenant, r.user_id, r.feature) for r in rows} == {("acme", "7", "chat")}
    assert {row.error for row in rows} == {None, "ValueError"}
    paid = [row for row in rows if row.basis == "reported"]
    assert sum(row.cost_pico for row in paid) == costs.report().usd * 10**12
    assert {row.first_token_s is None for row in paid} == {True, False}
    assert all(row.started_at > 1.7e9 for row in rows)
    assert all(row.duration_s > 0 for row in rows)


def test_estimates_are_counted_by_the_ledger_even_if_the_handler_is_gone(
    ledger, scripted, audit
):
    scripted(usage=None).invoke("hi", {"callbacks": [CostCallbackHandler(ledger)]})
    ledger.flush()
    assert [row.basis for row in audit(ledger.engine()).values()] == ["estimated"]


def test_a_reset_loses_no_row(ledger, scripted, audit):
    costs = CostCallbackHandler(ledger)
    scripted(usage=None).invoke("hi", {"callbacks": [costs]})
    costs.reset()
    assert costs.report().calls == 0
    ledger.flush()
    assert len(audit(ledger.engine())) == 1


def test_calls_under_way_are_unsettled_until_their_end_is_known(
    ledger, scripted, audit
):
    costs = CostCallbackHandler(ledger)
    stream = scripted().stream("hi", {"callbacks": [costs]})
    next(stream)
    assert ledger.status().under_way == 1
    ledger.close()
    assert [row.basis for row in audit(ledger.engine()).values()] == ["unsettled"]
    list(stream)
    ledger.close()
    assert [row.basis for row in audit(ledger.engine()).values()] == ["reported"]


def test_a_source_that_fails_is_logged_and_forgotten(ledger, caplog):
    class Broken:
        def count_estimates(self):
            raise ZeroDivisionError

        def under_way(self):
            return []

    source = Broken()
    ledger.follow(source)()
    assert ledger.flush()
    assert "a source of charges failed" in caplog.text


def test_one_ledger_serves_many_threads_and_handlers(ledger, audit):
    def work():
        costs = CostCallbackHandler(ledger)
        model = FakeListChatModel(responses=["Hello"])
        for _ in range(25):
            model.invoke("hi", {"callbacks": [costs, costs]})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ledger.flush()
    assert len(audit(ledger.engine())) == 100


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "mysql://localhost/x"},
        {"url": "://"},
        {"durability": "always"},
        {"interval_s": 0},
        {"batch_rows": -1},
        {"max_queued": 0},
        {"url": "postgresql+psycopg://localhost/x", "durability": "journal"},
        {"url": "sqlite:///:memory:", "durability": "journal"},
    ],
)
def test_bad_arguments_are_refused_at_once(arguments):
    with pytest.raises(ConfigurationError):
        UsageLedger(**arguments)


def test_what_keeps_no_charges_is_no_ledger():
    with pytest.raises(ConfigurationError, match="keeps no charges"):
        CostCallbackHandler("sqlite:///llmops.db")


def test_a_password_is_never_shown():
    assert "secret" not in UsageLedger("postgresql+psycopg://u:secret@h/d").url
