"""Breakers of several processes, shared through a real Valkey server."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.routing import (
    CircuitBreaker,
    CircuitNews,
    RedisBreakerStore,
    classify,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOWN = classify(ConnectionRefusedError())
KEY = "llmops:breaker:a"


@pytest.fixture
def breakers(valkey: str) -> Iterator[list[CircuitBreaker]]:
    made = [
        CircuitBreaker(store=RedisBreakerStore(valkey), open_s=5, max_open_s=5)
        for _ in range(2)
    ]
    yield made
    for breaker in made:
        breaker.close()


def open_it(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        breaker.failed("a", DOWN, breaker.admit("a", forced=True))


def seconds_until(true: Callable[[], bool], most_s: float = 5) -> float:
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < most_s
        time.sleep(0.01)
    return time.monotonic() - begun


def test_opening_and_closing_spread_within_a_second(breakers):
    one, other = breakers
    for breaker in breakers:
        breaker.admit("a")
    open_it(one)
    assert seconds_until(lambda: other.is_open("a")) < 1
    one.answered("a", one.admit("a", forced=True))
    assert not one.is_open("a")
    assert seconds_until(lambda: not other.is_open("a")) < 1
    assert one.store_errors == other.store_errors == 0


def test_a_probe_of_one_process_keeps_the_others_from_theirs(valkey):
    settings = {"open_s": 0.5, "max_open_s": 5}
    one, other = (
        CircuitBreaker(store=RedisBreakerStore(valkey), **settings) for _ in range(2)
    )
    other.admit("a")
    open_it(one)
    seconds_until(lambda: other.is_open("a"))
    seconds_until(lambda: one.is_due("a"))
    assert one.admit("a") is not None
    seconds_until(lambda: other.is_open("a"))
    one.close()
    other.close()


def test_another_process_hears_of_it(valkey, breakers):
    code = f"""
import time
from langchain_llmops.routing import CircuitBreaker, RedisBreakerStore
breaker = CircuitBreaker(store=RedisBreakerStore({valkey!r}), max_open_s=9)
until = time.monotonic() + 20
while breaker.admit("a") is not None and time.monotonic() < until:
    time.sleep(0.01)
print(breaker.is_open("a"))
"""
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    begun = time.monotonic()
    while child.poll() is None and time.monotonic() - begun < 30:
        open_it(breakers[0])
        time.sleep(0.2)
    assert child.communicate(timeout=10)[0].decode().strip() == "True"


@pytest.mark.parametrize(
    "poison",
    [
        b"",
        b"\xff\xfe",
        b"1.0 {}",
        b"1.0 []",
        b'soon {"id": "x", "why": "sick", "level": 1, "open_for_s": 1}',
        b'1.0 {"id": "x", "why": "bored", "level": 1, "open_for_s": 1}',
        b'1.0 {"id": "x", "why": "sick", "level": "9", "open_for_s": 1}',
        b'1.0 {"id": "x", "why": "sick", "level": 1, "open_for_s": -1}',
        b'1.0 {"id": "x", "why": "sick", "level": 1, "open_for_s": NaN}',
        b'1.0 {"id": "x", "why": ["sick"], "level": 1, "open_for_s": 1}',
        b'9999999999.0 {"id": "x", "why": "sick", "level": 1, "open_for_s": 1}',
        json.dumps({"id": "x"}).encode(),
    ],
)
def test_poison_is_ignored_and_counted(valkey, poison):
    store = RedisBreakerStore(valkey)
    store._clients.threads.set(KEY, poison)
    assert store.exchange({}, ["a", "b"]) == {}
    assert store.damaged == 1
    store.close()


def test_a_key_of_another_kind_counts_as_a_lost_store_or_nothing(valkey):
    store = RedisBreakerStore(valkey)
    store._clients.threads.lpush(KEY, "x")
    assert store.exchange({}, ["a"]) == {}
    store.close()


def test_open_times_shrink_while_they_lie_there(valkey):
    store = RedisBreakerStore(valkey)
    told = CircuitNews(id="x", why="limited", open_for_s=1.5, level=3)
    assert store.exchange({"a": told}, ["b"]) == {}
    time.sleep(0.05)
    found = store.exchange({}, ["a"])["a"]
    assert (found.id, found.why, found.level) == ("x", "limited", 3)
    assert 0 < found.open_for_s <= 1.45
    assert 0 < store._clients.threads.pttl(KEY) <= 120_000
    store.close()


def test_a_server_that_is_gone_is_counted_and_calls_go_on():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    breaker = CircuitBreaker(store=RedisBreakerStore(f"redis://127.0.0.1:{port}/0"))
    begun = time.monotonic()
    open_it(breaker)
    assert time.monotonic() - begun < 0.2
    assert breaker.is_open("a")
    seconds_until(lambda: breaker.store_errors > 0)
    breaker.close()


def test_a_wrong_time_is_named():
    with pytest.raises(ConfigurationError, match="timeout_s=0"):
        RedisBreakerStore("redis://localhost", timeout_s=0)
