"""WindowMiddleware: the model sees a window, the state keeps everything."""

from __future__ import annotations

import pytest
from langchain.agents import create_agent
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver

from langchain_llmops import TokenCounter, WindowPolicy
from langchain_llmops.agents import WindowMiddleware
from langchain_llmops.errors import ConfigurationError

COUNTER = TokenCounter("gpt-4o").load()
ANN = {"configurable": {"thread_id": "ann"}}


@tool
def look_up(name: str) -> str:
    """Look up what is known of a name."""
    return f"{name} is a cat. " * 20


class Spy(GenericFakeChatModel):
    """A model that remembers what it was sent; it takes tools and ignores them."""

    seen: list = []  # noqa: RUF012 - a field of pydantic, copied per object

    def bind_tools(self, tools, **options):
        return self

    def _generate(self, messages, *arguments, **options):
        self.seen.append(messages)
        return super()._generate(messages, *arguments, **options)


def spy(*answers):
    return Spy(messages=iter(answers))


def agent_of(model, budget=250):
    return create_agent(
        model,
        tools=[look_up],
        system_prompt="Be brief.",
        middleware=[WindowMiddleware(WindowPolicy(budget))],
        checkpointer=InMemorySaver(),
    )


def turns(count):
    return [HumanMessage(f"Turn {n}: a calm day by the sea.") for n in range(count)]


async def test_the_model_sees_a_window_and_the_checkpoint_keeps_every_message():
    model = spy(AIMessage("one"), AIMessage("two"))
    agent = agent_of(model)
    agent.invoke({"messages": turns(60)}, ANN)
    done = await agent.ainvoke({"messages": [HumanMessage("Turn 7?")]}, ANN)
    assert len(done["messages"]) == 63
    for window in model.seen:
        assert window[0].text == "Be brief."
        assert COUNTER.measure_messages(window, [look_up]).upper_bound <= 250
    assert any(m.text.startswith("Turn 7:") for m in model.seen[-1])


def test_tool_calls_keep_their_results():
    call = {"name": "look_up", "args": {"name": "Ada"}, "id": "1"}
    model = spy(AIMessage("", tool_calls=[call]), AIMessage("A cat."))
    agent_of(model, 400).invoke({"messages": turns(60)}, ANN)
    assert [m.type for m in model.seen[-1]][-3:] == ["human", "ai", "tool"]


def test_a_prompt_and_tools_over_the_budget_are_an_error_with_both_numbers():
    with pytest.raises(ConfigurationError, match=r"max_tokens=20 .* take \d+ tokens"):
        agent_of(spy(AIMessage("one")), 20).invoke({"messages": turns(1)}, ANN)
