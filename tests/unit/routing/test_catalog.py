from __future__ import annotations

from decimal import Decimal

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_openai import AzureChatOpenAI, ChatOpenAI

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing import Prices, Usage, UsdPerMillion
from langchain_llmops.routing import Candidate, ModelCatalog, as_candidates, catalog


@pytest.fixture(scope="module")
def gpt():
    return ChatOpenAI(model="gpt-5", api_key="x")


@pytest.fixture
def unknown():
    return FakeListChatModel(responses=["yes"])


def test_limits_are_the_profiles_and_not_the_context_window(gpt):
    catalog = ModelCatalog()
    assert catalog.fits(gpt, 272_000) is True
    assert catalog.fits(gpt, 272_001) is False  # the window has 400,000
    assert catalog.fits(gpt, 10, 128_001) is False


def test_what_nobody_said_is_unknown_and_not_false(unknown):
    catalog = ModelCatalog()
    assert catalog.fits(unknown, 1_000_000) is None
    assert catalog.can(unknown, "tools") is None
    assert catalog.costs(unknown, Usage(10, 10)) is None
    assert catalog.fits("gpt-5", 10) is None  # a name has no profile


def test_one_known_limit_that_is_exceeded_settles_it(unknown):
    catalog = ModelCatalog({"m": {"max_output_tokens": 10}})
    assert catalog.fits("m", 5, 11) is False
    assert catalog.fits("m", 5, 9) is None
    assert catalog.fits("m", 0, 9) is True


@pytest.mark.parametrize("name", ["tools", "tool_calling"])
def test_capabilities_go_by_profile_name_or_short_name(gpt, name):
    assert ModelCatalog().can(gpt, name) is True
    assert ModelCatalog().can(gpt, "audio") is False
    assert ModelCatalog({"gpt-5": {name: False}}).can(gpt, "tools") is False


def test_overrides_correct_single_entries_whatever_the_spelling(gpt):
    catalog = ModelCatalog({"openai/GPT-5": {"max_input_tokens": 300_000}})
    assert catalog.fits(gpt, 300_000) is True
    assert catalog.can(gpt, "tools") is True


def test_an_override_for_a_provider_leaves_others_alone(gpt):
    azure = AzureChatOpenAI(
        model="gpt-5", api_key="x", azure_endpoint="https://a.b", api_version="1"
    )
    catalog = ModelCatalog(
        {"azure/gpt-5": {"max_input_tokens": 7}, "gpt-5": {"max_input_tokens": 9}}
    )
    assert catalog.profile(azure)["max_input_tokens"] == 7
    assert catalog.profile(gpt)["max_input_tokens"] == 9


def test_costs_are_list_prices_or_ones_own():
    usage = Usage(1_000_000, 0)
    assert ModelCatalog().costs("gpt-4o-mini", usage) == Decimal("0.15")
    own = {"gpt-4o-mini": UsdPerMillion(input=3, output=3)}
    assert ModelCatalog(prices=own).costs("gpt-4o-mini", usage) == 3
    assert ModelCatalog(prices=Prices(own)).costs("gpt-4o-mini", usage) == 3


def test_list_prices_are_loaded_for_who_asks_for_them_only(gpt, monkeypatch):
    def loading():
        raise AssertionError("read from disk")

    monkeypatch.setattr(catalog, "default_prices", loading)
    own = ModelCatalog(prices=Prices({"gpt-5": UsdPerMillion(input=3, output=3)}))
    assert own.costs(gpt, Usage(1_000_000, 0)) == 3
    priced = Candidate(gpt, prices=UsdPerMillion(input=1, output=1))
    assert as_candidates([priced]) == (priced,)
    assert ModelCatalog().can(gpt, "tools") is True
    with pytest.raises(AssertionError, match="read from disk"):
        ModelCatalog().costs(gpt, Usage(1, 1))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"max_input_token": 5}, "did you mean 'max_input_tokens'"),
        ({"zzz": 5}, "see ModelProfile"),
        ({"max_input_tokens": "many"}, "'many': give a int"),
        ({"max_input_tokens": 0}, "0: give 1 or more"),
        ({"tool_calling": 1}, "1: give a bool"),
        (5, "'m' is 5: give a dict"),
    ],
)
def test_a_wrong_override_is_refused_with_the_way_out(entries, message):
    with pytest.raises(ConfigurationError, match=message):
        ModelCatalog({"m": entries})
