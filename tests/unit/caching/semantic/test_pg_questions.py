"""`PgVectorQuestions` without a server: what it refuses, decides and survives."""

from __future__ import annotations

import asyncio
import logging
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import OperationalError
from psycopg.errors import FeatureNotSupported, InsufficientPrivilege

from langchain_llmops.caching import PgVectorQuestions
from langchain_llmops.caching.semantic.pg_connections import _until
from langchain_llmops.caching.semantic.pg_operations import PgOperations
from langchain_llmops.caching.semantic.pg_schema import EXACT_ROWS, PgSchema
from langchain_llmops.errors import (
    ConfigurationError,
    MissingExtraError,
    StorageError,
)

NOWHERE = "postgresql://app:secret@/cache?host=/no/such/folder"
VECTOR = np.array([0.6, 0.8], np.float32)


class Server:
    """Answer the statements of an operation from a table of replies; note them."""

    def __init__(self, *, version="0.8.0", exists=True, **replies):
        self.replies = {
            "extversion": [(version,)] if version else [],
            "bool_and": [(exists,)],
            "SELECT version, record": [],
            "counted": [(0, 0)],
            **replies,
        }
        self.asked = []

    def finish(self, steps):
        """Run an operation to its end and return what it returns."""
        try:
            batch = next(steps)
            while True:
                try:
                    rows = self.run(batch)
                except Exception as error:  # noqa: BLE001 - what the server raises
                    batch = steps.throw(error)
                else:
                    batch = steps.send(rows)
        except StopIteration as done:
            return done.value

    def run(self, batch):
        rows = []
        for sql, parameters in batch.statements:
            self.asked.append((" ".join(sql.split()), parameters))
            for part, reply in self.replies.items():
                if part in sql:
                    rows = reply
            if isinstance(rows, Exception):
                raise rows
        return rows

    def saw(self, part):
        """Return how many statements contained this."""
        return sum(part in sql for sql, _ in self.asked)


