"""Threads and loops wait for their turn: woken by others, by time, or not at all."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from langchain_llmops.concurrency.limit_windows import RateWindow
from langchain_llmops.concurrency.limits import Limits
from langchain_llmops.concurrency.queue_order import Ticket
from langchain_llmops.concurrency.queue_turns import Turnstile


def slots(number: int) -> Limits:
    return Limits(max_concurrent=number, rpm=None, tpm=None)


async def test_those_who_wait_for_time_alone_go_one_by_one():
    limits = Limits(max_concurrent=None, rpm=1, tpm=None)
    limits._requests = RateWindow(1, span_s=0.005)
    turnstile, went = Turnstile(limits), []

    async def go(name: int) -> None:
        ticket = Ticket(timeout_s=10)
        await turnstile.aenter(ticket)
        went.append((name, ticket.went_at_s))
        turnstile.leave(ticket)

    await asyncio.gather(*(go(name) for name in range(5)))
    assert [name for name, _ in went] == list(range(5))
    times = [at for _, at in went]
    assert all(b >= a + 0.005 for a, b in pairwise(times))


async def test_when_the_one_that_watches_the_clock_leaves_another_does():
    limits = Limits(max_concurrent=None, rpm=1, tpm=None)
    limits._requests = RateWindow(1, span_s=0.02)
    turnstile = Turnstile(limits)
    turnstile.enter(Ticket())
    watching, other = (
        asyncio.create_task(turnstile.aenter(Ticket(timeout_s=10))) for _ in range(2)
    )
    while turnstile.counts()[1] < 2:  # noqa: ASYNC110 # the turnstile has no event
        await asyncio.sleep(0)
    watching.cancel()
    async with asyncio.timeout(5):
        await other
    assert watching.cancelled()


def test_the_turn_of_a_closed_loop_goes_to_others():
    turnstile = Turnstile(slots(1))
    first = Ticket()
    turnstile.enter(first)
    loop = asyncio.new_event_loop()
    waiting = turnstile.aenter(Ticket())
    task = loop.create_task(waiting)
    loop.run_until_complete(asyncio.sleep(0))
    assert turnstile.counts() == (1, 1)
    loop.close()
    turnstile.leave(first)
    assert turnstile.counts() == (0, 0)
    turnstile.enter(Ticket())
    assert turnstile.counts() == (1, 0)
    task._log_destroy_pending = False
    waiting.close()


def test_a_stream_that_the_collector_ends_amid_a_turn_is_taken_back_after_it():
    left, turnstile = Ticket(), None

    class Clock:
        calls = 0

        def __call__(self) -> float:
            self.calls += 1
            if self.calls == 2:  # the lock is held, as when the collector runs
                turnstile.leave(left)
                assert turnstile.counts() == (1, 0)
            return float(self.calls)

    turnstile = Turnstile(slots(2), Clock())
    turnstile.enter(left)
    turnstile.enter(Ticket())
    assert turnstile.counts() == (1, 0)
