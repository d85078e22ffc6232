"""TieredCache: down the tiers for an answer, up again with it, never an error."""

from __future__ import annotations

import asyncio
import copy
import logging
import sqlite3
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.language_models import FakeListLLM
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_llmops.caching import (
    CacheRequest,
    Entry,
    MemoryTier,
    SQLiteTier,
    TieredCache,
)
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REQUEST = CacheRequest(key="k", partition="p", question="q", model="gpt-4o-mini")
USAGE = {"input_tokens": 1_000_000, "output_tokens": 0, "total_tokens": 1_000_000}


def said(text: str = "four", **fields: Any) -> list[ChatGeneration]:
    return [ChatGeneration(message=AIMessage(text, usage_metadata=USAGE, **fields))]


class SecondTier(MemoryTier):
    name = "second"  # type: ignore[misc]


@pytest.fixture
def tiers() -> list[Any]:
    return [MemoryTier(), SecondTier()]


def test_an_answer_comes_back_as_a_marked_copy(clock: Any):
    cache = TieredCache(clock=clock)
    assert cache.get(REQUEST) is None
    original = said(id="run-1")
    assert cache.put(REQUEST, original)
    clock.now += 3
    first, second = cache.get(REQUEST), cache.get(REQUEST)
    assert first is not None
    message = first.generations[0].message
    assert message.content == "four"
    assert message.id is None
    assert message.usage_metadata["total_tokens"] == 0
    mark = message.response_metadata["cache"]
    assert mark == first.mark
    assert mark["tier"] == "memory"
    assert (mark["age_s"], mark["saved_tokens"]) == (3.0, 1_000_000)
    assert mark["saved_usd"] == pytest.approx(0.15)
    message.content = "spoiled"
    message.response_metadata.clear()
    assert second == cache.get(REQUEST)
    assert original[0].message.usage_metadata == USAGE


def test_all_tiers_are_written_and_a_deep_find_is_copied_up(tiers: list[Any]):
    cache = TieredCache(tiers)
    cache.put(REQUEST, said())
    assert [len(tier) for tier in tiers] == [1, 1]
    tiers[0].clear()
    assert [cache.get(REQUEST).mark["tier"] for _ in range(2)] == ["second", "memory"]
    assert cache.stats().hits_by_tier == {"second": 1, "memory": 1}


async def test_async_does_the_same(tiers: list[Any]):
    cache = TieredCache(tiers)
    assert await cache.aget(REQUEST) is None
    assert await cache.aput(REQUEST, said())
    tiers[0].clear()
    found = [(await cache.aget(REQUEST)).mark["tier"] for _ in range(2)]
    assert found == ["second", "memory"]
    await cache.aclear()
    assert await cache.afetch("k") is None
    assert not await cache.aput(REQUEST, said(""))
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.stores, stats.skipped) == (2, 1, 1, 1)


def test_a_find_under_another_key_is_marked_as_told():
    cache = TieredCache()
    cache.put(REQUEST, said())
    hit = cache.fetch("k", kind="semantic", similarity=0.97)
    assert (hit.mark["kind"], hit.mark["similarity"]) == ("semantic", 0.97)
    assert hit.mark["hit_id"] == "k"
    assert cache.fetch("other") is None
    assert cache.stats().hits_by_kind == {"semantic": 1}
    assert cache.stats().misses == 0


def test_answers_expire_after_their_ttl_with_jitter(clock: Any):
    rolls = iter([0.0, 0.5, 1.0])
    cache = TieredCache(
        ttl=timedelta(seconds=100), jitter=0.1, clock=clock, rng=lambda: next(rolls)
    )
    for key in "abc":
        cache.put(
            CacheRequest(key=key, partition="", question=None, model=None), said()
        )
    lives = {}
    for second in range(85, 115):
        clock.now = 1_000.0 + second
        lives |= {key: second for key in "abc" if cache.fetch(key)}
    assert lives == {"a": 89, "b": 99, "c": 109}


def test_a_promoted_answer_keeps_its_expiry(clock: Any, tiers: list[Any]):
    cache = TieredCache(tiers, ttl=timedelta(seconds=100), jitter=0, clock=clock)
    cache.put(REQUEST, said())
    tiers[0].clear()
    clock.now += 99
    assert cache.get(REQUEST)
    clock.now += 1
    assert cache.get(REQUEST) is None


