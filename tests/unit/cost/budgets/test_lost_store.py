"""A store that is lost: no call fails for it, unless that is what was asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from langchain_llmops import Budget, BudgetExceededError
from langchain_llmops.cost.budgets.base import Balance, Hold
from langchain_llmops.cost.budgets.guarded import GuardedStore
from langchain_llmops.errors import StorageError

ACME = {"tenant": "acme"}
HOLD = Hold(id="h", key="k", amount=1, expires_at=1e9, forget_at=1e10)


def test_while_the_store_is_lost_this_process_keeps_the_limit_by_itself(
    fragile, caplog
):
    budget = Budget(limit_calls=2, store=fragile)
    fragile.lost = True
    for _ in range(2):
        budget.settle(budget.reserve(1, ACME), 1)
    with pytest.raises(BudgetExceededError):
        budget.reserve(1, ACME)
    assert budget.status(ACME).used == 2
    # Left alone after the first failure, and told about once.
    assert budget.store_errors == 1
    assert caplog.text.count("the server is gone") == 1


def test_calls_are_refused_while_the_store_is_lost_if_so_asked(fragile):
    budget = Budget(limit_calls=2, store=fragile, on_store_error="refuse")
    fragile.lost = True
    with pytest.raises(StorageError, match="FragileStore") as caught:
        budget.reserve(1, ACME)
    assert isinstance(caught.value.__cause__, ConnectionError)
    with pytest.raises(StorageError):
        budget.reserve(1, ACME)
    assert budget.refusals == 0


async def test_the_asynchronous_side_degrades_alike(fragile):
    fragile.lost = True
    allows = Budget(limit_calls=1, store=fragile)
    await allows.asettle(await allows.areserve(1, ACME), 1)
    assert (await allows.astatus(ACME)).settled == 1
    refuses = Budget(limit_calls=1, store=fragile, on_store_error="refuse")
    with pytest.raises(StorageError):
        await refuses.areserve(1, ACME)
    assert (await refuses.astatus(ACME)).used == 0


def test_a_store_lost_during_a_call_keeps_its_hold_and_doubles_nothing(fragile):
    budget = Budget(limit_calls=5, store=fragile)
    call = budget.reserve(3, ACME)
    fragile.lost = True
    budget.settle(call, 1)
    fragile.lost = False
    key = call.hold.key
    assert fragile.balance(key, call.hold.expires_at) == Balance(
        used=3, held=3, overdue=3
    )


async def test_a_store_lost_during_an_asynchronous_call_is_survived(fragile):
    budget = Budget(limit_calls=5, store=fragile)
    call = await budget.areserve(3, ACME)
    fragile.lost = True
    await budget.asettle(call, 1)
    assert budget.store_errors == 1


async def test_status_of_a_lost_store_is_what_was_counted_without_it(fragile):
    budget = Budget(limit_calls=5, store=fragile)
    fragile.lost = True
    assert budget.status(ACME).used == 0
    other = Budget(limit_calls=5, store=fragile)
    assert (await other.astatus(ACME)).used == 0
    assert budget.store_errors == other.store_errors == 1


def test_a_store_that_is_back_is_used_again_after_a_rest(fragile):
    now = 0.0
    store = GuardedStore(fragile, on_error="allow", timer=lambda: now)
    fragile.lost = True
    assert store.reserve(HOLD, 1)[0]
    fragile.lost = False
    now = 4.9
    assert not store.reserve(replace(HOLD, id="i"), 1)[0]
    assert fragile.asked == 1
    now = 5.0
    assert store.reserve(replace(HOLD, id="j"), 1)[0]
    # What was admitted here meanwhile is settled here.
    assert store.settle(HOLD, 1, unsettled=False) == Balance(used=1)
    assert fragile.balance("k", 0).used == 1


def test_cancellation_and_exits_are_not_taken_for_a_lost_store(fragile):
    def interrupted(*args):
        raise KeyboardInterrupt

    fragile.reserve = interrupted
    budget = Budget(limit_calls=1, store=fragile)
    with pytest.raises(KeyboardInterrupt):
        budget.reserve(1, ACME)
    assert budget.store_errors == 0
