"""The SQLite tier lasts, is shared, stays bounded, and does not block a loop."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from langchain_llmops.caching import Entry, SQLiteTier
from langchain_llmops.caching.tiers.sqlite import _SWEEP_EVERY
from langchain_llmops.errors import ConfigurationError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ENTRY = Entry(b"\x00value", None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache.db"


@pytest.fixture
def tier(path: Path) -> Iterator[SQLiteTier]:
    with closing(SQLiteTier(path)) as opened:
        yield opened


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT count(*) FROM llmops_cache").fetchone()[0]


def test_values_come_back_until_they_expire(tier: SQLiteTier):
    tier.set("a", Entry(b"one", 10.0), now=0)
    assert tier.get("a", now=9.9) == Entry(b"one", 10.0)
    assert tier.get("a", now=10.0) is None
    assert tier.get("b", now=0) is None


def test_a_new_value_takes_the_place_of_the_old(tier: SQLiteTier, path: Path):
    tier.set("a", Entry(b"one", 10.0), now=0)
    tier.set("a", Entry(b"two", None), now=0)
    assert tier.get("a", now=99) == Entry(b"two", None)
    assert rows(path) == 1


def test_values_survive_a_restart(tier: SQLiteTier, path: Path):
    tier.set("a", ENTRY, now=0)
    tier.close()
    with closing(SQLiteTier(path)) as reopened:
        assert reopened.get("a", now=0) == ENTRY


def test_two_connections_see_each_other_at_once(tier: SQLiteTier, path: Path):
    with closing(SQLiteTier(path)) as other:
        assert other.get("a", now=0) is None
        tier.set("a", ENTRY, now=0)
        assert other.get("a", now=0) == ENTRY
        other.clear()
        assert tier.get("a", now=0) is None


async def test_async_methods_do_the_same_off_the_loop(tier: SQLiteTier):
    # blockbuster fails this test if one of them runs SQLite on the loop.
    await tier.aset("a", ENTRY, now=0)
    found = await asyncio.gather(*(tier.aget("a", now=0) for _ in range(20)))
    assert found == [ENTRY] * 20
    await tier.aclear()
    assert await tier.aget("a", now=0) is None


def test_expired_rows_are_swept_by_later_writes(tier: SQLiteTier, path: Path):
    tier.set("old", Entry(b"x", 1.0), now=0)
    for number in range(_SWEEP_EVERY):
        tier.set(str(number), ENTRY, now=5.0)
    assert rows(path) == _SWEEP_EVERY
    assert tier.evictions == 0


def test_the_oldest_go_when_the_file_is_full(path: Path):
    with closing(SQLiteTier(path, max_bytes=200_000)) as tier:
        for number in range(4 * _SWEEP_EVERY):
            tier.set(f"{number:04}", Entry(b"x" * 4_000, None), now=float(number))
        kept = [n for n in range(4 * _SWEEP_EVERY) if tier.get(f"{n:04}", now=0)]
        assert tier.evictions == 4 * _SWEEP_EVERY - len(kept) > 0
        assert kept == list(range(tier.evictions, 4 * _SWEEP_EVERY))


def ranks(path: Path) -> dict[str, tuple[int, float]]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT key, uses, rank FROM llmops_cache_rank")
        return {key: (uses, rank) for key, uses, rank in found}


def test_by_value_what_saves_least_per_byte_goes_when_the_file_is_full(path: Path):
    with closing(SQLiteTier(path, max_bytes=200_000, evict="value")) as tier:
        for number in range(4 * _SWEEP_EVERY):
            usd = 1.0 if number % 16 == 0 else 0.001
            entry = Entry(b"x" * 4_000, None, usd, 100)
            tier.set(f"{number:04}", entry, now=float(number))
        kept = [n for n in range(4 * _SWEEP_EVERY) if tier.get(f"{n:04}", now=0)]
        assert tier.evictions == 4 * _SWEEP_EVERY - len(kept) > 0
        assert {n for n in kept if n % 16 == 0} == set(range(0, 4 * _SWEEP_EVERY, 16))
    assert set(ranks(path)) == {f"{number:04}" for number in kept}


def test_by_value_what_was_dear_leaves_at_last(path: Path):
    with closing(SQLiteTier(path, max_bytes=60_000, evict="value")) as tier:
        tier.set("dear", Entry(b"x" * 4_000, None, 0.005, 100), now=0)
        for number in range(20 * _SWEEP_EVERY):
            tier.set(str(number), Entry(b"x" * 2_000, None, 0.001, 100), now=number)
            if number % _SWEEP_EVERY == 0 and "dear" not in ranks(path):
                break
        else:
            pytest.fail("it never left")
        assert number > 2 * _SWEEP_EVERY
        assert tier.get("dear", now=0) is None


def test_by_value_uses_count_and_are_written_with_the_next_sweep(path: Path):
    with closing(SQLiteTier(path, evict="value")) as tier:
        tier.set("a", Entry(b"x" * 800, None, 1.0, 100), now=0)
        once = ranks(path)["a"]
        for _ in range(4):
            tier.get("a", now=0)
        assert ranks(path)["a"] == once == (1, pytest.approx(0.001))
        for number in range(_SWEEP_EVERY):
            tier.set(str(number), ENTRY, now=0)
        assert ranks(path)["a"] == (5, pytest.approx(0.005))
        tier.set("a", Entry(b"x" * 800, None, 1.0, 100), now=0)
        assert ranks(path)["a"] == (6, pytest.approx(0.006))


def test_by_value_ranks_leave_with_their_rows(path: Path):
    with closing(SQLiteTier(path, evict="value")) as tier:
        tier.set("old", Entry(b"x", 1.0), now=0)
        for number in range(_SWEEP_EVERY):
            tier.set(str(number), ENTRY, now=5.0)
        assert "old" not in ranks(path)
        tier.remove(["1", "2"])
        assert len(ranks(path)) == rows(path) == _SWEEP_EVERY - 2
        tier.clear()
        assert ranks(path) == {}


def test_a_file_serves_both_rules(tier: SQLiteTier, path: Path):
    tier.set("a", ENTRY, now=0)
    with closing(SQLiteTier(path, max_bytes=1, evict="value")) as other:
        assert other.get("a", now=0) == ENTRY
        other.set("b", Entry(b"x", None, 1.0, 1), now=0)  # a sweep: one goes
        assert other.get("a", now=0) is None
        assert tier.get("b", now=0) == Entry(b"x", None)


def test_an_unknown_rule_is_an_error(path: Path):
    with pytest.raises(ConfigurationError, match="evict='lru'"):
        SQLiteTier(path, evict="lru")  # type: ignore[arg-type]  # what is tested


def test_a_bound_that_keeps_nothing_is_an_error(path: Path):
    with pytest.raises(ConfigurationError, match="keeps nothing"):
        SQLiteTier(path, max_bytes=0)


def test_a_corrupt_file_is_one_clear_error(path: Path):
    path.write_bytes(b"certainly no database " * 1_000)
    with pytest.raises(StorageError, match="not a usable SQLite database") as caught:
        SQLiteTier(path)
    assert str(path) in str(caught.value)


def test_a_table_that_cannot_be_made_is_one_clear_error(path: Path):
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("PRAGMA journal_mode = WAL")
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError, match="locked by another program"):
            SQLiteTier(path, busy_timeout_s=0.01)
