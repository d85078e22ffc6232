from __future__ import annotations

from decimal import Decimal

import pytest
from langchain_core.language_models import FakeListChatModel
from langchain_openai import ChatOpenAI

from langchain_llmops import Candidate, ModelCatalog, ModelLayer, with_layers
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing import Usage, UsdPerMillion
from langchain_llmops.routing import as_candidates


@pytest.fixture(scope="module")
def mini():
    return ChatOpenAI(model="gpt-4o-mini", api_key="x")


def test_what_is_left_out_comes_from_profile_and_price_list(mini):
    candidate = Candidate(mini)
    assert candidate.name == "gpt-4o-mini"
    assert candidate.tier == "standard"
    assert candidate.max_input_tokens == 128_000
    assert candidate.max_output_tokens == 16_384
    assert candidate.can("tools") is True
    assert candidate.can("audio") is False
    assert candidate.cost(Usage(1_000_000, 0)) == Decimal("0.15")


def test_what_nobody_knows_stays_unknown(make):
    candidate = make("m")
    assert candidate.max_input_tokens is None
    assert candidate.fits(10**9) is None
    assert candidate.can("tools") is None
    assert candidate.cost(Usage(1, 1)) is None


def test_own_figures_come_first(mini):
    candidate = Candidate(
        mini,
        max_input_tokens=1_000,
        capabilities={"tools": False, "legal": True},
        prices=UsdPerMillion(input=2, output=2),
    )
    assert candidate.fits(1_001) is False
    assert candidate.fits(1_000, 1) is True
    assert candidate.can("tool_calling") is False
    assert candidate.can("legal") is True
    assert candidate.can("images") is True
    assert candidate.cost(Usage(1_000_000, 0)) == 2


def test_a_catalog_of_ones_own_is_asked(mini):
    catalog = ModelCatalog({"gpt-4o-mini": {"max_input_tokens": 200_000}})
    assert Candidate(mini, catalog=catalog).max_input_tokens == 200_000


def test_a_layered_model_is_the_same_candidate(mini):
    layered = Candidate(with_layers(mini, ModelLayer()))
    assert (layered.name, layered.max_input_tokens) == ("gpt-4o-mini", 128_000)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_input_tokens": 128_001}, r"128001, but .* says 128000: lower it"),
        ({"max_output_tokens": 99_999}, r"99999, but .* says 16384"),
        ({"max_input_tokens": 0}, "max_input_tokens of 'gpt-4o-mini' is 0"),
        ({"rpm": -1}, "rpm of 'gpt-4o-mini' is -1"),
        ({"tpm": 1.5}, r"tpm of 'gpt-4o-mini' is 1\.5"),
        ({"weight": -1}, "weight of 'gpt-4o-mini' is -1"),
        ({"weight": "half"}, "weight of 'gpt-4o-mini' is 'half'"),
        ({"weight": float("nan")}, "weight of 'gpt-4o-mini' is nan"),
        ({"prices": 3}, "prices of 'gpt-4o-mini' are 3"),
        ({"capabilities": "tools"}, "give a set, {'tools'}"),
        (
            {"capabilities": {"tools": False, "tool_choice": True}},
            "'tool_choice' without 'tool_calling'",
        ),
    ],
)
def test_contradictions_are_refused_at_construction(mini, fields, message):
    with pytest.raises(ConfigurationError, match=message):
        Candidate(mini, **fields)


def test_the_way_out_of_a_wrong_profile_works(mini):
    limit = {"max_input_tokens": 200_000}
    with pytest.raises(ConfigurationError, match=r"ModelCatalog\({'gpt-4o-mini': "):
        Candidate(mini, name="mine", **limit)
    catalog = ModelCatalog({"gpt-4o-mini": limit})
    assert Candidate(mini, name="mine", catalog=catalog, **limit).fits(200_000)


def test_a_candidate_prints_without_its_model(mini):
    assert "ChatOpenAI" not in repr(Candidate(mini))
    assert "name='gpt-4o-mini'" in repr(Candidate(mini))


def test_only_chat_models_are_candidates():
    with pytest.raises(ConfigurationError, match="'gpt-4o' is no chat model"):
        Candidate("gpt-4o")


def test_names_that_were_not_given_are_told_apart(mini):
    found = as_candidates(
        [
            mini,
            Candidate(mini),
            Candidate(mini, region="eu"),
            Candidate(mini, name="gpt-4o-mini#2"),
            FakeListChatModel(responses=["a"]),
        ]
    )
    assert [candidate.name for candidate in found] == [
        "gpt-4o-mini",
        "gpt-4o-mini#3",
        "gpt-4o-mini@eu",
        "gpt-4o-mini#2",
        "FakeListChatModel",
    ]
    assert found[1].max_input_tokens == 128_000


def test_names_given_twice_and_empty_lists_are_refused(make):
    with pytest.raises(ConfigurationError, match="2 candidates are named 'a'"):
        as_candidates([make("a"), make("a")])
    with pytest.raises(ConfigurationError, match="no candidates"):
        as_candidates([])
