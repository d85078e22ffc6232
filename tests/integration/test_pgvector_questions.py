"""`PgVectorQuestions` on a real PostgreSQL: shared, refused, crowded, large."""

from __future__ import annotations

import asyncio
import gc
import re
import subprocess
import sys
import textwrap
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration
from sqlalchemy import make_url

from langchain_llmops import SemanticCache, SQLiteTier, TieredCache
from langchain_llmops.caching import PgVectorQuestions
from langchain_llmops.caching.base import CacheRequest
from langchain_llmops.caching.semantic import pg_operations, pg_schema
from langchain_llmops.errors import StorageError

psycopg = pytest.importorskip("psycopg", reason="the extra postgres is missing")

ASKED = "How do I sort a list of numbers in Python?"
ALIKE = "In Python, how do I sort a list of numbers?"


class Words(Embeddings):
    """Questions are as near as they share words."""

    model = "words-1"

    def embed_query(self, text):
        vector = [0.0] * 256
        for word in re.findall(r"\w+", text.lower()):
            vector[zlib.crc32(word.encode()) % 256] += 1.0
        return vector

    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]


def libpq(url):
    return (
        make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    )


def directions(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture
def raw(postgres):
    with psycopg.connect(libpq(postgres), autocommit=True) as connection:
        yield connection


@pytest.fixture
def opened(postgres):
    """Open stores of one database, as processes would; all are closed in the end."""
    stores = []

    def open_store(url=postgres, *, bind=True, **kwargs):
        store = PgVectorQuestions(url, **{"timeout_s": 10, **kwargs})
        stores.append(store)
        if bind:
            store.bind("model")
        return store

    yield open_store
    for store in stores:
        store.close()


def tables(raw):
    rows = raw.execute("SELECT relname FROM pg_class WHERE relkind = 'r'").fetchall()
    return sorted(name for (name,) in rows if name.startswith("llmops"))


def clients(raw):
    """Count the other connections to the database."""
    ((count,),) = raw.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    ).fetchall()
    return count


def falls_to(raw, count):
    """Return whether the server soon counts no more: it learns of an end late."""
    deadline = time.monotonic() + 10
    while clients(raw) > count and time.monotonic() < deadline:
        time.sleep(0.02)
    return clients(raw) <= count


def test_any_form_of_the_address_will_do(postgres, opened, raw):
    info = raw.info
    pairs = f"host={info.host} user={info.user} dbname={info.dbname}"
    for url in (postgres, libpq(postgres), pairs):
        store = opened(url)
        assert store.counts().errors == 0


def test_processes_that_start_at_once_create_one_set_of_tables(opened, raw):
    stores = [opened(bind=False) for _ in range(8)]
    start = Barrier(len(stores))

    def begin(store):
        start.wait()
        store.bind("model")
        store.add("p", str(id(store)), "q", np.array([0.6, 0.8], np.float32))
        return store.counts().errors

    with ThreadPoolExecutor(len(stores)) as pool:
        assert list(pool.map(begin, stores)) == [0] * len(stores)
    assert len(tables(raw)) == 3
    found = stores[0].search("p", np.array([0.6, 0.8], np.float32), floor=0.9)
    assert len(found) == len(stores)


OTHER_PROCESS = """
    import sys
    from langchain_core.embeddings import DeterministicFakeEmbedding
    from langchain_core.messages import AIMessage
    from langchain_core.outputs import ChatGeneration
    from langchain_llmops import SemanticCache, SQLiteTier, TieredCache
    from langchain_llmops.caching import CacheRequest, PgVectorQuestions

    url, path = sys.argv[1:]
    questions = PgVectorQuestions(url, timeout_s=10)
    cache = SemanticCache(
        DeterministicFakeEmbedding(size=64),
        questions=questions,
        tier=TieredCache([SQLiteTier(path)]),
    )
    request = CacheRequest(key="k", partition="p", question={asked!r}, model="m")
    cache.put(request, [ChatGeneration(message=AIMessage("sorted(numbers)"))])
    assert cache.stats().log_errors == 0
    cache.close()
"""


