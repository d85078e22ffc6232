"""The memory tier is an LRU bounded in entries and bytes: checked against a model."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
)

from langchain_llmops.caching import Entry, MemoryTier
from langchain_llmops.caching.tiers.memory import _OVERHEAD
from langchain_llmops.errors import ConfigurationError

KEYS = st.sampled_from("abcdefg")


class LruMachine(RuleBasedStateMachine):
    """Compare the tier with a list that is always in order of use."""

    def __init__(self) -> None:
        super().__init__()
        self.max_entries = 4
        self.max_bytes = 3 * _OVERHEAD + 30
        self.tier = MemoryTier(max_entries=4, max_bytes=self.max_bytes)
        self.now = 0.0
        self.model: list[tuple[str, Entry]] = []
        self.evicted = 0

    def size(self) -> int:
        return sum(len(entry.value) + _OVERHEAD for _, entry in self.model)

    def live(self, entry: Entry) -> bool:
        return entry.expires_at is None or entry.expires_at > self.now

    @rule(key=KEYS, size=st.integers(0, 40), ttl=st.none() | st.integers(1, 5))
    def set(self, key: str, size: int, ttl: int | None) -> None:
        entry = Entry(b"x" * size, None if ttl is None else self.now + ttl)
        self.tier.set(key, entry, self.now)
        self.model = [(k, e) for k, e in self.model if k != key]
        if size + _OVERHEAD <= self.max_bytes:
            self.model.append((key, entry))
        while len(self.model) > self.max_entries or self.size() > self.max_bytes:
            _, gone = self.model.pop(0)
            self.evicted += self.live(gone)

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        found = self.tier.get(key, self.now)
        expected = next((e for k, e in self.model if k == key and self.live(e)), None)
        assert found == expected
        self.model = [(k, e) for k, e in self.model if k != key]
        if expected is not None:
            self.model.append((key, expected))

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds

    @precondition(lambda self: self.model)
    @rule()
    def clear(self) -> None:
        self.tier.clear()
        self.model = []

    @invariant()
    def bounds_hold(self) -> None:
        assert len(self.tier) == len(self.model) <= self.max_entries
        assert self.tier.size_bytes == self.size() <= self.max_bytes
        assert self.tier.evictions == self.evicted


TestLru = LruMachine.TestCase
TestLru.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdefghij"),
            st.integers(0, 300),
            st.none() | st.floats(0, 1),
            st.integers(0, 2_000),
            st.none() | st.integers(1, 5),
        ),
        max_size=60,
    )
)
def test_eviction_by_value_never_exceeds_the_bounds(steps: list[Any]):
    tier = MemoryTier(max_entries=4, max_bytes=4 * _OVERHEAD, evict="value")
    for now, (key, size, usd, tokens, ttl) in enumerate(steps):
        expires_at = None if ttl is None else now + ttl
        tier.set(key, Entry(b"x" * size, expires_at, usd, tokens), now)
        kept = dict(tier.scan(0))
        assert len(tier) == len(kept) <= 4
        sizes = [len(entry.value) + _OVERHEAD for entry in kept.values()]
        assert tier.size_bytes == sum(sizes) <= 4 * _OVERHEAD
        tier.get("abcdefghij"[now % 10], now)
        tier.remove("a" if now % 7 == 0 else "")
    tier.clear()
    assert (len(tier), tier.size_bytes) == (0, 0)


def test_by_value_the_dear_answer_outlives_many_cheap_ones():
    dear, cheap = Entry(b"x" * 100, None, 0.5, 900), Entry(b"x" * 100, None, 0.001, 9)
    tiers = {rule: MemoryTier(max_entries=3, evict=rule) for rule in ("lru", "value")}
    for tier in tiers.values():
        tier.set("dear", dear, 0)
        for number in range(20):
            tier.set(str(number), cheap, 0)
    assert tiers["lru"].get("dear", 0) is None
    assert tiers["value"].get("dear", 0) == dear
    assert tiers["value"].evictions == 18


def test_by_value_saves_more_money_than_lru_where_prices_differ():
    rng = random.Random(5)
    prices = [0.0005 * 200 ** rng.random() for _ in range(400)]
    traffic = rng.choices(range(400), [1 / (n + 1) for n in range(400)], k=8_000)
    saved = {"lru": 0.0, "value": 0.0}
    for order in saved:
        tier = MemoryTier(max_entries=40, evict=order)  # type: ignore[arg-type]  # both are one
        for number in traffic:
            if tier.get(str(number), 0):
                saved[order] += prices[number]
            else:
                tier.set(str(number), Entry(b"x" * 800, None, prices[number], 9), 0)
    assert saved["value"] > 1.25 * saved["lru"]


def test_an_unknown_rule_is_an_error():
    with pytest.raises(ConfigurationError, match="evict='fifo'"):
        MemoryTier(evict="fifo")  # type: ignore[arg-type]  # what is tested


@given(size=st.integers(1, 100))
def test_a_value_larger_than_the_tier_leaves_the_others_alone(size: int):
    tier = MemoryTier(max_bytes=_OVERHEAD + 10)
    tier.set("small", Entry(b"x", None), 0)
    tier.set("large", Entry(b"x" * (10 + size), None), 0)
    assert tier.get("small", 0)
    assert tier.get("large", 0) is None


async def test_async_methods_do_the_same():
    tier = MemoryTier()
    await tier.aset("a", Entry(b"x", None), 0)
    assert await tier.aget("a", 0) == tier.get("a", 0) == Entry(b"x", None)
    await tier.aclear()
    assert len(tier) == 0
    tier.close()


@pytest.mark.parametrize("bounds", [{"max_entries": 0}, {"max_bytes": -1}])
def test_a_bound_that_keeps_nothing_is_an_error(bounds: dict[str, int]):
    with pytest.raises(ConfigurationError, match="keeps nothing"):
        MemoryTier(**bounds)


def test_threads_leave_the_books_in_order():
    tier = MemoryTier(max_entries=50)

    def work(seed: int) -> None:
        for step in range(2_000):
            key = str((seed * 31 + step * 7) % 90)
            tier.set(key, Entry(b"x" * (step % 50), None), 0)
            tier.get(str(step % 90), 0)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = [tier.get(str(key), 0) for key in range(90)]
    sizes = [len(entry.value) + _OVERHEAD for entry in kept if entry is not None]
    assert len(tier) == len(sizes) == 50
    assert tier.size_bytes == sum(sizes)
