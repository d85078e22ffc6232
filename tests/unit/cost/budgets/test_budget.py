"""A budget as its owner sees it: refusals, windows, soft limits, status, pressure."""

from __future__ import annotations

import asyncio
import copy
import logging
import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from langchain_llmops import Budget, BudgetExceededError, MemoryBudgetStore
from langchain_llmops.cost.budgets.limit import picodollars
from langchain_llmops.errors import ConfigurationError, LLMOpsError
from langchain_llmops.pricing.money import motes

ACME = {"tenant": "acme"}
TOMORROW = datetime(2026, 11, 23, tzinfo=UTC)


def usd(amount: str) -> int:
    return picodollars(motes(amount))


def test_what_does_not_fit_is_refused_with_all_its_figures(clock):
    budget = Budget(limit_usd="1.00", clock=clock)
    budget.reserve(usd("0.75"), ACME)
    with pytest.raises(BudgetExceededError) as caught:
        budget.reserve(usd("0.30"), ACME)
    error = caught.value
    assert error.scope == "tenant:acme"
    assert (error.limit, error.used, error.requested) == (
        Decimal(1),
        Decimal("0.75"),
        Decimal("0.3"),
    )
    assert (error.resets_at, error.unit) == (TOMORROW, "usd")
    assert isinstance(error, LLMOpsError)
    assert "0.75 of 1 are used or reserved; wait until 2026-11-23" in str(error)
    assert budget.refusals == 1


def test_a_refusal_survives_a_process_border(clock):
    budget = Budget(limit_calls=0, window="forever", clock=clock)
    with pytest.raises(BudgetExceededError) as caught:
        budget.reserve(1, ACME)
    twin = pickle.loads(pickle.dumps(caught.value))
    assert (str(twin), twin.unit) == (str(caught.value), "calls")
    assert twin.resets_at is None


def test_what_was_not_used_is_free_again_and_what_was_is_gone():
    budget = Budget(limit_tokens=100)
    one, two = budget.reserve(60, ACME), budget.reserve(40, ACME)
    budget.settle(one, 10)
    budget.settle(two, 0)
    assert budget.status(ACME).remaining == 90
    budget.settle(one, 50)
    budget.settle(two, 50)
    assert budget.status(ACME).used == 10


def test_status_tells_settled_from_reserved_from_unsettled(clock):
    budget = Budget(limit_tokens=100, clock=clock)
    budget.settle(budget.reserve(10, ACME), 12)
    budget.settle(budget.reserve(20, ACME), 20, unsettled=True)
    budget.reserve(30, ACME)
    status = budget.status(ACME)
    assert (status.scope, status.limit, status.resets_at) == (
        "tenant:acme",
        100,
        TOMORROW,
    )
    assert (status.settled, status.unsettled, status.reserved) == (12, 20, 30)
    assert (status.used, status.remaining) == (62, 38)
    # The process of the open call died, as far as one can tell.
    clock.now += 901
    status = budget.status(ACME)
    assert (status.settled, status.unsettled, status.reserved) == (12, 50, 0)


def test_status_of_nobody_yet_is_empty():
    status = Budget(limit_usd=5).status({"tenant": "new"})
    assert (status.used, status.remaining) == (0, 5)


def test_tenants_and_windows_and_units_are_apart_in_one_store(clock):
    store = MemoryBudgetStore(clock=clock)
    shared = {"store": store, "clock": clock}
    budget = Budget(limit_calls=5, **shared)
    budget.reserve(5, ACME)
    budget.reserve(5, {"tenant": "other"})
    Budget(limit_calls=5, window="hour", **shared).reserve(5, ACME)
    Budget(limit_tokens=5, **shared).reserve(5, ACME)
    twin = Budget(limit_calls=6, **shared)
    twin.reserve(1, ACME)
    with pytest.raises(BudgetExceededError):
        twin.reserve(1, ACME)


def test_budgets_without_a_store_do_not_share():
    Budget(limit_calls=1).reserve(1, ACME)
    Budget(limit_calls=1).reserve(1, ACME)


def test_a_copy_draws_on_the_same_budget():
    budget = Budget(limit_calls=1)
    copy.deepcopy({"in a chain": budget})["in a chain"].reserve(1, ACME)
    with pytest.raises(BudgetExceededError):
        budget.reserve(1, ACME)


def test_a_new_window_starts_anew_and_an_old_call_is_booked_where_it_began(clock):
    budget = Budget(limit_calls=1, clock=clock)
    yesterday = budget.reserve(1, ACME)
    clock.now += 86_400
    budget.reserve(1, ACME)
    budget.settle(yesterday, 1)
    assert budget.status(ACME).used == 1
    clock.now -= 86_400
    assert budget.status(ACME).settled == 1


def test_a_clock_that_goes_back_admits_nothing_twice(clock):
    budget = Budget(limit_calls=1, window="minute", clock=clock)
    budget.reserve(1, ACME)
    clock.now += 60
    budget.reserve(1, ACME)
    clock.now -= 60
    with pytest.raises(BudgetExceededError):
        budget.reserve(1, ACME)