def test_what_another_process_learnt_is_served_here_at_once(postgres, opened, tmp_path):
    path = tmp_path / "answers.db"
    code = textwrap.dedent(OTHER_PROCESS).format(asked=ASKED)
    from langchain_core.embeddings import DeterministicFakeEmbedding  # noqa: PLC0415

    cache = SemanticCache(
        DeterministicFakeEmbedding(size=64),
        questions=opened(bind=False),
        tier=TieredCache([SQLiteTier(path)]),
    )
    request = CacheRequest(key="mine", partition="p", question=ASKED, model="m")
    with closing(cache):
        assert cache.get(request) is None
        subprocess.run([sys.executable, "-c", code, postgres, path], check=True)
        hit = cache.get(request)
    assert (hit.generations[0].text, hit.mark["kind"]) == (
        "sorted(numbers)",
        "semantic",
    )


@pytest.mark.parametrize("on_loop", [False, True])
def test_a_cache_learns_serves_and_quarantines(opened, on_loop):
    cache = SemanticCache(Words(), questions=opened(bind=False))

    def call(name, *args, **kwargs):
        if on_loop:
            return asyncio.run(getattr(cache, f"a{name}")(*args, **kwargs))
        return getattr(cache, name)(*args, **kwargs)

    def asks(question, partition="p"):
        return CacheRequest(
            key=f"{partition} {question}",
            partition=partition,
            question=question,
            model="",
        )

    answer = [ChatGeneration(message=AIMessage("sorted(numbers)"))]
    with closing(cache):
        assert call("get", asks(ASKED)) is None
        assert call("put", asks(ASKED), answer)
        assert call("get", asks(ALIKE, "another tenant")) is None
        hit = call("get", asks(ALIKE))
        assert hit.mark["kind"] == "semantic"
        assert hit.mark["similarity"] == pytest.approx(1.0, abs=1e-3)
        call("feedback", hit.mark["hit_id"], correct=False)
        assert call("get", asks(ALIKE)) is None
        assert call("get", asks(ASKED)).mark["kind"] == "exact"
        assert call("put", asks(ASKED), answer)
        assert call("get", asks(ALIKE)) is None
        stats = cache.stats()
    assert (stats.hits, stats.quarantined, stats.log_errors) == (1, 1, 0)


FORK = """
    import os, sys
    import numpy as np
    from langchain_llmops.caching import PgVectorQuestions

    vector = np.array([0.6, 0.8], np.float32)
    store = PgVectorQuestions(sys.argv[1], timeout_s=10)
    store.bind("model")

    def backend():
        return store._connections.run([("SELECT pg_backend_pid()", ())])

    mine = backend()
    for number in range(3):
        child = os.fork()
        if not child:
            store.add("p", f"child {number}", "q", vector)
            shared = backend() == mine
            store.close()
            os._exit(shared or store.counts().errors)
        assert os.waitpid(child, 0)[1] == 0
        assert len(store.search("p", vector, floor=0.9)) == number + 1
        assert backend() == mine  # not closed by the child, not replaced
    assert store.counts().errors == 0
"""


def test_forks_take_connections_of_their_own(postgres):
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(FORK), postgres]
    subprocess.run(command, check=True, timeout=50)


def test_an_event_loop_takes_its_connections_with_it(opened, raw):
    store, vector = opened(), np.array([0.6, 0.8], np.float32)

    async def traffic():
        await asyncio.gather(
            *(store.asearch(str(n), vector, floor=0.5) for n in range(50))
        )

    before = clients(raw)
    for _ in range(3):
        asyncio.run(traffic())
    assert len(store._connections._loops) == 1
    gc.collect()  # an open connection would warn here, and warnings are errors
    assert falls_to(raw, before)
    assert store.counts().errors == 0


@pytest.mark.parametrize("end", ["closed", "forgotten"])
async def test_closing_and_dropping_a_store_ends_its_connections(postgres, raw, end):
    before = clients(raw)
    store = PgVectorQuestions(postgres, timeout_s=10)
    await asyncio.to_thread(store.bind, "model")
    await store.asearch("p", np.array([0.6, 0.8], np.float32), floor=0.5)
    assert clients(raw) > before
    if end == "closed":
        store.close()
    del store
    gc.collect()
    await asyncio.sleep(0)
    assert await asyncio.to_thread(falls_to, raw, before)


