"""Which price a call gets: by name, provider, region, tier, date, and by override."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing import Prices, Usage, UsdPerMillion, price

MILLION = {"input_tokens": 1_000_000, "output_tokens": 0, "total_tokens": 1_000_000}
BEDROCK = "anthropic.claude-sonnet-4-5-20250929-v1:0"


def per_million(model, **options):
    return price(model, MILLION, **options)


@pytest.mark.parametrize(
    ("model", "usd"),
    [
        ("gpt-4o", "2.5"),
        ("openai/gpt-4o", "2.5"),
        ("openai:gpt-4o", "2.5"),
        ("gpt-4o-2024-05-13", "5"),
        ("models/gemini-2.5-flash", "0.3"),
        ("ft:gpt-4o-mini-2024-07-18:acme::id", "0.3"),
        ("anthropic/claude-haiku-4-5", "1"),
        ("text-embedding-3-small", "0.02"),
        ("embed-v4.0", "0.12"),
        (BEDROCK, "3.3"),
        (f"us.{BEDROCK}", "3.3"),
        (f"global.{BEDROCK}", "3"),
        (f"bedrock/us-east-1/{BEDROCK}", "3.3"),
        (f"arn:aws:bedrock:us-east-1:1:inference-profile/global.{BEDROCK}", "3"),
    ],
)
def test_every_spelling_finds_its_price(model, usd):
    assert per_million(model) == Decimal(usd)


@pytest.mark.parametrize(
    ("model", "provider", "usd"),
    [
        ("gpt-4o", "azure", "2.5"),
        ("gpt-4o", "azure_openai", "2.5"),
        ("gemini-2.5-flash", "google_genai", "0.3"),
        (f"us.{BEDROCK}", "amazon_bedrock", "3.3"),
        # ChatAnthropicBedrock says "anthropic"; the id knows better.
        (f"us.{BEDROCK}", "anthropic", "3.3"),
        ("openai/gpt-oss-120b", "groq", "0.15"),
        # A class of one's own in front of a known model.
        ("gpt-4o", "acmegateway", "2.5"),
        # An OpenAI-compatible client in front of another provider.
        ("anthropic/claude-haiku-4-5", "openai", "1"),
    ],
)
def test_the_provider_says_whose_price_it_is(model, provider, usd):
    assert per_million(model, provider=provider) == Decimal(usd)


@pytest.mark.parametrize(
    ("model", "provider"),
    [
        ("no-such-model", None),
        ("gpt-4o-2099-01-01", "openai"),
        ("", None),
        ("mistral-large-latest", "ollama"),
        ("ollama/mistral-large-latest", None),
        ("vllm:gpt-4o", None),
        ("whisper-1", "openai"),  # priced by the hour
        ("agentica-org/deepcoder-14b-preview:free", "openrouter"),  # no price listed
    ],
)
def test_without_a_known_price_there_is_none(model, provider):
    assert per_million(model, provider=provider) is None


def test_tokens_of_a_kind_without_price_make_the_call_unpriced():
    answer = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    assert price("text-embedding-3-small", answer) is None


def test_cached_input_is_cheaper_and_hidden_output_is_output():
    usage = {
        "input_tokens": 1_000_000,
        "output_tokens": 100_000,
        "total_tokens": 1_100_000,
        "input_token_details": {"cache_read": 400_000},
        "output_token_details": {"reasoning": 90_000},
    }
    assert price("gpt-4o", usage) == Decimal("1.5") + Decimal("0.5") + Decimal(1)


def test_cache_writes_cost_by_how_long_they_are_kept():
    usage = {
        "input_tokens": 3_000_000,
        "output_tokens": 0,
        "total_tokens": 3_000_000,
        "input_token_details": {
            "cache_creation": 0,
            "ephemeral_5m_input_tokens": 1_000_000,
            "ephemeral_1h_input_tokens": 1_000_000,
        },
    }
    assert price("claude-haiku-4-5", usage) == 1 + Decimal("1.25") + 2


@pytest.mark.parametrize(
    ("tier", "usd"),
    [
        (None, "1.25"),
        ("default", "1.25"),
        ("flex", "0.625"),
        ("batch", "0.625"),
        ("priority", "2.5"),
        ("Batch", "0.625"),
        ("no-such-tier", "1.25"),
    ],
)
def test_service_tiers(tier, usd):
    assert per_million("gpt-5", service_tier=tier) == Decimal(usd)


def test_the_tier_that_langchain_openai_noted_is_used():
    usage = {**MILLION, "input_token_details": {"priority": 1_000_000}}
    assert price("gpt-5", usage) == Decimal("2.5")
    assert price("gpt-5", usage, service_tier="flex") == Decimal("0.625")


def test_a_borrowed_model_has_no_tiers():
    # Azure's prices of OpenAI's models are OpenAI's standard ones.
    assert per_million("gpt-5.1", provider="azure", service_tier="batch") == Decimal(
        "1.25"
    )


def test_past_calls_cost_what_they_cost_then():
    spring, autumn = datetime(2025, 5, 1, tzinfo=UTC), datetime(2025, 9, 1)  # noqa: DTZ001
    assert per_million("o3", at=spring) == Decimal(10)
    assert per_million("o3", at=autumn) == Decimal(2)


def test_prices_follow_the_clock_across_a_change():
    now = [datetime(2025, 6, 9, 23, 59, 59, tzinfo=UTC).timestamp()]
    prices = Prices(clock=lambda: now[0])
    before = prices.price("o3", MILLION)
    now[0] += 1
    assert (before, prices.price("o3", MILLION)) == (10, 2)


def test_prices_by_the_hour():
    day = datetime(2025, 8, 1, 12, tzinfo=UTC)
    assert per_million("deepseek-chat", at=day) > per_million(
        "deepseek-chat", at=day.replace(hour=20)
    )


def test_an_override_holds_for_every_spelling_and_tier():
    own = UsdPerMillion(input="1.10", output="4.40", cache_read="0.5")
    prices = Prices({"gpt-4o": own})
    for name in ("gpt-4o", "openai/gpt-4o", "azure:gpt-4o"):
        assert prices.price(name, MILLION) == Decimal("1.10")
    assert prices.price("gpt-4o", MILLION, service_tier="batch") == Decimal("1.10")
    assert prices.price("gpt-4o-mini", MILLION) == Decimal("0.15")
    assert per_million("gpt-4o") == Decimal("2.5")


def test_an_override_for_one_provider_holds_for_no_other():
    prices = Prices({"azure/gpt-4o": UsdPerMillion(input=9, output=9)})
    assert prices.price("gpt-4o", MILLION, provider="azure_openai") == 9
    assert prices.price("gpt-4o", MILLION, provider="openai") == Decimal("2.5")


def test_an_override_prices_what_has_no_list_price():
    free = UsdPerMillion(input=0, output=0)
    prices = Prices({"ollama/llama3.1:8b": free})
    assert prices.price("llama3.1:8b", MILLION, provider="ollama") == 0


def test_what_an_override_leaves_out_costs_what_is_around_it():
    prices = Prices({"m": UsdPerMillion(input=2, output=8, cache_write=3)})
    sheet = prices.sheet(("m",))
    tokens = 1_000_000
    assert prices.price("m", Usage(tokens, 0, cache_read=tokens)) == 2
    assert prices.price("m", Usage(tokens, 0, 0, tokens, tokens)) == 3
    assert prices.price("m", Usage(0, tokens, reasoning=tokens)) == 8
    assert sheet is not None
    assert sheet.base.per_request == 0


def test_a_fee_per_request_comes_on_top():
    prices = Prices({"m": UsdPerMillion(input=1, output=1, per_request="0.005")})
    assert prices.price("m", Usage(1_000_000)) == Decimal("1.005")


def test_the_first_known_name_counts_and_overrides_come_first():
    prices = Prices({"my-deployment": UsdPerMillion(input=7, output=7)})
    usage = Usage(1_000_000)

    def cost(*names):
        sheet = prices.sheet(names)
        return None if sheet is None else sheet.cost(usage)

    assert cost("gpt-4o", "my-deployment") == cost("my-deployment")
    assert cost("no-such-model", "gpt-4o") == cost("gpt-4o")
    assert cost() is None


@pytest.mark.parametrize("wrong", [-1, "-0.1", float("nan"), "much"])
def test_an_override_that_is_no_price_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="USD"):
        UsdPerMillion(input=wrong, output=1)


def test_an_override_of_the_wrong_type_is_refused_by_name():
    with pytest.raises(
        ConfigurationError, match=r"'gpt-4o' is 2\.5: give UsdPerMillion"
    ):
        Prices({"gpt-4o": 2.5})


@given(st.text(), st.text(), st.text())
def test_no_name_provider_or_tier_raises(model, provider, tier):
    price(model, MILLION, provider=provider, service_tier=tier)


def test_threads_agree_on_a_price_that_changes_by_the_second():
    moments = [
        datetime(2025, 6, 9, 23, 59, 59, tzinfo=UTC),
        datetime(2025, 6, 10, tzinfo=UTC),
    ]
    prices, wrong = Prices(), []

    def ask(at, usd):
        wrong.extend(
            found
            for _ in range(300)
            if (found := prices.price("o3", MILLION, at=at)) != usd
        )

    threads = [
        threading.Thread(target=ask, args=(at, usd))
        for at, usd in zip(moments * 2, (10, 2) * 2, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