def test_a_window_of_ones_own_length(clock):
    budget = Budget(limit_calls=1, window=timedelta(minutes=5), clock=clock)
    budget.reserve(1, ACME)
    clock.now += 300
    budget.reserve(1, ACME)


def test_soft_limits_are_told_once_per_window_and_share(clock):
    told = []
    budget = Budget(
        limit_calls=10,
        soft_limits=(0.5, 0.9),
        on_soft=lambda status, share: told.append((share, status.settled)),
        clock=clock,
    )
    calls = [budget.reserve(1, ACME) for _ in range(10)]
    assert told == []  # nothing is spent yet
    for call in calls:
        budget.settle(call, 1)
        budget.settle(call, 1)
    assert told == [(0.5, 5), (0.9, 9)]
    clock.now += 86_400
    budget.settle(budget.reserve(10, ACME), 10)
    assert told[2:] == [(0.5, 10), (0.9, 10)]


def test_one_of_several_processes_tells_of_a_soft_limit(clock):
    store, told = MemoryBudgetStore(clock=clock), []
    budgets = [
        Budget(
            limit_calls=10,
            store=store,
            clock=clock,
            on_soft=lambda status, share, n=n: told.append(n),
        )
        for n in range(2)
    ]
    for number in range(10):
        budget = budgets[number % 2]
        budget.settle(budget.reserve(1, ACME), 1)
    assert told == [1]


def test_a_soft_limit_nobody_listens_to_is_logged(caplog):
    budget = Budget(limit_usd=1)
    with caplog.at_level(logging.WARNING):
        budget.settle(budget.reserve(usd("0.8"), ACME), usd("0.8"))
    assert "'tenant:acme' has reached 80 %: 0.8 of 1 used" in caplog.text


def test_what_a_listener_raises_is_logged_once_and_ignored(caplog):
    budget = Budget(
        limit_calls=2, soft_limits=(0.5, 1), on_soft=lambda *_: 1 / 0, scope="all"
    )
    for _ in range(2):
        budget.settle(budget.reserve(1), 1)
    assert len(caplog.records) == 1


def test_an_asynchronous_listener_is_refused():
    async def on_soft(status, share):
        pass

    with pytest.raises(ConfigurationError, match="give a plain function"):
        Budget(limit_calls=1, on_soft=on_soft)


def test_calls_that_do_not_say_who_they_are_for_share_a_budget(caplog):
    budget = Budget(limit_calls=2)
    budget.reserve(1)
    budget.reserve(1, {"customer": "acme"})
    with pytest.raises(BudgetExceededError, match="unknown"):
        budget.reserve(1, {})
    assert [record.getMessage() for record in caplog.records] == [
        (
            "Calls without 'tenant' in config['metadata'] share the budget "
            "'tenant:(unknown)'."
        )
    ]


def test_pressure_is_what_was_seen_last_and_asks_no_store(clock, fragile):
    budget = Budget(limit_calls=4, store=fragile, clock=clock)
    assert budget.pressure(ACME) == 0
    call = budget.reserve(1, ACME)
    assert budget.pressure(ACME) == 0.25
    budget.settle(call, 9)
    asked = fragile.asked
    assert budget.pressure(ACME) == 1
    assert budget.pressure({"tenant": "other"}) == 0
    assert fragile.asked == asked
    clock.now += 86_400
    assert budget.pressure(ACME) == 0
    assert Budget(limit_calls=0).pressure() == 1


def test_pressure_is_kept_for_a_bounded_number_of_scopes():
    budget = Budget(limit_calls=1)
    for number in range(10_050):
        budget.reserve(1, {"tenant": number})
    assert len(budget._latest) == 10_000
    assert budget.pressure({"tenant": 10_049}) == 1


async def test_the_asynchronous_side_does_the_same():
    budget = Budget(limit_calls=10)
    answers = await asyncio.gather(
        *(budget.areserve(1, ACME) for _ in range(100)), return_exceptions=True
    )
    admitted = [each for each in answers if not isinstance(each, Exception)]
    assert len(admitted) == 10
    await budget.asettle(admitted[0], 0)
    assert (await budget.astatus(ACME)).remaining == 1


async def test_a_cancelled_reservation_holds_nothing(fragile):
    async def slow(hold, limit):
        answer = fragile.reserve(hold, limit)
        await asyncio.Event().wait()
        return answer

    fragile.areserve = slow
    budget = Budget(limit_calls=1, store=fragile)
    asking = asyncio.create_task(budget.areserve(1, ACME))
    await asyncio.sleep(0)
    assert budget.status(ACME).used == 1
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert budget.status(ACME).used == 0


@pytest.mark.parametrize(
    "options", [{"unpriced": "maybe"}, {"on_store_error": "ignore"}, {"window": "day "}]
)
def test_options_that_do_not_exist_are_refused(options):
    with pytest.raises(ConfigurationError, match="is unknown: use one of"):
        Budget(limit_calls=1, **options)


def test_nothing_is_settled_that_is_less_than_nothing():
    budget = Budget(limit_calls=5)
    budget.settle(budget.reserve(1, ACME), -7)
    assert budget.status(ACME).used == 0
