"""A tier that fails is survived, counted, told of once, and left to rest."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import pytest

from langchain_llmops.caching import Entry
from langchain_llmops.caching.tiers.guarded import GuardedTier

ENTRY = Entry(b"x", None)


@pytest.fixture
def guarded(broken_tier: Any, clock: Any) -> GuardedTier:
    return GuardedTier(broken_tier, rest=timedelta(seconds=5), clock=clock)


async def test_no_operation_raises_or_pretends(guarded: GuardedTier, clock: Any):
    operations = [
        lambda: guarded.get("a", clock()),
        lambda: guarded.set("a", ENTRY, clock()),
        guarded.clear,
    ]
    for expected, operation in zip([None, False, None], operations, strict=True):
        assert operation() is expected
        clock.now += 5
    assert await guarded.aget("a", clock()) is None
    clock.now += 5
    assert await guarded.aset("a", ENTRY, clock()) is False
    await guarded.aclear()
    assert guarded.errors == 6


def test_a_failure_is_told_once(
    guarded: GuardedTier, clock: Any, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.WARNING, "langchain_llmops"):
        for _ in range(3):
            guarded.get("a", clock())
            clock.now += 5
    (record,) = caplog.records
    assert "'broken'" in record.message
    assert "ConnectionError: the backend is gone" in record.message


async def test_a_failed_tier_rests_then_is_tried_again(
    guarded: GuardedTier, broken_tier: Any, clock: Any
):
    guarded.get("a", clock())
    assert guarded.set("a", ENTRY, clock()) is False
    assert await guarded.aset("a", ENTRY, clock()) is False
    assert guarded.get("a", clock()) is await guarded.aget("a", clock()) is None
    assert (broken_tier.tried, guarded.rested) == (1, 4)
    broken_tier.broken = False
    clock.now += 5
    assert guarded.set("a", ENTRY, clock()) is True
    assert guarded.get("a", clock()) == ENTRY
    assert await guarded.aset("b", ENTRY, clock()) is True
    assert await guarded.aget("b", clock()) == ENTRY
    assert (guarded.errors, guarded.rested) == (1, 4)


def test_the_rest_begins_when_the_failure_is_known(broken_tier: Any, clock: Any):
    guarded = GuardedTier(broken_tier, rest=timedelta(seconds=5), clock=clock)
    asked_at = clock()
    clock.now += 4  # the backend took its time to fail
    guarded.get("a", asked_at)
    clock.now += 4
    assert guarded.get("a", clock()) is None
    assert broken_tier.tried == 1


def test_a_damaged_value_is_counted_without_a_rest(
    guarded: GuardedTier, broken_tier: Any, clock: Any
):
    broken_tier.broken = False
    guarded.damaged(ValueError("half a value"))
    assert guarded.errors == 1
    guarded.set("a", ENTRY, clock())
    assert guarded.get("a", clock()) == ENTRY


async def test_a_cancellation_is_no_failure(guarded: GuardedTier, broken_tier: Any):
    async def hang(*_: object) -> None:
        await asyncio.Event().wait()

    broken_tier.aget = hang
    task = asyncio.create_task(guarded.aget("a", 0.0))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert guarded.errors == 0
