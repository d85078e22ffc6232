from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from langchain_llmops.caching import Entry, MemoryTier
from langchain_llmops.caching.tiers.batch import GuardedBatches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ENTRIES = {f"k{n}": Entry(b"v", None) for n in range(3)}


class BrokenBatches(MemoryTier):
    """A tier with batches whose backend is gone until told otherwise."""

    broken = True
    tried = 0

    def get_many(self, keys: Sequence[str], now: float) -> list[Entry | None]:
        self.tried += 1
        if self.broken:
            raise ConnectionError("gone")
        return [self.get(key, now) for key in keys]

    async def aget_many(self, keys: Sequence[str], now: float) -> list[Entry | None]:
        return self.get_many(keys, now)

    def set_many(self, entries: Mapping[str, Entry], now: float) -> None:
        self.tried += 1
        if self.broken:
            raise ConnectionError("gone")
        for key, entry in entries.items():
            self.set(key, entry, now)

    async def aset_many(self, entries: Mapping[str, Entry], now: float) -> None:
        self.set_many(entries, now)


def guard(tier: Any, clock: Any) -> GuardedBatches:
    return GuardedBatches(tier, rest=timedelta(seconds=5), clock=clock)


@pytest.mark.parametrize("kind", ["batches", "one by one"])
async def test_values_come_back_in_the_order_of_their_keys(kind: str, clock: Any):
    tier = BrokenBatches() if kind == "batches" else MemoryTier()
    tier.broken = False  # type: ignore[union-attr]
    guarded = guard(tier, clock)
    assert guarded.set_many(ENTRIES, 0.0) == 3
    assert await guarded.aset_many({"k9": Entry(b"9", None)}, 0.0) == 1
    expected = [Entry(b"9", None), None, Entry(b"v", None)]
    assert guarded.get_many(["k9", "x", "k0"], 0.0) == expected
    assert await guarded.aget_many(["k9", "x", "k0"], 0.0) == expected


async def test_a_lost_backend_is_one_error_and_rests(clock: Any):
    tier = BrokenBatches()
    guarded = guard(tier, clock)
    assert guarded.get_many([*ENTRIES], clock()) == [None] * 3
    assert await guarded.aget_many([*ENTRIES], clock()) == [None] * 3
    assert guarded.set_many(ENTRIES, clock()) == 0
    assert await guarded.aset_many(ENTRIES, clock()) == 0
    assert (guarded.errors, guarded.rested, tier.tried) == (1, 3, 1)
    clock.now += 6
    assert await guarded.aget_many([*ENTRIES], clock()) == [None] * 3
    clock.now += 6
    assert guarded.set_many(ENTRIES, clock()) == 0
    clock.now += 6
    assert await guarded.aset_many(ENTRIES, clock()) == 0
    assert guarded.errors == 4


async def test_a_tier_without_batches_is_left_alone_at_its_first_failure(
    broken_tier: Any, clock: Any
):
    guarded = guard(broken_tier, clock)
    assert guarded.get_many([*ENTRIES], clock()) == [None] * 3
    assert await guarded.aset_many(ENTRIES, clock()) == 0
    assert (guarded.errors, broken_tier.tried) == (1, 1)


async def test_nothing_asks_nobody(clock: Any):
    tier = BrokenBatches()
    guarded = guard(tier, clock)
    assert guarded.get_many([], 0.0) == await guarded.aget_many([], 0.0) == []
    assert guarded.set_many({}, 0.0) == await guarded.aset_many({}, 0.0) == 0
    assert tier.tried == 0
