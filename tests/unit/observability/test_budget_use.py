"""What a `BudgetLayer` tells arrives as a metric, in every mode."""

from __future__ import annotations

import pytest
from langchain_core.runnables import RunnableLambda

from langchain_llmops import Budget, BudgetExceededError, BudgetLayer, with_layers

USE = "llmops.budget.use"
WHO = {"tenant": "acme"}


def invoke(model, config):
    model.invoke("hi", config)


def stream(model, config):
    list(model.stream("hi", config))


async def ainvoke(model, config):
    await model.ainvoke("hi", config)


async def astream(model, config):
    assert [chunk async for chunk in model.astream("hi", config)]


MODES = pytest.mark.parametrize("call", [invoke, stream, ainvoke, astream])


async def run(call, model, config):
    done = call(model, config)
    if done is not None:
        await done


@MODES
@pytest.mark.parametrize("nested", [False, True])
async def test_the_use_of_a_budget_is_a_gauge(call, nested, scripted, metrics, handler):
    budget = Budget(limit_calls=4, soft_limits=())
    model = with_layers(scripted(), BudgetLayer(budget))
    chain = RunnableLambda(str) | model if nested else model
    for share in (0.25, 0.5):
        await run(call, chain, {"callbacks": [handler], "metadata": WHO})
        (point,) = metrics.points(USE)
        assert point.value == budget.pressure(WHO) == share
        assert dict(point.attributes) == {"llmops.budget.scope": "tenant:acme"}


@MODES
async def test_a_refusal_shows_a_budget_that_is_spent(call, scripted, metrics, handler):
    budget = Budget(limit_calls=1, soft_limits=())
    plain = with_layers(scripted(), BudgetLayer(budget))
    await run(call, plain, {"metadata": WHO})  # nobody listens
    assert USE not in metrics.all()
    with pytest.raises(BudgetExceededError):
        await run(call, plain, {"callbacks": [handler], "metadata": WHO})
    (point,) = metrics.points(USE)
    assert point.value == 1
