"""Rows and turns of the demo, with everything but the point at hand filled in."""

from __future__ import annotations

import pytest

from langchain_llmops.cli.demo.questions import Question
from langchain_llmops.cli.demo.results import ArmResult, Billed, Comparison
from langchain_llmops.cli.demo.shadow import ShadowReport
from langchain_llmops.cli.demo.turns import Turn


def make_question(name="q1", **fields):
    defaults = {
        "id": name,
        "kind": "ask",
        "session": name,
        "text": f"What is {name}?",
        "topics": frozenset(),
        "of": None,
        "meaning": name,
        "said_before": False,
    }
    return Question(**defaults | fields)


def make_mark(kind="exact", similarity=None):
    return {
        "hit": True,
        "kind": kind,
        "tier": "memory",
        "similarity": similarity,
        "age_s": 1.0,
        "saved_tokens": 10,
        "saved_input_tokens": 8,
        "saved_output_tokens": 2,
        "saved_usd": 0.001,
        "hit_id": "h",
    }


def make_turn(question=None, *, hit=None, similarity=None, **fields):
    defaults = {
        "question": question or make_question(),
        "answer": "because",
        "error": None,
        "ttft_s": 0.1,
        "latency_s": 0.2,
        "mark": make_mark(hit, similarity) if hit else None,
    }
    return Turn(**defaults | fields)


def make_billed(calls=2, usd=None, **fields):
    return Billed(
        **{"calls": calls, "input_tokens": 20, "output_tokens": 4, "usd": usd} | fields
    )


def make_arm(name="before", turns=(), **fields):
    defaults = {
        "name": name,
        "turns": list(turns),
        "counted": make_billed(),
        "invoiced": None,
        "embedded": None,
        "wall_s": 1.0,
    }
    return ArmResult(**defaults | fields)


def make_shadow(**fields):
    defaults = {
        "asked": 2,
        "near": 0,
        "would_serve": 0,
        "right": 0,
        "agreed": 0,
        "labelled": True,
        "calibration": None,
    }
    return ShadowReport(**defaults | fields)


def make_comparison(**fields):
    turns = [make_turn()]
    defaults = {
        "questions": [turn.question for turn in turns],
        "before": make_arm("before", turns),
        "after": make_arm("after", turns),
        "documents": 1,
        "chunks": 2,
        "source": "a book",
        "provider": "somebody",
        "simulated": None,
        "stopped": None,
        "shadow": make_shadow(),
    }
    return Comparison(**defaults | fields)


@pytest.fixture
def question():
    return make_question


@pytest.fixture
def turn():
    return make_turn


@pytest.fixture
def billed():
    return make_billed


@pytest.fixture
def arm():
    return make_arm


@pytest.fixture
def comparison():
    return make_comparison


@pytest.fixture
def shadow():
    return make_shadow
