"""WindowAllocator: shares, what is measured, and what is learned of answers."""

from __future__ import annotations

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.language_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool

from langchain_llmops import TokenCounter, WindowAllocator
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.tokens.quotas import divide

COUNTER = TokenCounter("gpt-4o")
NAMES = ("history", "context", "answer")


@given(
    pool=st.integers(0, 10_000),
    wants=st.lists(st.one_of(st.none(), st.integers(0, 9000)), min_size=3, max_size=3),
    weights=st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
)
def test_nobody_gets_more_than_they_want_and_nothing_is_left_over(pool, wants, weights):
    asked = dict(zip(NAMES, wants, strict=True))
    given = divide(pool, asked, dict(zip(NAMES, weights, strict=True)))
    assert sum(given.values()) <= pool
    assert all(want is None or given[name] <= want for name, want in asked.items())
    open_ = [n for n, want in asked.items() if want is None or given[n] < want]
    assert not open_ or sum(given.values()) == pool


def test_shares_hold_where_everybody_wants_all():
    allocator = WindowAllocator("gpt-4o", window=10_000, max_output=10_000)
    plan = allocator.allocate()
    rest = plan.history + plan.context + plan.answer
    assert plan.history == pytest.approx(rest * 0.4, abs=2)
    assert plan.context == pytest.approx(rest * 0.4, abs=2)
    assert plan.spare == 0


def test_what_one_does_not_need_goes_to_the_others():
    shares = {"history": 0.5, "context": 0.25, "answer": 0.25}
    allocator = WindowAllocator("gpt-4o", shares=shares, window=10_000, max_output=500)
    plan = allocator.allocate(history=[HumanMessage("Hi")])
    assert plan.history == COUNTER.measure_message(HumanMessage("Hi")).tokens
    assert plan.answer == 500
    assert plan.context > 9000
    assert allocator.allocate(history=0, context="Hello, world!").context == 4


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return city


def test_all_parts_together_are_the_request():
    allocator = WindowAllocator("gpt-4o", window=4000)
    system, question = SystemMessage("Be brief."), [HumanMessage("What is tea?")]
    plan = allocator.allocate(system=system, tools=[weather], question=question)
    request = COUNTER.measure_messages([system, *question], [weather])
    assert plan.system + plan.tools + plan.question >= request.tokens
    assert plan.tools > 0
    assert plan.spare == 0
    assert plan.window == 4000


def test_a_system_prompt_that_fills_the_window_is_refused_with_both_numbers():
    allocator = WindowAllocator("gpt-4o", window=100)
    with pytest.raises(ConfigurationError, match=r"have \d{3,} tokens, of a .* 100:"):
        allocator.allocate(system="word " * 200)


def test_the_window_is_that_of_the_models_profile():
    profile = {"max_input_tokens": 5000, "max_output_tokens": 700}
    model = FakeListChatModel(responses=["a"], profile=profile)
    allocator = WindowAllocator(model)
    assert (allocator.window, allocator.max_output) == (5000, 700)
    bound = WindowAllocator(model.bind(stop=["x"]))
    assert bound.window == 5000


def test_answers_are_estimated_once_twenty_are_known():
    allocator = WindowAllocator("gpt-4o", window=8000, max_output=2000)
    for number in range(19):
        allocator.observe(100, 50 + number)
    assert allocator.estimate_output("Hello") == 2000
    allocator.observe(100, 69)
    assert allocator.estimate_output("Hello") == 69
    assert allocator.allocate(question="Hello").answer == 69


def test_features_and_sizes_of_prompts_have_estimates_of_their_own():
    allocator = WindowAllocator("gpt-4o", window=100_000)
    for _ in range(60):
        allocator.observe(100, 10, feature="titles")
        allocator.observe(100, 300, feature="mail")
        allocator.observe(10_000, 900, feature="mail")
    assert allocator.estimate_output(100, feature="titles") == 10
    assert allocator.estimate_output(110, feature="mail") == 300
    assert allocator.estimate_output(9000, feature="mail") == 900
    assert allocator.estimate_output(100, feature="unknown") >= 300


def test_estimates_cover_their_share_of_answers():
    allocator = WindowAllocator("gpt-4o", window=100_000, quantile=0.9)
    for number in range(500):
        allocator.observe(100, number * 7919 % 500)
    inside = sum(output <= allocator.estimate_output(100) for output in range(500))
    assert 445 <= inside <= 475


def test_answers_that_were_cut_off_do_not_hold_the_estimate_down():
    allocator = WindowAllocator("gpt-4o", window=100_000)
    for _ in range(30):
        allocator.observe(100, 50, truncated=True)
    assert allocator.estimate_output(100) == 100


def answer(finish_reason):
    usage = {"input_tokens": 9, "output_tokens": 40, "total_tokens": 49}
    metadata = {"finish_reason": finish_reason}
    return AIMessage("x", usage_metadata=usage, response_metadata=metadata)


async def test_the_handler_learns_from_finished_calls():
    allocator = WindowAllocator("gpt-4o", window=100_000)
    answers = [answer("stop") for _ in range(40)] + [answer("length")] * 40
    model = GenericFakeChatModel(messages=iter(answers))
    config = {"callbacks": [allocator.handler], "metadata": {"feature": "chat"}}
    for _ in range(20):
        model.invoke("Hi", config)
        await model.ainvoke("Hi", config)
    assert allocator.estimate_output(9, feature="chat") == 40
    for _ in range(40):
        model.invoke("Hi", {**config, "metadata": {"feature": "long"}})
    assert allocator.estimate_output(9, feature="long") == 80


def test_the_handler_forgets_runs_that_never_end():
    handler = WindowAllocator("gpt-4o", window=1000).handler
    for _ in range(10_100):
        handler.on_chat_model_start({}, [[]], run_id=uuid4())
    assert len(handler._features) == 10_000
    last = next(reversed(handler._features))
    handler.on_llm_error(ValueError(), run_id=last)
    assert last not in handler._features


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "'nobody-knows'.*`window`"),
        ({"window": 10, "shares": {"tools": 1}}, "share 'tools'"),
        ({"window": 10, "shares": {"answer": -1}}, "shares="),
        ({"window": 10, "quantile": 1}, "quantile=1"),
    ],
)
def test_bad_arguments_are_named(arguments, match):
    with pytest.raises(ConfigurationError, match=match):
        WindowAllocator("nobody-knows", **arguments)
