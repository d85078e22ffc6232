"""The truth table: what we report against what was billed, one row per scenario."""

from __future__ import annotations

from decimal import Decimal

import pytest
from cost_truth import broken, named, plain
from cost_truth.bench import SCENARIOS, run

from langchain_llmops.cost import CostCallbackHandler

TO_THE_NANO = Decimal("1e-9")
TENTH = Decimal("0.1")

pytestmark = [
    pytest.mark.filterwarnings("ignore::langchain_core._api.LangChainBetaWarning"),
    # langchain-openai on counts that the SDK leaves out, where it adds up two prompts.
    pytest.mark.filterwarnings("ignore:Unexpected type for token usage"),
]


def test_the_table_is_long_enough_and_names_no_row_twice():
    assert all(module.__doc__ for module in (plain, broken, named))
    assert len({row.name for row in SCENARIOS}) == len(SCENARIOS) >= 30


@pytest.mark.parametrize("row", SCENARIOS, ids=lambda row: row.name)
def test_what_is_reported_is_what_was_billed(row):
    costs = CostCallbackHandler(prices=row.prices() if row.prices else None)
    bills = run(row, costs)
    report = costs.report()
    assert (report.calls, report.cache_hits) == (len(bills), row.hits)
    assert (report.estimated, report.unsettled, report.unpriced) == (
        row.estimated,
        row.unsettled,
        row.unpriced,
    )
    if row.unsettled:
        assert (len(bills), report.usd) == (row.unsettled, 0)  # it is in no sum
        return
    billed = sum((bill.usd for bill in bills), Decimal())
    tokens = [
        (report.input_tokens, sum(bill.input_tokens for bill in bills)),
        (report.output_tokens, sum(bill.output_tokens for bill in bills)),
    ]
    if row.estimated:
        assert all(abs(ours - theirs) <= TENTH * theirs for ours, theirs in tokens)
        assert abs(report.usd - billed) <= TENTH * billed
    else:
        assert all(ours == theirs for ours, theirs in tokens)
        assert abs(report.usd - billed) <= TO_THE_NANO
