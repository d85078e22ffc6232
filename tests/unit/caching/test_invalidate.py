"""invalidate by what answers say, dry runs, feedback, clear: gone from every tier."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_llmops.caching import (
    CacheRequest,
    Entry,
    MemoryTier,
    SQLiteTier,
    TieredCache,
)
from langchain_llmops.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def request(key: str, *tags: str, namespace: str | None = None) -> CacheRequest:
    return CacheRequest(
        key=key, partition="", question=None, model=None, tags=tags, namespace=namespace
    )


def said(text: str) -> list[ChatGeneration]:
    return [ChatGeneration(message=AIMessage(text))]


@pytest.fixture
def process(tmp_path: Path, clock: Any) -> Iterator[Callable[[], TieredCache]]:
    with ExitStack() as opened:

        def make() -> TieredCache:
            tier = opened.enter_context(closing(SQLiteTier(tmp_path / "cache.db")))
            return TieredCache([MemoryTier(), tier], clock=clock)

        yield make


@pytest.fixture
def cache(process: Any) -> TieredCache:
    """Three answers: two on Rome, one with tags and a scope."""
    cache: TieredCache = process()
    cache.put(request("1"), said("Rome"))
    cache.put(request("2", "kb", namespace='"acme"'), said("Rome, too"))
    cache.put(request("3"), said("Paris"))
    return cache


def kept(cache: TieredCache) -> list[str]:
    return [key for key in "123" if cache.fetch(key)]


def test_a_predicate_sees_what_is_stored(cache: TieredCache, clock: Any):
    seen = {}
    cache.invalidate(predicate=lambda answer: bool(seen.update({answer.key: answer})))
    assert seen.keys() == {"1", "2", "3"}
    assert (seen["2"].text, seen["2"].tags) == ("Rome, too", ("kb",))
    assert (seen["2"].namespace, seen["2"].stored_at) == ('"acme"', clock.now)
    assert (seen["1"].tags, seen["1"].namespace) == ((), None)
    assert kept(cache) == ["1", "2", "3"]


def test_what_it_chooses_goes_from_every_tier(cache: TieredCache):
    done = cache.invalidate(predicate=lambda answer: answer.text == "Rome")
    assert (done.entries, done.dry_run) == (1, False)
    assert kept(cache) == ["2", "3"]
    done = asyncio.run(
        cache.ainvalidate(predicate=lambda answer: "Rome" in answer.text)
    )
    assert done.entries == 1
    assert kept(cache) == ["3"]


def test_a_dry_run_counts_and_changes_nothing(cache: TieredCache):
    rome = cache.invalidate(predicate=lambda a: "Rome" in a.text, dry_run=True)
    assert (rome.entries, rome.dry_run) == (2, True)
    assert cache.invalidate(["kb", "other"], dry_run=True).entries == 1
    assert cache.invalidate(namespace="acme", dry_run=True).entries == 1
    assert cache.invalidate(namespace="other", dry_run=True).entries == 0
    assert kept(cache) == ["1", "2", "3"]
    assert cache.invalidate(["kb"]).entries is None


def test_what_a_tag_has_made_invalid_is_not_counted_again(cache: TieredCache):
    cache.invalidate(["kb"])
    assert cache.invalidate(["kb"], dry_run=True).entries == 0
    assert cache.invalidate(namespace="acme", dry_run=True).entries == 0
    assert cache.invalidate(predicate=lambda a: "Rome" in a.text).entries == 1


def test_what_cannot_be_read_is_passed_over():
    tier = MemoryTier()
    tier.set("x", Entry(b"garbage", None), 0)
    assert TieredCache([tier]).invalidate(predicate=lambda _: True).entries == 0


def test_expired_answers_are_not_listed(clock: Any, tmp_path: Path):
    with closing(SQLiteTier(tmp_path / "cache.db")) as tier:
        for each in (MemoryTier(), tier):
            each.set("x", Entry(b"", clock.now), 0)
            each.set("y", Entry(b"", clock.now + 1), 0)
            assert [key for key, _ in each.scan(clock.now)] == ["y"]


def test_a_large_file_is_listed_in_pages(tmp_path: Path, monkeypatch: Any):
    with closing(SQLiteTier(tmp_path / "cache.db")) as tier:
        for number in range(1_001):
            tier._table.set(f"{number}", Entry(b"", None), 0, sweep_to_bytes=None)
        assert len({key for key, _ in tier.scan(0)}) == 1_001


def test_a_tier_that_cannot_list_says_so(broken_tier: Any):
    with pytest.raises(ConfigurationError, match="'broken' cannot be listed"):
        TieredCache([broken_tier]).invalidate(predicate=lambda _: True)


@pytest.mark.parametrize("how", ["predicate", "feedback", "clear"])
def test_other_processes_drop_their_copies_within_a_second(
    how: str, cache: TieredCache, process: Any, clock: Any
):
    there = process()
    assert kept(there) == ["1", "2", "3"]
    if how == "predicate":
        cache.invalidate(predicate=lambda answer: answer.key == "1")
    elif how == "feedback":
        asyncio.run(cache.afeedback("1", correct=False))
    else:
        asyncio.run(cache.aclear())
    clock.now += 1
    assert asyncio.run(there.afetch("1")) is None
    assert kept(there) == ([] if how == "clear" else ["2", "3"])


def test_a_wrong_answer_is_removed_and_a_right_one_stays(cache: TieredCache):
    cache.feedback("1", correct=True)
    asyncio.run(cache.afeedback("1", correct=True))
    assert kept(cache) == ["1", "2", "3"]
    cache.feedback("1", correct=False)
    asyncio.run(cache.afeedback("2", correct=False))
    assert kept(cache) == ["3"]
    assert cache.stats().quarantined == 2
    assert cache.stats().errors == {"memory": 0, "sqlite": 0}
    cache.put(request("1"), said("Rome is the capital"))
    assert kept(cache) == ["1", "3"]


async def test_feedback_that_did_not_reach_a_tier_is_told(broken_tier: Any):
    cache = TieredCache([MemoryTier(), broken_tier])
    with pytest.raises(StorageError, match="'broken' could not be changed"):
        cache.feedback("1", correct=False)
    with pytest.raises(StorageError, match="'broken' could not be changed"):
        await cache.afeedback("1", correct=False)
    assert cache.stats().quarantined == 0
