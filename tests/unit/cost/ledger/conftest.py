"""Charges made to order, and a look at whether a ledger's sums equal its rows."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import strategies as st
from sqlalchemy import select

from langchain_llmops.cost import Charge
from langchain_llmops.cost.ledger.rollups import rollups_of
from langchain_llmops.cost.ledger.rows import CallRow
from langchain_llmops.cost.ledger.tables import CALLS, ROLLUPS
from langchain_llmops.pricing import Usage

DAY = 86_400
DEFAULTS = {
    "model": "fake-1",
    "feature": "answer",
    "tenant": "acme",
    "user": "ada",
    "basis": "reported",
    "usage": Usage(100, 10),
    "cost": 10**20,
    "started_at": 20_000.0 * DAY,
    "duration_s": 1.5,
}


@pytest.fixture(scope="session")
def charge():
    def make(number=None, **changes):
        run_id = uuid.uuid4() if number is None else uuid.UUID(int=number)
        return Charge(run_id=run_id, **{**DEFAULTS, **changes})

    return make


@pytest.fixture(scope="session")
def charges(charge):
    """A strategy: few runs, so that they repeat, in every state a call can be in."""
    return st.builds(
        charge,
        st.integers(0, 12),
        model=st.sampled_from(["a", "b"]),
        feature=st.sampled_from(["f", "g"]),
        user=st.sampled_from(["u", "v"]),
        basis=st.sampled_from(
            ["reported", "estimated", "unsettled", "cached", "refused"]
        ),
        usage=st.tuples(st.integers(-1, 10**9), st.integers(0, 10**20)).map(
            lambda counts: Usage(*counts)
        ),
        cost=st.none() | st.integers(0, 10**27),
        saved=st.integers(0, 10**27),
        started_at=st.floats(0, 3 * DAY),
        duration_s=st.floats(0, 1e4),
        error=st.sampled_from([None, "ValueError", "GeneratorExit"]),
    )


@pytest.fixture(scope="session")
def audit():
    """Return the rows of a ledger, after a look whether its sums equal them."""

    def look(engine):
        with engine.connect() as connection:
            found = connection.execute(select(CALLS)).all()
            rows = [CallRow._make((bytes(r[0]), *r[1:-1], None)) for r in found]
            for table, due in zip(ROLLUPS, rollups_of(rows), strict=True):
                keys = len(table.primary_key)
                kept = {
                    tuple(row[:keys]): tuple(map(int, row[keys:]))
                    for row in connection.execute(select(table))
                }
                nothing = {key for key, sums in kept.items() if not any(sums)}
                expected = {key: sums for key, sums in due.items() if any(sums)}
                assert {k: v for k, v in kept.items() if k not in nothing} == expected
        return {row.run_id: row for row in rows}

    return look
