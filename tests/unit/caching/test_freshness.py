"""Freshness: fresh, stale, expired; one refresh; a stand-in for a model that fails."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration

from langchain_llmops.caching import CacheRequest, MemoryTier, TieredCache
from langchain_llmops.caching.freshness import Freshness, judge
from langchain_llmops.errors import ConfigurationError

ORDER = ["fresh", "stale", "expired"]
TIMES = st.floats(0, 1e6)
REQUEST = CacheRequest(key="k", partition="p", question="q", model=None)


def said(text: str = "four") -> list[ChatGeneration]:
    return [ChatGeneration(message=AIMessage(text))]


class SecondTier(MemoryTier):
    name = "second"  # type: ignore[misc]


def at_most(seconds: float) -> CacheRequest:
    return CacheRequest(
        key="k", partition="p", question="q", model=None, max_age_s=seconds
    )


@given(
    st.tuples(TIMES, TIMES).map(sorted),
    st.none() | TIMES,
    st.none() | TIMES,
    st.none() | TIMES,
)
def test_an_answer_never_gets_fresher(
    moments: list[float],
    stale_at: float | None,
    expires_at: float | None,
    max_age_s: float | None,
):
    verdicts = [
        judge(
            now=now,
            stored_at=0,
            stale_at=stale_at,
            expires_at=expires_at,
            max_age_s=max_age_s,
        )
        for now in moments
    ]
    assert ORDER.index(verdicts[0]) <= ORDER.index(verdicts[1])
    # A caller who asks for less age never gets more.
    free = judge(
        now=moments[1],
        stored_at=0,
        stale_at=stale_at,
        expires_at=expires_at,
        max_age_s=None,
    )
    assert ORDER.index(free) <= ORDER.index(verdicts[1])
    if verdicts[1] != "expired" and max_age_s is not None:
        assert moments[1] <= max_age_s


@given(
    st.floats(1, 1e5),
    st.floats(0.01, 0.99),
    st.floats(1, 1e5),
    st.floats(0, 0.99),
    st.floats(0, 1, exclude_max=True),
)
def test_the_times_of_an_answer_keep_their_order(
    ttl: float, share: float, grace: float, jitter: float, roll: float
):
    rule = Freshness(
        ttl_s=ttl, soft_ttl_s=ttl * share, stale_if_error_s=grace, jitter=jitter
    )
    life = rule.lifetime(0.0, roll)
    assert 0 < life.stale_at < life.expires_at < life.kept_until
    assert life.expires_at == pytest.approx(ttl, rel=jitter + 1e-9)


def test_a_stale_answer_is_given_and_one_caller_is_told_to_refresh_it(clock: Any):
    cache = TieredCache(soft_ttl=timedelta(seconds=10), jitter=0, clock=clock)
    cache.put(REQUEST, said())
    clock.now += 9
    assert not cache.get(REQUEST).stale
    clock.now += 1
    hits = [cache.get(REQUEST) for _ in range(3)]
    assert [hit.stale for hit in hits] == [True] * 3
    assert [hit.refresh for hit in hits] == [True, False, False]
    stats = cache.stats()
    assert (stats.stale, stats.refreshes, stats.misses) == (2, 1, 1)
    clock.now += 30  # the refresh brought nothing: another one may try
    assert cache.get(REQUEST).refresh
    cache.put(REQUEST, said("five"))
    hit = cache.get(REQUEST)
    assert (hit.stale, hit.generations[0].text) == (False, "five")
    clock.now += 10
    assert cache.get(REQUEST).refresh  # a new answer, a new refresh


def test_through_langchains_hook_the_one_caller_waits_and_the_others_do_not(
    counting: Any, clock: Any
):
    cache = TieredCache(soft_ttl=timedelta(seconds=10), jitter=0, clock=clock)
    model = counting("old", "new", cache=cache)
    model.invoke("hi")
    clock.now += 10
    assert model.invoke("hi").content == "new"
    assert model.invoke("hi").content == "new"
    assert model.calls == 2


async def test_a_newer_answer_further_down_is_preferred(clock: Any):
    tiers = [MemoryTier(), SecondTier()]
    options: Any = {"soft_ttl": timedelta(seconds=10), "jitter": 0, "clock": clock}
    here = TieredCache(tiers, **options)
    there = TieredCache([tiers[1]], **options)
    here.put(REQUEST, said("old"))
    clock.now += 11
    there.put(REQUEST, said("new"))
    assert [(await here.aget(REQUEST)).generations[0].text] == ["new"]
    assert here.get(REQUEST).mark["tier"] == "memory"


async def test_a_caller_may_ask_for_a_younger_answer(clock: Any):
    cache = TieredCache(clock=clock)
    cache.put(REQUEST, said())
    clock.now += 60
    assert cache.get(at_most(60))
    assert await cache.aget(at_most(60))
    assert cache.get(at_most(59)) is None
    assert await cache.aget(at_most(59)) is None
    assert cache.fetch("k", max_age_s=59) is None
    assert cache.get(REQUEST)


def test_max_age_comes_from_the_config(counting: Any, clock: Any):
    cache = TieredCache(clock=clock)
    model = counting("old", "new", cache=cache)
    chain = model | (lambda message: message.content)
    young = {"configurable": {"cache_max_age": timedelta(seconds=5)}}
    assert chain.invoke("hi", young) == "old"
    clock.now += 5
    assert chain.invoke("hi", young) == "old"
    clock.now += 1
    assert chain.invoke("hi", young) == "new"
    assert chain.invoke("hi") == "new"


async def test_an_expired_answer_stands_in_for_a_failed_model(clock: Any):
    cache = TieredCache(
        ttl=timedelta(seconds=10),
        stale_if_error=timedelta(seconds=20),
        jitter=0,
        clock=clock,
    )
    cache.put(REQUEST, said())
    clock.now += 10
    assert cache.get(REQUEST) is None
    hit = cache.fallback(REQUEST)
    assert (hit.stale, hit.refresh, hit.mark["age_s"]) == (True, False, 10.0)
    assert (await cache.afallback(REQUEST)).generations[0].text == "four"
    assert cache.fallback(at_most(9)) is None
    cache.invalidate(predicate=lambda answer: answer.text == "four")
    assert cache.fallback(REQUEST) is None
    cache.put(REQUEST, said())
    clock.now += 30
    assert cache.fallback(REQUEST) is None
    assert cache.stats().stale == 2


async def test_nothing_stands_in_unless_asked_for(clock: Any):
    cache = TieredCache(ttl=timedelta(seconds=10), jitter=0, clock=clock)
    cache.put(REQUEST, said())
    assert cache.fallback(REQUEST) is await cache.afallback(REQUEST) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"soft_ttl": timedelta(0)}, "over at once"),
        ({"soft_ttl": timedelta(2), "ttl": timedelta(1)}, "shorter than ttl"),
        ({"stale_if_error": timedelta(1)}, "needs a ttl"),
        ({"tag_ttl": timedelta(-1)}, "must not be negative"),
    ],
)
def test_bad_times_say_what_to_do(arguments: dict[str, Any], message: str):
    with pytest.raises(ConfigurationError, match=message):
        TieredCache(**arguments)
