"""Every `QuestionStore` does the same: in memory, in a file, in PostgreSQL."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from langchain_llmops.caching import PgVectorQuestions
from langchain_llmops.caching.semantic.index import QuestionIndex
from langchain_llmops.errors import ConfigurationError

WIDTH = 32
LASTING = pytest.mark.parametrize("opened", ["file", "postgres"], indirect=True)


class Clock:
    """Seconds, moved by hand."""

    now = 1_000.0

    def __call__(self):
        return self.now


class Vectors:
    """Directions that are as near to each other as asked for."""

    def __init__(self):
        self._random = np.random.default_rng(0)

    def new(self, width=WIDTH):
        vector = self._random.standard_normal(width).astype(np.float32)
        return vector / np.linalg.norm(vector)

    def near(self, vector, cosine):
        other = self.new(vector.size)
        other -= (other @ vector) * vector
        other /= np.linalg.norm(other)
        return cosine * vector + np.sqrt(1 - cosine**2).astype(np.float32) * other


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def vectors():
    return Vectors()


@pytest.fixture(params=["memory", "file", "postgres"])
def opened(request, tmp_path, clock):
    """Open stores over one place, as processes would; all are closed in the end."""
    kind, stores = request.param, []
    url = request.getfixturevalue("postgres") if kind == "postgres" else None

    def open_store(embedding="model-1", *, max_entries=100, **kwargs):
        if url is not None:
            store = PgVectorQuestions(
                url, max_entries=max_entries, timeout_s=10, clock=clock, **kwargs
            )
        else:
            path = tmp_path / "questions.db" if kind == "file" else None
            store = QuestionIndex(max_entries=max_entries, path=path, clock=clock)
        stores.append(store)
        store.bind(embedding)
        return store

    yield open_store
    for store in stores:
        assert store.counts().errors == 0
        store.close()


@pytest.fixture(params=["sync", "async"])
def call(request):
    """Call a method of a store, or its async twin."""

    def sync(store, name, *args, **kwargs):
        return getattr(store, name)(*args, **kwargs)

    def on_loop(store, name, *args, **kwargs):
        return asyncio.run(getattr(store, f"a{name}")(*args, **kwargs))

    return sync if request.param == "sync" else on_loop


def keys(matches):
    return [match.key for match in matches]


def test_the_nearest_come_first_and_only_as_far_as_the_floor(opened, call, vectors):
    store, asked = opened(), vectors.new()
    for key, cosine in (("far", 0.3), ("near", 0.9), ("nearest", 0.99)):
        call(store, "add", "p", key, f"the {key} one", vectors.near(asked, cosine))
    found = call(store, "search", "p", asked, floor=0.5)
    assert keys(found) == ["nearest", "near"]
    assert [match.text for match in found] == ["the nearest one", "the near one"]
    assert [match.similarity for match in found] == pytest.approx([0.99, 0.9], abs=2e-4)
    assert keys(call(store, "search", "p", asked, floor=-1.0, limit=1)) == ["nearest"]


def test_a_question_itself_has_a_cosine_of_one_and_no_more(opened, call, vectors):
    store = opened()
    for number in range(20):
        vector = vectors.new()
        call(store, "add", "p", str(number), "q", vector)
        (found,) = call(store, "search", "p", vector, floor=0.9)
        assert 0.9999 <= found.similarity <= 1.0


def test_nothing_is_found_outside_its_partition(opened, call, vectors):
    store, vector = opened(), vectors.new()
    for partition in ("a", "b", "it's %s; --"):
        call(store, "add", partition, f"in {partition}", "q", vector)
    for partition in ("a", "b", "it's %s; --"):
        found = call(store, "search", partition, vector, floor=-1.0)
        assert keys(found) == [f"in {partition}"]
    assert call(store, "search", "c", vector, floor=-1.0) == []


def test_a_later_question_takes_the_place_of_one_with_its_key(opened, call, vectors):
    store, one, other = opened(), vectors.new(), vectors.new()
    call(store, "add", "p", "k", "one", one)
    call(store, "add", "r", "k", "other", other)
    assert call(store, "search", "p", one, floor=0.9) == []
    (found,) = call(store, "search", "r", other, floor=0.9)
    assert found.text == "other"


def test_what_is_forgotten_is_not_found_and_may_come_back(opened, call, vectors):
    store, vector = opened(), vectors.new()
    call(store, "add", "p", "k", "q", vector)
    call(store, "forget", ["k", "never there"])
    assert call(store, "search", "p", vector, floor=0.9) == []
    call(store, "add", "p", "k", "q", vector)
    assert keys(call(store, "search", "p", vector, floor=0.9)) == ["k"]


def test_what_is_quarantined_does_not_come_back(opened, call, vectors, clock):
    store, vector = opened(), vectors.new()
    call(store, "add", "p", "k", "q", vector)
    call(store, "quarantine", "k")
    call(store, "quarantine", "not known yet")
    call(store, "forget", ["k"])
    for key in ("k", "not known yet"):
        call(store, "add", "p", key, "q", vector)
    assert call(store, "search", "p", vector, floor=-1.0) == []


def test_a_cleared_store_is_empty_and_of_use(opened, call, vectors):
    store, vector = opened(), vectors.new()
    for key in ("k", "quarantined"):
        call(store, "add", "p", key, "q", vector)
    call(store, "quarantine", "quarantined")
    call(store, "clear")
    assert call(store, "search", "p", vector, floor=-1.0) == []
    assert store.counts().entries == 0
    call(store, "add", "p", "quarantined", "q", vector)
    assert keys(call(store, "search", "p", vector, floor=0.9)) == ["quarantined"]


def test_the_least_recently_used_leaves(opened, call, vectors):
    store = opened(max_entries=2)
    kept = {key: vectors.new() for key in ("first", "second", "third")}
    call(store, "add", "p", "first", "q", kept["first"])
    call(store, "add", "p", "second", "q", kept["second"])
    store.touch("first")
    call(store, "add", "p", "third", "q", kept["third"])
    found = {
        key
        for vector in kept.values()
        for key in keys(call(store, "search", "p", vector, floor=0.9))
    }
    assert found == {"first", "third"}
    assert (store.counts().entries, store.counts().evicted) == (2, 1)


def test_a_record_is_kept_and_a_clear_spares_it(opened, call, clock):
    store = opened()
    assert store.calibration is None
    for record in ('{"a": 1}', '{"a": 2}'):
        call(store, "keep_calibration", record)
        assert store.calibration == record
    call(store, "clear")
    clock.now += 2
    before = store.calibration
    call(store, "catch_up")
    assert store.calibration is before == '{"a": 2}'


def test_a_store_belongs_to_one_model(opened):
    store = opened("model-1")
    store.bind("model-1")
    with pytest.raises(ConfigurationError, match=r"'model-1', not to 'model-2'"):
        store.bind("model-2")


def test_threads_and_loops_share_a_store(opened, vectors):
    store = opened(max_entries=1_000)

    def in_thread(number):
        vector = vectors.new()
        store.add("p", f"t{number}", "q", vector)
        return keys(store.search("p", vector, floor=0.95))

    async def on_loop(name):
        async def one(number):
            vector = vectors.new()
            await store.aadd("p", f"{name}{number}", "q", vector)
            return keys(await store.asearch("p", vector, floor=0.95))

        return await asyncio.gather(*(one(number) for number in range(20)))

    with ThreadPoolExecutor(4) as pool:
        loops = {name: pool.submit(asyncio.run, on_loop(name)) for name in "ab"}
        found = list(pool.map(in_thread, range(20)))
    assert found == [[f"t{number}"] for number in range(20)]
    for name, loop in loops.items():
        assert loop.result() == [[f"{name}{number}"] for number in range(20)]


@LASTING
@pytest.mark.parametrize("width", [WIDTH, 2 * WIDTH])
def test_a_model_may_change_its_width_under_its_name(
    opened, call, vectors, clock, width
):
    old = vectors.new(WIDTH)
    call(opened(), "add", "p", "old", "q", old)
    store, new = opened(), vectors.new(width)
    call(store, "search", "p", new, floor=0.9)
    call(store, "add", "p", "new", "q", new)
    clock.now += 2
    call(store, "catch_up")
    assert keys(call(store, "search", "p", new, floor=0.9)) == ["new"]


@LASTING
def test_what_one_store_does_the_others_see_within_a_second(
    opened, call, vectors, clock
):
    one, other, apart = opened(), opened(), opened("model-2")
    vector = vectors.new()
    for key in ("k", "bad"):
        call(one, "add", "p", key, "q", vector)
    call(other, "quarantine", "bad")
    call(other, "keep_calibration", "{}")
    clock.now += 1.1
    for store in (one, other, apart):
        assert store.news_due
        call(store, "catch_up")
        assert not store.news_due
    assert keys(call(other, "search", "p", vector, floor=0.9)) == ["k"]
    assert keys(call(one, "search", "p", vector, floor=0.9)) == ["k"]
    assert one.calibration == "{}"
    assert call(apart, "search", "p", vector, floor=-1.0) == []
    assert apart.calibration is None


@LASTING
def test_questions_outlive_their_store(opened, call, vectors):
    vector = vectors.new()
    with closing(opened()) as store:
        call(store, "add", "p", "k", "q", vector)
        call(store, "keep_calibration", "{}")
    later = opened()
    assert keys(call(later, "search", "p", vector, floor=0.9)) == ["k"]
    assert later.calibration == "{}"
