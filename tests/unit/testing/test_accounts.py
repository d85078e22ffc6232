"""Exchanges, books and prompt caching: what is written down, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.testing import prompt_cache
from langchain_llmops.testing.exchange import Bill, Books, Exchange
from langchain_llmops.testing.price_list import LISTED
from langchain_llmops.testing.prompt_cache import PromptCache

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def books(clock: Clock) -> Books:
    return Books(clock=clock, now=lambda: NOON)


def working(books: Books, *, tokens: int = 10) -> Exchange:
    """Return a request that the provider has begun to answer."""
    exchange = books.start("POST", "/v1/chat/completions", 0)
    exchange.model = "gpt-4o"
    exchange.bill = Bill(
        id="x",
        entry=LISTED["gpt-4o"],
        priced=True,
        tier="default",
        input_tokens=1_000,
        cached_tokens=200,
        reasoning_tokens=4,
    )
    exchange.written = tokens
    return exchange


@pytest.mark.parametrize("outcome", ["completed", "aborted", "cut", "malformed"])
def test_work_is_billed_however_it_ends(books, outcome):
    working(books).close(outcome, 200)
    (row,) = books.invoice
    assert row.status == outcome
    assert row.usd == Decimal("0.002") + Decimal("0.00025") + Decimal("0.0001")
    assert (row.output_tokens, row.reasoning_tokens) == (10, 4)
    assert row.at == NOON


def test_reasoning_that_was_not_finished_is_all_of_the_output(books):
    working(books, tokens=3).close("aborted", None)
    assert (books.invoice[0].output_tokens, books.invoice[0].reasoning_tokens) == (3, 3)


def test_refusals_and_requests_without_work_are_not_billed(books):
    working(books).close("refused", 400)
    books.start("GET", "/v1/models", 0).close("completed", 200)
    assert books.invoice == []
    assert [e.record().outcome for e in books.exchanges] == ["refused", "completed"]


def test_only_the_first_end_counts(books, clock):
    exchange = working(books)
    clock.now = 2.5
    exchange.close("completed", 200)
    exchange.close("aborted", None)
    assert len(books.invoice) == 1
    record = exchange.record()
    assert (record.outcome, record.status, record.duration_s) == ("completed", 200, 2.5)


def test_open_requests_and_their_peak_are_known(books):
    first, second = working(books), working(books)
    assert (len(books.open), books.peak) == (2, 2)
    first.close("completed", 200)
    assert (len(books.open), books.peak) == (1, 2)
    assert second.record().outcome == "open"


def test_a_row_becomes_json_without_losing_a_digit(books):
    working(books).close("completed", 200)
    row = books.invoice[0].as_json()
    assert Decimal(row["usd"]) == books.invoice[0].usd
    assert row["at"] == "2026-01-01 12:00:00+00:00"
    assert (row["stream"], row["input_tokens"]) == (False, 1_000)


PROMPT = list(range(3_000))


@pytest.mark.parametrize(
    ("shared", "cached"), [(1_023, 0), (1_024, 1_024), (1_151, 1_024), (1_152, 1_152)]
)
def test_prefixes_are_cached_from_1024_tokens_in_steps_of_128(shared, cached):
    cache = PromptCache()
    assert cache.cached_tokens("gpt-4o", PROMPT) == 0
    other = PROMPT[:shared] + [-1] * 2_000
    assert cache.cached_tokens("gpt-4o", other) == cached


def test_the_oldest_prefixes_are_forgotten_first(monkeypatch):
    monkeypatch.setattr(prompt_cache, "_CAPACITY", 20)
    cache = PromptCache()
    cache.cached_tokens("gpt-4o", PROMPT)
    cache.cached_tokens("gpt-4o", PROMPT[::-1])
    assert cache.cached_tokens("gpt-4o", PROMPT) == 0


def test_models_do_not_share_prefixes():
    cache = PromptCache()
    cache.cached_tokens("gpt-4o", PROMPT)
    assert cache.cached_tokens("gpt-4o-mini", PROMPT) == 0


@given(st.integers(1_000, 3_000))
def test_a_prompt_sent_again_is_cached_up_to_its_last_step(length):
    cache = PromptCache()
    tokens = PROMPT[:length]
    cache.cached_tokens("gpt-4o", tokens)
    again = cache.cached_tokens("gpt-4o", tokens)
    assert again == (len(tokens) // 128 * 128 if len(tokens) >= 1_024 else 0)
