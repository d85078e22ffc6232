"""Compiled prices equal genai-prices' own `calc_price`, on all of its data."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import chain

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ConditionalPrice, ModelPrice

from langchain_llmops.pricing import Usage, price
from langchain_llmops.pricing.money import dollars
from langchain_llmops.pricing.rates import compile_sheet

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MODELS = [
    (owner, model) for owner in get_snapshot().providers for model in owner.models
]


def usages(rng):
    """Yield usages of every shape: plain, cached, written, audio, hidden, huge."""
    for most in (100, 20_000, 3_000_000):
        tokens_in, tokens_out = rng.randint(1, most), rng.randint(0, most)
        yield Usage(tokens_in, tokens_out)
        read, write, audio_in = (rng.randint(0, tokens_in // 3) for _ in range(3))
        yield Usage(
            tokens_in,
            tokens_out,
            read,
            write,
            rng.randint(0, write),
            audio_in,
            rng.randint(0, tokens_out // 2),
            rng.randint(0, tokens_out // 2),
        )
    yield Usage(rng.randint(1, 1000))


def as_genai(usage):
    return genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        cache_write_1h_tokens=usage.cache_write_1h,
        input_audio_tokens=usage.input_audio,
        output_audio_tokens=usage.output_audio,
        output_reasoning_tokens=usage.reasoning,
        # What LangChain does not report; genai-prices wants to be told so.
        cache_audio_read_tokens=0,
        cache_audio_write_tokens=0,
        cache_audio_write_1h_tokens=0,
        output_audio_reasoning_tokens=0,
    )


def expected(model, owner, usage, at, context=None):
    """Return genai's price; `None` where it has no price for tokens that were used."""
    prices = model.get_prices(at, context)
    if (usage.input_tokens and prices.input_mtok is None) or (
        usage.output_tokens and prices.output_mtok is None
    ):
        return None
    result = model.calc_price(
        as_genai(usage), owner, genai_request_timestamp=at, price_context=context
    )
    return result.total_price


def compiled(model, usage, at, context=None):
    sheet = compile_sheet(vars(model.get_prices(at, context)))
    cost = None if sheet is None else sheet.cost(usage)
    return None if cost is None else dollars(cost)


def agree(ours, theirs):
    # genai computes with 28 digits, we with all of them.
    if ours is None or theirs is None:
        return ours is theirs
    return abs(ours - theirs) <= Decimal("1e-18")


def test_every_model_of_the_data_costs_the_same():
    rng = random.Random(7)
    for owner, model in MODELS:
        for usage in usages(rng):
            theirs = expected(model, owner, usage, NOW)
            assert agree(compiled(model, usage, NOW), theirs), (owner.id, model.id)


def test_every_date_hour_and_tier_costs_the_same():
    rng = random.Random(8)
    checked = 0
    for owner, model in MODELS:
        variants = model.price_variants or []
        if isinstance(model.prices, ModelPrice) and not variants:
            continue
        conditions = [] if isinstance(model.prices, ModelPrice) else model.prices
        for at in moments(chain(conditions, variants)):
            for context in (None, *(variant.when for variant in variants)):
                usage = rng.choice(list(usages(rng)))
                theirs = expected(model, owner, usage, at, context)
                assert agree(compiled(model, usage, at, context), theirs), model.id
                checked += 1
    assert checked > 1_000


def moments(conditions):
    """Yield the moments around every boundary of a price's calendar."""
    second = timedelta(seconds=1)
    yield NOW
    for condition in conditions:
        constraint = condition.constraint
        if start := getattr(constraint, "start_date", None):
            boundary = datetime(start.year, start.month, start.day, tzinfo=UTC)
            yield from (boundary - second, boundary)
        elif constraint is not None:
            for time in (constraint.start_time, constraint.end_time):
                boundary = datetime.combine(NOW.date(), time)
                yield from (boundary - second, boundary)


def test_names_lead_to_the_same_model():
    usage, found = Usage(1_000, 100, 10), 0
    for owner, model in MODELS:
        try:
            theirs = genai_prices.calc_price(
                as_genai(usage),
                model.id,
                provider_id=owner.id,
                genai_request_timestamp=NOW,
            )
        except LookupError:
            continue  # some ids are labels that no request carries
        wanted = expected(theirs.model, theirs.provider, usage, NOW)
        assert agree(price(model.id, usage, provider=owner.id, at=NOW), wanted), (
            model.id
        )
        found += 1
    assert found > 0.9 * len(MODELS)


def test_the_data_holds_the_kinds_of_price_that_these_tests_are_about():
    kinds = {type(model.prices) for _, model in MODELS}
    assert kinds == {ModelPrice, list}
    assert any(
        isinstance(part, ConditionalPrice)
        for _, model in MODELS
        if isinstance(model.prices, list)
        for part in model.prices
    )


@pytest.mark.parametrize("tokens", [200_000, 200_001])
def test_a_threshold_reprices_all_tokens(tokens):
    usage = Usage(tokens, 10)
    owner, model = next(
        pair
        for pair in MODELS
        if (pair[0].id, pair[1].id) == ("google", "gemini-2.5-pro")
    )
    wanted = expected(model, owner, usage, NOW)
    assert price("gemini-2.5-pro", usage, at=NOW) == wanted
