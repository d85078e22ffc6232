"""The ceiling holds whatever calls turn out to cost."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from langchain_llmops.cli.demo.questions import parse_questions
from langchain_llmops.cli.demo.spending import Spending, most_input_tokens


@given(
    st.lists(st.tuples(st.integers(1, 50), st.floats(0, 1)), max_size=60),
    st.integers(1, 8),
    st.integers(0, 300),
)
def test_nothing_admitted_can_break_the_ceiling(calls, concurrency, limit):
    """Calls end in order, each at a share of its worst case."""
    spent = Decimal()
    spending = Spending(
        limit_usd=Decimal(limit),
        spent=lambda: spent,
        worst=lambda call: Decimal(call[0]),
    )
    open_now = []
    for call in calls:
        while open_now and (
            len(open_now) == concurrency or not spending.admits(call, open_now)
        ):
            worst, share = open_now.pop(0)
            spent += Decimal(worst) * Decimal(share)
        if not spending.admits(call, open_now):
            break
        open_now.append(call)
    spent += sum(Decimal(worst) for worst, _ in open_now)
    assert spent <= limit


def test_later_turns_carry_the_earlier_ones():
    lines = [
        json.dumps({"id": name, "session": session, "question": "é" * 10})
        for name, session in [("a", "s"), ("b", "t"), ("c", "s")]
    ]
    most = most_input_tokens(
        parse_questions(lines, source="log"),
        count=len,
        context_tokens=1_000,
        answer_tokens=50,
    )
    assert most["a"] == most["b"] >= 1_000 + 10
    assert most["c"] == most["a"] + (most["a"] - 1_000) + 50
