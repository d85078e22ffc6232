"""`--max-usd`: what is limited, what a call may cost, and how two arms share it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from langchain_llmops.cli.demo.purse import Purse
from langchain_llmops.cli.demo.settings import Settings
from langchain_llmops.errors import ConfigurationError


def settings(**fields):
    defaults = {
        "model": "gpt-4o-mini",
        "embedding_model": "text-embedding-3-small",
        "real": True,
        "base_url": None,
        "max_usd": Decimal(1),
        "docs": None,
        "questions": None,
        "limit": None,
        "concurrency": 1,
        "seed": 0,
        "report": None,
        "cache": None,
        "ledger": None,
    }
    return Settings(**defaults | fields)


@pytest.fixture
def rows(question):
    return [question("a"), question("b")]


def purse(rows, **fields):
    return Purse(
        settings(**fields), rows, documents=["text"], per_question=4, answer_tokens=400
    )


def test_the_local_provider_costs_nothing_and_has_no_ceiling(rows):
    assert purse(rows, real=False).spending(rows, Decimal, last=True) is None


def test_another_server_is_limited_if_its_models_have_prices(rows):
    server = {"real": False, "base_url": "http://localhost:11434/v1"}
    assert purse(rows, **server).spending(rows, Decimal, last=True) is not None
    own = purse(rows, **server, model="my-own-llama")
    assert own.spending(rows, Decimal, last=True) is None


@pytest.mark.parametrize("option", ["model", "embedding_model"])
def test_real_needs_a_known_price(rows, option):
    with pytest.raises(
        ConfigurationError, match=r"'no-such'.*--max-usd cannot be kept"
    ):
        purse(rows, **{option: "no-such"})


def test_the_worst_case_exceeds_three_full_answers(rows):
    three_answers = 3 * 400 * Decimal("0.60") / 1_000_000
    assert three_answers < purse(rows).worst_usd(rows[0]) < Decimal("0.002")


def test_the_first_arm_leaves_half_of_what_the_index_left(rows):
    own = purse(rows, max_usd=Decimal("0.1"))
    own.pay_for_index(["word " * 100_000])  # 100,000 tokens at $0.02 per million
    assert own.spent_usd == pytest.approx(Decimal("0.002"), rel=Decimal("0.01"))
    first = own.spending(rows, Decimal, last=False)
    assert first.limit_usd == pytest.approx(Decimal("0.051"), rel=Decimal("0.01"))
    assert own.spending(rows, Decimal, last=True).limit_usd == Decimal("0.1")


def test_an_index_beyond_the_ceiling_is_refused_before_it_is_paid(rows):
    own = purse(rows, max_usd=Decimal("0.001"))
    with pytest.raises(ConfigurationError, match=r"more than --max-usd 0\.001"):
        own.pay_for_index(["word " * 100_000])
    assert own.spent_usd == 0


def test_a_failed_call_counts_with_its_worst_case(rows, turn):
    own = purse(rows)
    turns = [turn(rows[0]), turn(rows[1], error="timeout")]
    assert own.worst_of_failed(turns) == own.worst_usd(rows[1])


def test_documents_without_questions_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="--docs needs --questions"):
        settings(docs=tmp_path)
    assert settings(docs=tmp_path, questions=tmp_path / "q").local is False
