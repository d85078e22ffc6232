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
