"""A policy that is run over a list of readings."""

from __future__ import annotations

import pytest

from langchain_llmops.scaling import ScalingMetrics, ScalingPolicy


def _readings(usages, *, replicas, every_s=15.0, **more):
    return [
        ScalingMetrics(
            at_s=place * every_s, replicas=replicas, token_usage=usage, **more
        )
        for place, usage in enumerate(usages)
    ]


def _decisions(policy: ScalingPolicy, readings, state=None):
    made = []
    for reading in readings:
        made.append(policy.decide(reading, state))
        state = made[-1].state
    return made


@pytest.fixture(scope="session")
def series():
    """Return readings at equal distances, one for each token usage."""
    return _readings


@pytest.fixture(scope="session")
def run():
    """Return the decisions on readings that follow each other."""
    return _decisions
