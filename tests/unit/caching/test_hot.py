"""hot(n): the frequent questions are known, within bounds; warm() asks them before."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops import CacheLayer, TieredCache, with_layers
from langchain_llmops.caching.hot import HotQuestions
from langchain_llmops.errors import ConfigurationError

STREAMS = st.lists(st.sampled_from("abcdefghijkl"), max_size=300)


@given(STREAMS, st.integers(1, 8))
def test_counts_are_bounded_from_both_sides(stream: list[str], capacity: int):
    sketch, truth = HotQuestions(capacity), Counter(stream)
    for key in stream:
        sketch.add(key, key.upper())
    top = sketch.top(1_000)
    assert len(top) == min(capacity, len(truth))
    for question in top:
        assert question.count - question.error <= truth[question.key] <= question.count
        assert question.text == question.key.upper()
    # Whatever is asked more than once in `capacity` requests is known for certain.
    frequent = {key for key, count in truth.items() if count > len(stream) / capacity}
    assert frequent <= {question.key for question in top}
    assert sum(question.count for question in top) == len(stream)


def test_the_most_frequent_comes_first_with_its_text(counting: Any):
    cache = TieredCache()
    model = with_layers(counting(), CacheLayer(cache))
    for text in ("rare", "often", "often", "sometimes", "often", "sometimes"):
        model.invoke(text)
    assert [(hot.text, hot.count) for hot in cache.hot(2)] == [
        ("often", 3),
        ("sometimes", 2),
    ]
    assert model.invoke("often").response_metadata["cache"]["hit_id"] == (
        cache.hot(1)[0].key
    )


async def test_async_lookups_count_and_long_texts_are_cut(counting: Any):
    cache = TieredCache()
    await with_layers(counting(), CacheLayer(cache)).ainvoke("x" * 5_000)
    (hot,) = cache.hot()
    assert (hot.count, len(hot.text or "")) == (1, 2_000)


def test_a_sketch_without_room_is_refused():
    with pytest.raises(ConfigurationError, match="capacity=0"):
        HotQuestions(0)


# --- warm


def test_only_what_is_not_cached_is_asked(counting: Any):
    cache = TieredCache()
    model = with_layers(counting(), CacheLayer(cache))
    model.invoke("known")
    report = cache.warm(["known", "new", [("human", "newer")]], model)
    assert (report.prompts, report.cached, report.answered) == (3, 1, 2)
    assert (report.failed, report.errors) == (0, ())
    assert model.calls == 3
    assert model.invoke("newer").response_metadata["cache"]["hit"]


async def test_errors_are_counted_not_raised(counting: Any):
    cache = TieredCache()
    model = with_layers(
        counting("fine", ValueError("no"), ValueError("no")), CacheLayer(cache)
    )
    report = await cache.awarm(["a", "b", "c"], model, max_concurrency=1)
    assert (report.answered, report.failed) == (1, 2)
    assert report.errors == ("ValueError: no",)
    assert cache.warm([], model).prompts == 0


def test_a_concurrency_that_asks_nothing_is_refused(counting: Any):
    with pytest.raises(ConfigurationError, match="max_concurrency=0"):
        TieredCache().warm(["a"], counting(), max_concurrency=0)
