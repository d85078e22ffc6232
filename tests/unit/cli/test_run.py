"""Driving traffic: order within sessions, bounded concurrency, failures, ceilings."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_llmops.cli.demo.run import Arm
from langchain_llmops.cli.demo.spending import Spending
from langchain_llmops.errors import ConfigurationError


class Chain:
    """Answers in two pieces, after the turns of the loop that a test asks for."""

    def __init__(self, *, fails=(), waits=3):
        self.fails = fails
        self.waits = waits
        self.inputs = []
        self.open = 0
        self.most_open = 0
        self.runnable = RunnableLambda(self.answer)

    async def answer(self, inputs):
        self.inputs.append(inputs)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            for _ in range(self.waits):
                await asyncio.sleep(0)
            yield ""
            if inputs["question"] in self.fails:
                raise RuntimeError("out of order")
            yield "It is "
            yield inputs["question"]
        finally:
            self.open -= 1


@pytest.fixture
def rows(question):
    return lambda *pairs: [
        question(f"q{place}", text=text, session=session)
        for place, (session, text) in enumerate(pairs)
    ]


async def run(arm, chain, questions, concurrency=4):
    seen = []
    await arm.run(
        chain.runnable, questions, concurrency=concurrency, on_turn=seen.append
    )
    return seen


async def test_turns_of_a_session_run_in_order_and_carry_the_earlier_ones(rows):
    chain = Chain()
    arm = Arm("before", model="m")
    await run(
        arm, chain, rows(("s", "one"), ("s", "two"), ("t", "other"), ("s", "three"))
    )
    turns = {one["question"]: one["turns"] for one in chain.inputs}
    assert [message.text for message in turns["three"]] == [
        "one",
        "It is one",
        "two",
        "It is two",
    ]
    assert turns["other"] == []
    assert chain.most_open > 1


async def test_no_more_questions_are_open_than_allowed(rows):
    chain = Chain()
    arm = Arm("before", model="m")
    seen = await run(
        arm, chain, rows(*[(f"s{n}", f"q{n}") for n in range(20)]), concurrency=3
    )
    assert chain.most_open == 3
    assert len(seen) == len(arm.turns) == 20


async def test_turns_come_back_in_the_order_of_the_log(rows):
    arm = Arm("before", model="m")
    questions = rows(("s", "a"), ("s", "b"), ("t", "c"), ("u", "d"))
    await run(arm, Chain(), questions)
    assert [turn.question for turn in arm.turns] == questions


async def test_times_are_those_of_the_clock(rows):
    ticks = iter(range(100))
    chain = Chain()
    arm = Arm("before", model="m", clock=lambda: next(ticks))
    await run(arm, chain, rows(("s", "a")))
    (turn,) = arm.turns
    # arm starts 0, question starts 1, first text that is not empty 2, end 3, arm 4
    assert (turn.ttft_s, turn.latency_s, arm.wall_s) == (1, 2, 4)
    assert turn.answer == "It is a"


async def test_a_failure_is_recorded_and_left_out_of_later_turns(rows):
    chain = Chain(fails={"b"})
    arm = Arm("before", model="m")
    await run(arm, chain, rows(("s", "a"), ("s", "b"), ("s", "c")))
    assert [turn.error for turn in arm.turns] == [
        None,
        "RuntimeError: out of order",
        None,
    ]
    assert [m.text for m in chain.inputs[2]["turns"]] == ["a", "It is a"]


async def test_an_empty_answer_has_not_arrived(question):
    async def nothing(inputs):
        yield " " if inputs["question"] == "a" else "b"

    arm, chain = Arm("before", model="m"), Chain()
    chain.runnable = RunnableLambda(nothing)
    await run(arm, chain, [question("a", text="a"), question("b")])
    assert [turn.error for turn in arm.turns] == ["the answer is empty", None]


async def test_a_hopeless_start_ends_the_run(rows):
    questions = rows(*[(f"s{n}", f"q{n}") for n in range(40)])
    chain = Chain(fails={one.text for one in questions})
    arm = Arm("before", model="m")
    with pytest.raises(ConfigurationError, match=r"out of order.*check --base-url"):
        await run(arm, chain, questions, concurrency=2)
    assert len(chain.inputs) <= 7


async def test_a_spent_ceiling_waits_for_open_calls_and_then_stops(rows):
    spent = Decimal()
    chain = Chain()
    spending = Spending(
        limit_usd=Decimal(10), spent=lambda: spent, worst=lambda question: Decimal(4)
    )
    arm = Arm("before", model="m")

    def pay(turn):
        nonlocal spent
        spent += 1

    questions = rows(*[(f"s{n}", f"q{n}") for n in range(20)])
    await arm.run(
        chain.runnable, questions, concurrency=8, on_turn=pay, spending=spending
    )
    # Two at a time at first; one more is refused once 7 are spent and 4 might follow.
    assert chain.most_open == 2
    assert [turn.question.id for turn in arm.turns] == [f"q{n}" for n in range(7)]


async def test_a_cancelled_run_keeps_what_it_has_seen(rows):
    chain = Chain()
    arm = Arm("before", model="m")
    questions = rows(*[(f"s{n}", f"q{n}") for n in range(20)])
    seen = []

    def stop_at_three(turn):
        seen.append(turn)
        if len(seen) == 3:
            task.cancel()

    task = asyncio.ensure_future(
        arm.run(chain.runnable, questions, concurrency=2, on_turn=stop_at_three)
    )
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(arm.turns) >= 3
    assert chain.open == 0


async def test_a_second_chain_goes_on_with_the_sessions_and_the_clock(rows):
    ticks = iter(range(100))
    first, second = Chain(), Chain()
    arm = Arm("after", model="m", clock=lambda: next(ticks))
    questions = rows(("s", "a"), ("t", "b"), ("s", "c"))
    await run(arm, first, questions[:2], concurrency=1)
    spent = arm.wall_s
    await run(arm, second, questions[2:])
    assert [turn.question for turn in arm.turns] == questions
    assert [one["question"] for one in second.inputs] == ["c"]
    assert [m.text for m in second.inputs[0]["turns"]] == ["a", "It is a"]
    assert arm.wall_s == spent + 4  # start, question, its first text, both ends