async def test_a_burst_takes_turns_on_a_few_connections(opened, raw):
    store, vector = opened(connections=3, bind=False), np.ones(2, np.float32) / 2**0.5
    await asyncio.to_thread(store.bind, "model")
    await store.aadd("p", "k", "q", vector)
    found = await asyncio.gather(
        *(store.asearch("p", vector, floor=0.9) for _ in range(300))
    )
    assert all([match.key for match in matches] == ["k"] for matches in found)
    assert clients(raw) <= 3 + 1  # those of the loop, and the thread that bound it


async def test_a_cancelled_search_does_not_mix_up_the_next(opened):
    store, near = opened(bind=False), directions(np.eye(8, dtype=np.float32) + 0.1)
    await asyncio.to_thread(store.bind, "model")
    for number, vector in enumerate(near):
        await store.aadd("p", str(number), "q", vector)
    for number in range(40):
        searching = asyncio.create_task(store.asearch("p", near[0], floor=0.9))
        for _ in range(number % 10):
            await asyncio.sleep(0)
        searching.cancel()
        await asyncio.gather(searching, return_exceptions=True)
        wanted = near[number % 8]
        (match,) = await store.asearch("p", wanted, floor=0.99)
        assert match.key == str(number % 8)
    assert store.counts().errors == 0


def test_a_large_partition_is_found_through_the_graph(opened, monkeypatch):
    monkeypatch.setattr(pg_schema, "EXACT_ROWS", 50)
    monkeypatch.setattr(pg_operations, "EXACT_ROWS", 50)
    random = np.random.default_rng(0)
    asked = directions(random.standard_normal((300, 32), dtype=np.float32))
    noise = random.standard_normal(asked.shape, dtype=np.float32)
    near = directions(asked + 0.08 * noise)
    store = opened()
    for number, vector in enumerate(asked):
        # Every tenant asks the same: the nearest of all are in other partitions.
        for tenant in ("large", "other"):
            store.add(tenant, f"{tenant} {number}", "q", vector)
        if number < 5:
            store.add("small", f"small {number}", "q", vector)
    for number, vector in enumerate(near):
        found = store.search("large", vector, floor=0.8)
        assert found[0].key == f"large {number}"
    assert set(store._operations._large) == {"large"}
    assert store.search("small", near[3], floor=0.8)[0].key == "small 3"
    assert store.search("nobody", near[3], floor=-1.0) == []
    assert store.counts().errors == 0


def test_models_and_prefixes_share_a_database_without_meeting(opened, raw):
    vector = np.array([0.6, 0.8], np.float32)
    stores = [opened(bind=False), opened(bind=False), opened(prefix="mine", bind=False)]
    for store, model in zip(stores, ("one", "two", "one"), strict=True):
        store.bind(model)
    for number, store in enumerate(stores):
        store.add("p", str(number), "q", vector)
    for number, store in enumerate(stores):
        (found,) = store.search("p", vector, floor=0.5)
        assert found.key == str(number)
    stores[0].clear()
    assert [len(s.search("p", vector, floor=0.5)) for s in stores] == [0, 1, 1]


@pytest.fixture
def app(postgres, raw):
    """The URL of the database for a role that may only use what is there."""
    name = f"app_{raw.info.dbname}"
    raw.execute(f"CREATE ROLE {name} LOGIN")
    yield make_url(postgres).set(username=name).render_as_string(hide_password=False)
    raw.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def test_a_database_without_pgvector_says_what_to_do(opened, app):
    with pytest.raises(
        StorageError, match=r"no pgvector in .*superuser run CREATE EXT"
    ):
        opened(app)


def test_a_role_that_may_create_nothing_can_use_what_is_there(opened, app, raw):
    raw.execute("CREATE EXTENSION vector")
    with pytest.raises(StorageError, match=r"cannot be created .*\(permission denied"):
        opened(app)
    vector = np.array([0.6, 0.8], np.float32)
    opened().add("p", "k", "q", vector)
    raw.execute(
        "GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE"
        f" ON ALL TABLES IN SCHEMA public TO app_{raw.info.dbname}"
    )
    store = opened(app)
    store.add("p", "k2", "q", vector)
    store.quarantine("k")
    store.keep_calibration("{}")
    assert [match.key for match in store.search("p", vector, floor=0.9)] == ["k2"]
    store.clear()
    assert store.counts().errors == 0
