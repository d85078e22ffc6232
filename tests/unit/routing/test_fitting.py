from __future__ import annotations

from decimal import Decimal

import pytest

from langchain_llmops.routing import (
    CandidateHealth,
    RoutingRequest,
    RoutingState,
    cheapest_capable,
)

POLICY = cheapest_capable()


def excluded(candidate, state=None, **request):
    states = RoutingState(health={candidate.name: state} if state else {})
    ranking = POLICY.choose(RoutingRequest(**request), [candidate], states)
    assert len(ranking.choices) + len(ranking.excluded) == 1
    return ranking.excluded[0] if ranking.excluded else None


@pytest.mark.parametrize(
    ("fields", "request_", "reason"),
    [
        ({"max_input_tokens": 9}, {"input_tokens": 10}, "takes 9 input tokens, not 10"),
        ({"max_output_tokens": 9}, {"output_tokens": 10}, "writes 9 output tokens"),
        (
            {"capabilities": {"tools": False, "images": False}},
            {"needs": frozenset({"tool_calling", "image_inputs"})},
            "lacks image_inputs, tool_calling",
        ),
        (
            {"region": "us"},
            {"region": "eu"},
            "must stay in 'eu', it runs in 'us'",
        ),
        ({}, {"region": "eu"}, "must stay in 'eu', its region is unknown"),
        (
            {"usd": 3},
            {"input_tokens": 1_000, "max_usd": Decimal("0.002")},
            "costs 0.003 USD, more than 0.002",
        ),
    ],
)
def test_a_call_that_does_not_fit_says_why(make, fields, request_, reason):
    out = excluded(make("m", **fields), **request_)
    assert reason in out.reason
    assert not out.is_temporary


@pytest.mark.parametrize(
    ("fields", "health", "reason"),
    [
        ({}, {"is_open": True}, "breaker is open"),
        ({"rpm": 5}, {"requests_used": 5}, "5 requests of this minute are used"),
        ({"tpm": 99}, {"tokens_used": 90}, "99 tokens of this minute do not suffice"),
        ({}, {"ttft_s": 2.5}, "starts after 2.5 s, 2 left"),
    ],
)
def test_a_candidate_that_cannot_now_is_told_from_one_that_cannot(
    make, fields, health, reason
):
    request = {"input_tokens": 6, "output_tokens": 4, "deadline_s": 2.0}
    out = excluded(make("m", **fields), CandidateHealth(**health), **request)
    assert reason in out.reason
    assert out.is_temporary


def test_limits_are_met_exactly(make):
    candidate = make(
        "m", 1, max_input_tokens=10, max_output_tokens=5, region="eu", rpm=2, tpm=20
    )
    health = CandidateHealth(requests_used=1, tokens_used=5, ttft_s=2)
    request = {
        "input_tokens": 10,
        "output_tokens": 5,
        "region": "eu",
        "max_usd": Decimal("0.000015"),
        "deadline_s": 2.0,
    }
    assert excluded(candidate, health, **request) is None


def test_what_is_unknown_counts_as_fitting(make):
    request = {
        "input_tokens": 10**9,
        "needs": frozenset({"tool_calling"}),
        "max_usd": Decimal(1),
        "deadline_s": 1.0,
    }
    assert excluded(make("m"), **request) is None


def test_a_ranking_reads_as_a_list_with_reasons(make):
    ranking = POLICY.choose(
        RoutingRequest(input_tokens=1_000),
        [make("dear", 9), make("cheap", 1), make("short", 1, max_input_tokens=9)],
    )
    assert str(ranking) == (
        "1. cheap: 0.001 USD\n"
        "2. dear: 0.009 USD\n"
        "-  short: takes 9 input tokens, not 1000"
    )
    assert [candidate.name for candidate in ranking.candidates] == ["cheap", "dear"]