@pytest.mark.parametrize("lost", [0, 1])
def test_a_lost_tier_does_not_lose_the_call(
    lost: int, broken_tier: Any, clock: Any, caplog: pytest.LogCaptureFixture
):
    tiers: list[Any] = [MemoryTier()]
    tiers.insert(lost, broken_tier)
    cache = TieredCache(tiers, clock=clock)
    assert cache.get(REQUEST) is None
    assert cache.put(REQUEST, said())
    clock.now += 5
    assert cache.get(REQUEST).mark["tier"] == "memory"
    cache.clear()
    stats = cache.stats()
    assert stats.errors["broken"] >= 1
    assert stats.errors["memory"] == 0
    assert stats.rested["broken"] >= 1
    assert len(caplog.records) == 1


async def test_with_every_tier_lost_nothing_is_stored(broken_tier: Any, clock: Any):
    cache = TieredCache([broken_tier], clock=clock)
    assert not await cache.aput(REQUEST, said())
    assert not cache.put(REQUEST, said())
    assert await cache.aget(REQUEST) is cache.get(REQUEST) is None
    assert cache.stats().stores == 0


@pytest.mark.parametrize("value", [b"", b"garbage", b'{"v": 99}'])
async def test_a_damaged_value_is_a_miss_and_the_next_tier_is_asked(
    value: bytes, tiers: list[Any]
):
    cache = TieredCache(tiers)
    await cache.aput(REQUEST, said())
    tiers[0].set("k", Entry(value, None), 0)
    assert (await cache.aget(REQUEST)).mark["tier"] == "second"
    # The damaged copy was replaced on the way up.
    assert cache.get(REQUEST).mark["tier"] == "memory"
    assert cache.stats().errors == {"memory": 1, "second": 0}


def test_what_must_not_be_stored_is_counted():
    cache = TieredCache()
    assert not cache.put(REQUEST, said(response_metadata={"finish_reason": "length"}))
    assert not cache.put(REQUEST, [])
    stats = cache.stats()
    assert (stats.skipped, stats.stores) == (2, 0)


def test_what_cannot_be_written_is_told_once(caplog: pytest.LogCaptureFixture):
    cache = TieredCache()
    with caplog.at_level(logging.WARNING, "langchain_llmops"):
        for _ in range(2):
            assert not cache.put(REQUEST, said(additional_kwargs={"x": object()}))
    assert cache.stats().skipped == 2
    assert [record.message.count("CodecError") for record in caplog.records] == [1]


