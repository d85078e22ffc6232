"""Breakers that share through a store: what they tell, believe and survive."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from langchain_llmops.routing import CircuitBreaker, CircuitNews, classify
from langchain_llmops.routing.breaker_sync import BreakerSync

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

DOWN = classify(ConnectionRefusedError())


class Shelf:
    """A store in memory, which can be lost, poisoned, and waited for."""

    def __init__(self) -> None:
        self.latest: dict[str, CircuitNews] = {}
        self.error: Exception | None = None
        self.exchanges = 0
        self.asked = threading.Condition()

    def exchange(
        self, news: Mapping[str, CircuitNews], names: Collection[str]
    ) -> Mapping[str, CircuitNews]:
        with self.asked:
            self.exchanges += 1
            self.asked.notify_all()
            if self.error is not None:
                raise self.error
            self.latest.update(news)
            return {name: self.latest[name] for name in names if name in self.latest}

    def wait_for(self, name: str) -> None:
        self.wait_until(lambda: name in self.latest)

    def wait_until(self, true: Callable[[], object]) -> None:
        """Look again after each exchange."""
        with self.asked:
            assert self.asked.wait_for(true, timeout=10)


class Heard:
    def __init__(self) -> None:
        self.news: list[Mapping[str, CircuitNews]] = []

    def hear(self, news: Mapping[str, CircuitNews]) -> None:
        self.news.append(news)


def news(number: int) -> CircuitNews:
    return CircuitNews(id=f"{number}", why="sick", open_for_s=1.0, level=1)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


def open_it(breaker: CircuitBreaker, name: str = "a") -> None:
    for _ in range(3):
        breaker.failed(name, DOWN, breaker.admit(name, forced=True))


def test_what_one_tells_the_other_hears_once(shelf):
    here, there = Heard(), Heard()
    one, other = BreakerSync(shelf, here.hear), BreakerSync(shelf, there.hear)
    one.tell("a", news(1))
    other.tell("b", news(2))
    for sync in (one, other, one, other, one):
        sync.exchange()
    assert here.news == []
    other.tell("a", news(3))
    for sync in (other, one, one):
        sync.exchange()
    assert here.news == [{"a": news(3)}]
    assert there.news == []


def test_a_lost_store_is_counted_logged_once_and_told_what_is_new_later(shelf, caplog):
    sync = BreakerSync(shelf, Heard().hear)
    shelf.error = ConnectionError("gone")
    sync.tell("a", news(1))
    with caplog.at_level(logging.WARNING):
        assert [sync.exchange() for _ in range(3)] == [False] * 3
    assert sync.errors == 3
    assert [r.message.count("ConnectionError: gone") for r in caplog.records] == [1]
    shelf.error = None
    sync.tell("b", news(2))
    assert sync.exchange()
    assert shelf.latest == {"b": news(2)}


def test_what_happened_meanwhile_is_newer_than_what_is_told(shelf):
    heard = Heard()
    sync = BreakerSync(shelf, heard.hear)
    sync.tell("a", news(0))
    sync.exchange()
    shelf.latest["a"] = news(1)
    exchange = shelf.exchange

    def slow(told: Mapping[str, CircuitNews], names: Collection[str]) -> Mapping:
        answer = exchange(told, names)
        sync.tell("a", news(2))
        return answer

    shelf.exchange = slow
    sync.exchange()
    assert heard.news == []


def test_breakers_share_what_opens_and_what_closes(shelf):
    one, other = CircuitBreaker(store=shelf), CircuitBreaker(store=shelf)
    other.admit("a")
    open_it(one)
    shelf.wait_until(lambda: not other.is_closed("a"))
    one.answered("a", one.admit("a", forced=True))
    shelf.wait_until(lambda: other.is_closed("a"))
    for breaker in (one, other):
        breaker.close()


def test_news_are_sent_at_once_by_a_thread_that_ends_with_its_breaker(shelf):
    before = set(threading.enumerate())
    breaker = CircuitBreaker(store=shelf)
    open_it(breaker)
    [thread] = set(threading.enumerate()) - before
    shelf.wait_for("a")
    gone = weakref.ref(breaker)
    del breaker
    gc.collect()
    assert gone() is None
    [thread] = [t for t in threading.enumerate() if t.name == "llmops-breaker"] or [
        None
    ]
    if thread is not None:
        thread.join(timeout=10)
        assert not thread.is_alive()


async def test_on_an_event_loop_nothing_waits(shelf):
    breaker = CircuitBreaker(store=shelf)
    open_it(breaker)
    assert breaker.is_open("a")
    await asyncio.get_running_loop().run_in_executor(None, shelf.wait_for, "a")
    breaker.close()


def test_a_lost_store_leaves_a_breaker_to_itself(shelf):
    shelf.error = ConnectionError("gone")
    breaker = CircuitBreaker(store=shelf)
    open_it(breaker)
    assert breaker.is_open("a")
    shelf.wait_until(lambda: shelf.exchanges)
    breaker.close()
    assert breaker.is_open("a")


def test_the_same_settings_with_a_store(shelf):
    breaker = CircuitBreaker(failures=1, open_s=0.5, max_open_s=7, slow_after_s=3)
    shared = breaker.with_store(shelf)
    assert (shared.failures, shared.slow_after_s) == (1, 3)
    shared.failed("a", DOWN, shared.admit("a"))
    assert shared.is_open("a")
    assert not breaker.is_open("a")
    shelf.wait_for("a")
    assert shelf.latest["a"].open_for_s == pytest.approx(0.5, rel=0.2)
    shared.close()


def test_the_thread_of_an_idle_breaker_ends_and_the_next_call_starts_another(shelf):
    now = [0.0]
    heard = Heard()
    sync = BreakerSync(shelf, heard.hear, clock=lambda: now[0])
    before = set(threading.enumerate())
    sync.used("a")
    [thread] = set(threading.enumerate()) - before
    shelf.wait_until(lambda: shelf.exchanges)
    assert thread.is_alive()
    now[0] = 10.1
    thread.join(timeout=10)
    assert not thread.is_alive()
    exchanges = shelf.exchanges
    sync.used("a")
    shelf.wait_until(lambda: shelf.exchanges > exchanges)
    sync.close()
