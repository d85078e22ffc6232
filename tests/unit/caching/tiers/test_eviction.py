"""What leaves a full tier: the least recent, or what saves the least per byte."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.caching.tiers.eviction import (
    _DEAD,
    Appraiser,
    LeastRecent,
    LeastValuable,
)

KEYS = "abcdefgh"
STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "use", "remove", "evict"]), st.integers(0, 7)),
    max_size=80,
)


def put(order: LeastValuable | LeastRecent, key: str, usd: float = 1.0) -> None:
    order.add(key, usd=usd, tokens=10, size=100)


@given(steps=STEPS, seed=st.integers(0, 9))
def test_the_lowest_rank_leaves_and_raises_the_level(
    steps: list[tuple[str, int]], seed: int
):
    """Compare with the definition, computed for all keys at each step."""
    order, level, turn = LeastValuable(), 0.0, 0
    ranks: dict[str, float] = {}
    uses: Counter[str] = Counter()
    values = {
        key: ((seed + 3 * at) % 5 + 1) / (100 * (at % 3 + 1))
        for at, key in enumerate(KEYS)
    }
    for step, at in steps:
        key, turn = KEYS[at], turn + 1
        if step == "add" and key not in ranks:
            size = 100 * (at % 3 + 1)
            order.add(key, usd=values[key] * size, tokens=1, size=size)
            uses[key] = 1
            ranks[key] = level + values[key]
        elif step == "use" and key in ranks:
            order.use(key)
            uses[key] += 1
            ranks[key] = level + uses[key] * values[key]
        elif step == "remove" and key in ranks:
            order.remove(key)
            del ranks[key]
        elif step == "evict" and ranks:
            gone = order.evict()
            assert ranks[gone] == pytest.approx(min(ranks.values()))
            level = ranks.pop(gone)
            assert order.level == pytest.approx(level)


@given(st.lists(st.sampled_from(KEYS), min_size=1, max_size=60))
def test_with_equal_costs_and_sizes_the_least_used_leaves(uses: list[str]):
    order = LeastValuable()
    for key in KEYS:
        put(order, key)
    for key in uses:
        order.use(key)
    counts = Counter(uses)
    left = [order.evict() for _ in KEYS]
    # Before anything leaves the level is 0: the order is that of use.
    assert counts[left[0]] == min(counts[key] for key in KEYS)
    assert [counts[key] for key in left] == sorted(counts[key] for key in left)


def test_with_equal_costs_and_no_uses_the_first_in_is_the_first_out():
    order = LeastValuable()
    for key in KEYS:
        put(order, key)
    assert "".join(order.evict() for _ in KEYS) == KEYS


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ({"usd": 0.01, "size": 100}, {"usd": 0.02, "size": 100}),
        ({"usd": 0.01, "size": 200}, {"usd": 0.01, "size": 100}),
        ({"usd": None, "size": 100, "tokens": 10}, {"usd": 1.0, "size": 100}),
    ],
)
def test_dollars_per_byte_decide(worse: dict, better: dict):
    order = LeastValuable()
    order.add("better", **{"tokens": 10_000, **better})
    order.add("worse", **{"tokens": 10_000, **worse})
    assert order.evict() == "worse"


@given(dear=st.floats(0.1, 10), cheap=st.floats(0.001, 0.01))
def test_what_was_dear_and_is_asked_for_no_more_leaves_at_last(
    dear: float, cheap: float
):
    order, rounds = LeastValuable(), 0
    put(order, "dear", dear)
    put(order, "0", cheap)
    while (gone := order.evict()) != "dear":
        rounds += 1
        assert gone == str(rounds - 1)
        put(order, str(rounds), cheap)
        assert rounds <= math.ceil(dear / cheap) + 1
    assert rounds >= math.floor(dear / cheap) - 1


def test_the_books_stay_small_however_often_keys_come_and_go():
    order = LeastValuable()
    put(order, "stays")
    for number in range(5_000):
        put(order, str(number))
        order.use("stays")
        order.remove(str(number))
    assert len(order._heap) <= 2 * len(order._kept) + _DEAD + 1
    assert order.evict() == "stays"


def test_a_key_that_came_back_is_ranked_once():
    order = LeastValuable()
    put(order, "a")
    order.remove("a")
    put(order, "a", 5.0)
    put(order, "b", 2.0)
    assert [order.evict(), order.evict()] == ["b", "a"]


def test_clear_starts_over():
    for order in (LeastValuable(), LeastRecent()):
        put(order, "a")
        order.clear()
        put(order, "a")
        put(order, "b")
        assert [order.evict(), order.evict()] == ["a", "b"]


def test_lru_lets_the_least_recent_leave():
    order = LeastRecent()
    for key in "abc":
        put(order, key)
    order.use("a")
    order.remove("b")
    assert [order.evict(), order.evict()] == ["c", "a"]


def test_an_unknown_price_is_estimated_and_not_nothing():
    appraiser = Appraiser()
    unpriced = appraiser.worth(None, 100, 50)
    assert unpriced == pytest.approx(2 * appraiser.worth(None, 50, 50))
    assert appraiser.worth(None, 0, 400) == pytest.approx(unpriced)
    assert unpriced > 0
    assert appraiser.worth(0.02, 1_000, 50) == 0.02
    # From here on a token is worth what those of priced answers cost.
    assert appraiser.worth(None, 100, 50) == pytest.approx(0.002)


def test_a_price_of_nothing_is_known_and_is_nothing():
    assert Appraiser().worth(0.0, 100, 50) == 0.0


@pytest.mark.parametrize("usd", [math.inf, math.nan, -1.0])
def test_a_price_that_cannot_be_is_unknown(usd: float):
    appraiser = Appraiser()
    assert appraiser.worth(usd, 100, 50) == appraiser.worth(None, 100, 50) > 0


def test_without_price_and_tokens_uses_decide():
    order = LeastValuable()
    order.add("long", usd=None, tokens=0, size=900)
    order.add("short", usd=None, tokens=0, size=90)
    order.use("long")
    assert order.evict() == "short"