def test_evictions_are_counted_by_tier():
    cache = TieredCache([MemoryTier(max_entries=1)])
    for key in "ab":
        cache.put(
            CacheRequest(key=key, partition="", question=None, model=None), said()
        )
    assert cache.stats().evictions == {"memory": 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tiers": []}, "at least one tier"),
        ({"ttl": timedelta(0)}, "over at once"),
        ({"jitter": 1}, "must be in"),
        ({"jitter": -0.1}, "must be in"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments: dict[str, Any], message: str):
    with pytest.raises(ConfigurationError, match=message):
        TieredCache(**arguments)


def test_the_file_of_a_lasting_tier_is_known(tmp_path: Path):
    assert TieredCache().path is None
    with closing(SQLiteTier(tmp_path / "cache.db")) as tier:
        assert TieredCache([MemoryTier(), tier]).path == tmp_path / "cache.db"


# --- a SQLite file that goes wrong while it is used


@contextmanager
def locked(path: Path) -> Iterator[None]:
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        holder.execute("INSERT INTO llmops_cache VALUES ('x', x'00', NULL, 0)")
        yield


@contextmanager
def corrupted(path: Path) -> Iterator[None]:
    for file in path.parent.glob("cache.db*"):
        file.write_bytes(b"\xff" * max(file.stat().st_size, 8_192))
    yield


@pytest.mark.parametrize("damage", [locked, corrupted])
def test_a_file_that_is_lost_while_used_costs_no_call(
    damage: Any, tmp_path: Path, clock: Any
):
    other = CacheRequest(key="o", partition="", question=None, model=None)
    path = tmp_path / "cache.db"
    tier = SQLiteTier(path, busy_timeout_s=0.01)
    cache = TieredCache([MemoryTier(), tier], clock=clock)
    assert cache.put(REQUEST, said())
    tier.close()  # what its connections have in memory goes
    with damage(path):
        assert tier_fails(cache, other, clock)
        assert cache.get(REQUEST).mark["tier"] == "memory"
        assert asyncio.run(cache.aget(other)).mark["tier"] == "memory"
        cache.close()


def tier_fails(cache: TieredCache, request: CacheRequest, clock: Any) -> bool:
    """Return whether both a read and a write are survived, and both are counted."""
    assert cache.get(request) is None
    clock.now += 5
    assert cache.put(request, said("five"))
    return cache.stats().errors == {"memory": 0, "sqlite": 2}


@pytest.mark.parametrize("pragma", ["query_only = ON", "max_page_count = 1"])
def test_a_read_only_or_full_file_still_answers(
    pragma: str, tmp_path: Path, clock: Any
):
    with closing(SQLiteTier(tmp_path / "cache.db")) as tier:
        cache = TieredCache([tier], clock=clock)
        assert cache.put(REQUEST, said())
        with tier._table.engine.connect() as connection:  # the pool's one connection
            connection.exec_driver_sql(f"PRAGMA {pragma}")
        big = CacheRequest(key="o", partition="", question=None, model=None)
        assert not cache.put(big, said("five " * 2_000))
        clock.now += 5
        assert cache.get(REQUEST)
        assert cache.stats().errors == {"sqlite": 1}


# --- as LangChain's BaseCache


def test_a_chat_model_is_answered_from_it(counting: Any):
    cache = TieredCache()
    model = counting(cache=cache)
    first, second = model.invoke("2 + 2"), model.invoke("2 + 2")
    assert model.calls == 1
    assert first.usage_metadata["total_tokens"] == 1_100
    assert second.content == first.content
    assert second.usage_metadata["input_tokens"] == 0
    assert second.response_metadata["cache"]["hit"]
    assert second.response_metadata["cache"]["saved_tokens"] == 1_100
    assert "cache" not in first.response_metadata


async def test_it_works_on_an_event_loop(counting: Any):
    model = counting(cache=TieredCache())
    await model.ainvoke("2 + 2")
    assert (await model.ainvoke("2 + 2")).response_metadata["cache"]["hit"]
    assert model.calls == 1


def test_a_text_model_is_answered_from_it():
    cache = TieredCache()
    model = FakeListLLM(responses=["four", "five"], cache=cache)
    # The fake counts in a field, which is part of its description: back to the start.
    answers = []
    for _ in range(2):
        model.i = 0
        answers.append(model.invoke("2 + 2"))
    assert answers == ["four", "four"]
    assert cache.stats().hits == 1


def test_the_next_turn_hits_whether_this_one_did_or_not(counting: Any):
    cache = TieredCache()
    model = counting("four", "six", cache=cache)

    def talk() -> str:
        turns: list[Any] = [("human", "2 + 2")]
        turns += [model.invoke(turns), ("human", "and 2 more")]
        return str(model.invoke(turns).content)

    assert [talk(), talk(), talk()] == ["six", "six", "six"]
    assert model.calls == 2


async def test_switches_of_the_chain_are_obeyed(counting: Any):
    cache = TieredCache()
    model = counting("one", "two", "three", cache=cache)
    chain = model | (lambda message: message.content)

    def ask(**switches: Any) -> Any:
        return chain.invoke("hi", {"configurable": switches})

    assert ask(cache_no_store=True) == "one"
    assert ask() == "two"
    assert ask(cache_bypass=True) == "three"
    assert ask() == "three"  # what a bypassing call got is remembered
    assert await chain.ainvoke("hi") == "three"
    config = {"configurable": {"cache_bypass": True, "cache_no_store": True}}
    await chain.ainvoke("hi", config)
    assert model.calls == 4
    chain.invoke("hi", {"metadata": {"tenant": "acme"}})
    assert model.calls == 5


def test_a_request_without_a_key_is_told_once_and_never_cached(
    counting: Any, caplog: pytest.LogCaptureFixture
):
    cache = TieredCache()
    model = counting(cache=cache)
    for _ in range(2):
        model.invoke("hi", hook=object())
    assert model.calls == 2
    assert cache.stats().uncacheable == 4  # a lookup and an update each
    assert [r.message.startswith("not cached") for r in caplog.records] == [True]


def test_a_deep_copied_model_shares_its_cache():
    cache = TieredCache()
    assert copy.deepcopy({"cache": cache})["cache"] is cache