@pytest.fixture
def operations(clock):
    schema = PgSchema(prefix="q", embedding="model")
    return PgOperations(schema, place="dbname=cache", max_entries=1_000, clock=clock)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_entries": 0}, "max_entries=0: use 1 or more"),
        ({"connections": 0}, "connections=0: use 1 or more"),
        ({"timeout_s": 0}, "timeout_s=0 must be positive"),
        ({"timeout_s": float("inf")}, "timeout_s=inf must be positive"),
        ({"prefix": "Robert'); --"}, r"prefix=\"Robert'\); --\" cannot begin"),
        ({"prefix": ""}, "prefix='' cannot begin"),
        ({"prefix": "x" * 31}, "cannot begin"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        PgVectorQuestions(NOWHERE, **arguments)


@pytest.mark.parametrize("url", ["postgresql://app:secret@[", "postgresql://h?no=1"])
def test_a_wrong_url_is_refused_without_showing_the_password(url):
    with pytest.raises(ConfigurationError, match="no address") as caught:
        PgVectorQuestions(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("module", ["psycopg", "pgvector"])
def test_a_missing_driver_names_its_extra(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"langchain-llmops\[postgres\]"):
        PgVectorQuestions(NOWHERE)


def test_it_asks_for_its_model_before_use():
    with pytest.raises(ConfigurationError, match="knows no embedding model yet"):
        PgVectorQuestions(NOWHERE).touch("k")


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_server_out_of_reach_fails_nothing_is_logged_once_and_rested(
    clock, caplog, mode
):
    questions = PgVectorQuestions(NOWHERE, clock=clock)

    def call(name, *args, **kwargs):
        if mode == "sync":
            return getattr(questions, name)(*args, **kwargs)
        return asyncio.run(getattr(questions, f"a{name}")(*args, **kwargs))

    with caplog.at_level(logging.WARNING):
        questions.bind("model")
        assert call("search", "p", VECTOR, floor=0.5) == []  # it rests
        assert questions.counts().errors == 1
        for number, (name, *args) in enumerate(
            [
                ("search", "p", VECTOR),
                ("add", "p", "k", "q", VECTOR),
                ("forget", ["k"]),
                ("quarantine", "k"),
                ("keep_calibration", "{}"),
                ("catch_up",),
                ("clear",),
            ],
            start=2,
        ):
            clock.now += 6
            found = call(name, *args, **({"floor": 0.5} if name == "search" else {}))
            assert found == ([] if name == "search" else None)
            assert questions.counts().errors == number
        call("clear")  # is tried though the server rests
        assert questions.counts().errors == 9
    (record,) = caplog.records
    assert "host=/no/such/folder dbname=cache" in record.message
    assert "secret" not in record.message
    questions.close()


def test_tables_are_looked_for_once_and_created_if_they_are_missing(operations):
    server = Server(exists=False)
    for _ in range(3):
        server.finish(operations.add("p", "k", "q", VECTOR))
    assert server.saw("bool_and") == 2  # of the questions, and of their vectors
    assert server.saw("CREATE TABLE") == 3
    assert server.saw("halfvec(2) STORAGE PLAIN") == 1
    assert server.saw("CREATE EXTENSION") == 0
    operations.failed()  # they may be gone with what failed
    server.finish(operations.forget(["k"]))
    assert server.saw("bool_and") == 3


def test_tables_that_are_there_need_no_right_to_create_any(operations):
    server = Server(exists=True)
    server.finish(operations.add("p", "k", "q", VECTOR))
    assert server.saw("CREATE") == 0


@pytest.mark.parametrize("version", ["0.7.4", "0.4.0"])
def test_an_old_pgvector_is_refused(operations, version):
    with pytest.raises(StorageError, match=rf"{version} in dbname=cache is too old"):
        Server(version=version).finish(operations.catch_up())


@pytest.mark.parametrize("version", ["0.8.0", "0.10.1", "1.0", "0.9.0-dev"])
def test_a_newer_pgvector_will_do(operations, version):
    Server(version=version).finish(operations.catch_up())


@pytest.mark.parametrize("error", [FeatureNotSupported("no"), InsufficientPrivilege()])
def test_a_database_without_pgvector_says_what_to_run(operations, error):
    server = Server(version=None, **{"CREATE EXTENSION": error})
    with pytest.raises(StorageError, match="superuser run CREATE EXTENSION vector"):
        server.finish(operations.catch_up())


def test_a_server_that_goes_while_tables_are_made_is_merely_gone(operations):
    server = Server(exists=False, **{"CREATE TABLE": OperationalError("gone")})
    with pytest.raises(OperationalError):
        server.finish(operations.catch_up())


def test_vectors_too_wide_for_an_index_are_refused_and_never_found(operations):
    wide = np.ones(4_001, np.float32)
    with pytest.raises(ConfigurationError, match="4001 dimensions is too wide"):
        operations.add("p", "k", "q", wide)
    assert Server().finish(operations.search("p", wide, 0.5, 8)) == []


@given(st.integers(0, EXACT_ROWS + 1))
def test_a_partition_is_compared_in_full_unless_it_is_large(compared):
    operations = PgOperations(
        PgSchema(prefix="q", embedding="m"), place="", max_entries=9, clock=lambda: 0.0
    )
    found = [("k", "text", 0.2, compared)] * (compared > 0)
    graph = [("k", "text", 0.1, None)]
    server = Server(**{"AS compared": found, "partition ||": graph})
    for _ in range(2):
        server.finish(operations.search("p", VECTOR, 0.0, 8))
    large = compared > EXACT_ROWS
    assert server.saw("partition ||") == (2 if large else 0)
    assert server.saw("AS compared") == (1 if large else 2)  # not compared again


def test_a_large_partition_is_measured_again_after_a_while(operations, clock):
    many = [("k", "text", 0.2, EXACT_ROWS + 1)]
    server = Server(**{"AS compared": many, "partition ||": [("k", "t", 0.1, None)]})
    for _ in range(3):
        server.finish(operations.search("p", VECTOR, 0.0, 8))
    assert server.saw("AS compared") == 1
    server.finish(operations.search("another", VECTOR, 0.0, 8))
    assert server.saw("AS compared") == 2
    clock.now += 601
    server.finish(operations.search("p", VECTOR, 0.0, 8))
    assert server.saw("AS compared") == 3


def test_uses_are_written_once_a_minute_and_not_per_hit(operations, clock):
    server = Server()
    server.finish(operations.catch_up())
    for _ in range(100):
        operations.touch("k")
    clock.now += 30
    server.finish(operations.catch_up())
    assert server.saw("SET used = now() WHERE") == 0
    clock.now += 31
    operations.touch("other")
    server.finish(operations.catch_up())
    (written,) = [p for sql, p in server.asked if "SET used = now() WHERE" in sql]
    assert written == (["k", "other"],)
    clock.now += 61
    server.finish(operations.catch_up())
    assert server.saw("SET used = now() WHERE") == 1  # nothing new


def test_room_is_made_once_in_a_hundredth_of_what_is_kept(operations):
    server = Server(counted=[(1_000, 10)])
    for number in range(100):
        server.finish(operations.add("p", str(number), "q", VECTOR))
    assert server.saw("counted") == 10
    assert (operations.entries, operations.evicted) == (1_000, 100)


def test_a_quarantine_holds_here_until_it_is_written(operations):
    operations.take_out("bad")
    near = [("bad", "q", 0.0, 2), ("good", "q", 0.1, 2)]
    server = Server(**{"AS compared": near, "'', true": OperationalError("gone")})
    with pytest.raises(OperationalError):
        server.finish(operations.quarantine())
    found = server.finish(operations.search("p", VECTOR, 0.0, 8))
    assert [match.key for match in found] == ["good"]
    assert operations.quarantines("bad")
    back = Server()
    back.finish(operations.catch_up())
    assert back.saw("'', true") == 1
    assert not operations.quarantines("bad")


def test_a_wait_ends_at_its_deadline():
    def steps():
        while True:
            yield "wait"

    waiting = _until(float("-inf"), steps())
    assert next(waiting) == "wait"
    with pytest.raises(TimeoutError):
        waiting.send(0)


def test_a_wait_in_time_returns_what_it_waited_for():
    def steps():
        assert (yield "wait") == 1
        return "rows"

    waiting = _until(float("inf"), steps())
    assert next(waiting) == "wait"
    with pytest.raises(StopIteration) as done:
        waiting.send(1)
    assert done.value.value == "rows"
