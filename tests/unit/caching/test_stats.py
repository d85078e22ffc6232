"""One place says what a cache and the layers around it did."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from langchain_llmops.caching import CacheLayer, MemoryTier, TieredCache, cache_scope
from langchain_llmops.models import with_layers
from langchain_llmops.pricing import Prices


@pytest.fixture
def prices() -> Prices:
    return Prices()


def test_requests_hits_and_what_they_saved(counting: Any):
    cache = TieredCache()
    model = with_layers(counting(), CacheLayer(cache))
    assert cache.stats().hit_rate is None
    marks = [model.invoke("q").response_metadata.get("cache") for _ in range(4)]
    stats = cache.stats()
    assert (stats.requests, stats.hits, stats.misses, stats.stores) == (4, 3, 1, 1)
    assert stats.hit_rate == 0.75
    assert stats.saved_tokens == 3 * 1_100
    assert stats.saved_usd == pytest.approx(sum(m["saved_usd"] for m in marks if m))
    assert stats.saved_usd > 0
    assert stats.unpriced_hits == 0


def test_a_hit_of_unknown_price_is_not_counted_as_free(counting: Any):
    cache = TieredCache()
    model = with_layers(counting(model_name="nobody-s"), CacheLayer(cache))
    for _ in range(3):
        model.invoke("q")
    stats = cache.stats()
    assert (stats.saved_tokens, stats.saved_usd, stats.unpriced_hits) == (2_200, 0, 2)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (AIMessage(""), "empty"),
        (AIMessage("a", response_metadata={"finish_reason": "length"}), "cut"),
        (
            AIMessage("a", response_metadata={"finish_reason": "content_filter"}),
            "withheld",
        ),
        (AIMessage("a", additional_kwargs={"refusal": "no"}), "withheld"),
        (
            AIMessage(
                "",
                invalid_tool_calls=[{"name": "f", "args": "{", "id": "1", "error": ""}],
            ),
            "malformed",
        ),
        (AIMessage("a", additional_kwargs={"x": object()}), "unwritable"),
        (AIMessage("unwanted"), "store_if"),
    ],
)
def test_why_an_answer_was_not_stored(counting: Any, answer: AIMessage, reason: str):
    cache = TieredCache()
    layer = CacheLayer(cache, store_if=lambda message: message.text != "unwanted")
    with_layers(counting(answer), layer).invoke("q")
    stats = cache.stats()
    assert stats.skipped_by_reason == {reason: 1}
    assert (stats.skipped, stats.stores) == (1, 0)


def test_what_the_caller_keeps_out_is_told_apart(counting: Any):
    cache = TieredCache()
    model = with_layers(counting(), CacheLayer(cache))
    with cache_scope(no_store=True):
        model.invoke("q")
    call = {"name": "f", "args": {}, "id": "1"}
    model.invoke(
        [
            HumanMessage("q"),
            AIMessage("", tool_calls=[call]),
            ToolMessage("it broke", tool_call_id="1", status="error"),
        ]
    )
    assert cache.stats().skipped_by_reason == {"no_store": 1, "tool_error": 1}


def test_an_open_breaker_is_seen_until_it_closes(broken_tier: Any, clock: Any):
    cache = TieredCache([MemoryTier(), broken_tier], clock=clock)
    assert cache.stats().resting == ()
    cache.fetch("k")
    assert cache.stats().resting == ("broken",)
    clock.now += 5
    assert cache.stats().resting == ()
    assert cache.stats().errors == {"memory": 0, "broken": 1}


async def test_calls_that_waited_are_hits_and_not_misses(counting: Any):
    go_on = asyncio.Event()

    class Gated(counting):  # type: ignore[misc]  # a fixture is not a type
        async def _agenerate(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
            await go_on.wait()
            return self._generate(messages, *args, **kwargs)

    cache = TieredCache()
    layer = CacheLayer(cache)
    model = with_layers(Gated(), layer)
    tasks = [asyncio.create_task(model.ainvoke("q")) for _ in range(20)]
    flights = layer._flights.table._flights
    while sum(len(flight.waiters) for flight in flights.values()) < 19:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*tasks)
    stats = cache.stats()
    assert (stats.coalesced, stats.takeovers) == (19, 0)
    assert (stats.requests, stats.hits, stats.misses) == (20, 19, 1)
    assert [hot.count for hot in cache.hot()] == [20]


def test_a_refresh_is_a_miss_and_counts_as_stale_only_if_it_fails(
    counting: Any, clock: Any
):
    cache = TieredCache(soft_ttl=timedelta(minutes=1), jitter=0, clock=clock)
    bare = counting("old", ConnectionError("down"), "new")
    model = with_layers(bare, CacheLayer(cache))
    model.invoke("q")
    clock.now += 61
    assert model.invoke("q").text == "old"  # its refresh failed
    stats = cache.stats()
    assert (stats.refreshes, stats.stale, stats.hits, stats.misses) == (1, 1, 1, 1)
    clock.now += 31  # the next one is told
    assert model.invoke("q").text == "new"
    stats = cache.stats()
    assert (stats.refreshes, stats.stale, stats.hits, stats.misses) == (2, 1, 1, 2)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=30))
def test_every_request_is_a_hit_or_a_miss(steps: list[tuple[str, bool]]):
    from langchain_core.language_models import FakeListChatModel  # noqa: PLC0415

    cache = TieredCache([MemoryTier(max_entries=2)])
    model = with_layers(FakeListChatModel(responses=["x"]), CacheLayer(cache))
    marked = 0
    for prompt, streams in steps:
        if streams:
            chunks = list(model.stream(prompt))
            marked += "cache" in chunks[0].response_metadata
        else:
            marked += "cache" in model.invoke(prompt).response_metadata
    stats = cache.stats()
    assert stats.hits == marked
    assert stats.requests == stats.hits + stats.misses == len(steps)
    assert stats.misses == stats.stores


class Lease:
    """A lease that another process gives back when asked a second time, or none."""

    ttl_s = 10.0

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)

    def acquire(self, key: str) -> str | None:
        if not self.answers:
            raise ConnectionError("the store is gone")
        return self.answers.pop(0)

    def renew(self, key: str, token: str) -> bool:
        return True

    def release(self, key: str, token: str) -> None:
        pass


def test_what_happens_to_leases_is_counted(counting: Any):
    cache = TieredCache()
    layer = CacheLayer(cache, lease=Lease(None, "token"))
    keeper = layer._flights.leases
    keeper._sleep = keeper._renew_on = keeper._start = lambda *_: None
    model = with_layers(counting(), layer)
    model.invoke("q")  # waited for another process, which left without an answer
    assert (cache.stats().takeovers, cache.stats().lease_errors) == (1, 0)
    model.invoke("another")  # the store failed: without a lease
    assert (cache.stats().takeovers, cache.stats().lease_errors) == (1, 1)
