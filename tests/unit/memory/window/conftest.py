"""Conversations to choose windows from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_llmops import TokenCounter

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

_WORDS = ("tea", "sea", "cat", "dog", "red", "walk", "fine", "Ann", "lunch", "river")


@pytest.fixture(scope="session")
def counter() -> TokenCounter:
    return TokenCounter("gpt-4o").load()


def _text(rng: random.Random) -> str:
    return " ".join(rng.choices(_WORDS, k=rng.randint(1, 30)))


def _called(rng: random.Random, turn: int) -> list[BaseMessage]:
    """Return a message with tool calls, and its results, now and then not all."""
    ids = [f"call-{turn}-{i}" for i in range(rng.randint(1, 3))]
    calls = [{"name": "look", "args": {"for": _text(rng)}, "id": i} for i in ids]
    results = [ToolMessage(_text(rng), tool_call_id=i) for i in ids]
    if rng.random() < 0.15:
        rng.choice((results.pop, results.clear))()
    if rng.random() < 0.1:
        results.insert(rng.randint(0, len(results)), HumanMessage("Wait!"))
    return [AIMessage("", tool_calls=calls), *results]


@pytest.fixture
def conversation() -> Callable[[random.Random], list[BaseMessage]]:
    """Make a random conversation with tools, whole and broken, and a user in it."""

    def make(rng: random.Random) -> list[BaseMessage]:
        made: list[BaseMessage] = [SystemMessage("Be kind.")] * rng.randint(0, 2)
        if rng.random() < 0.1:
            made.append(ToolMessage("whose?", tool_call_id="nobody"))
        for turn in range(rng.randint(1, 12)):
            extra = {"pinned": True} if rng.random() < 0.1 else {}
            made.append(HumanMessage(_text(rng), additional_kwargs=extra))
            while rng.random() < 0.4:
                made += _called(rng, turn)
            if rng.random() < 0.8:
                made.append(AIMessage(_text(rng)))
        return made

    return make


@pytest.fixture
def faults() -> Callable[[list[BaseMessage]], list[str]]:
    """Say what a provider would refuse in a window."""

    def find(window: list[BaseMessage]) -> list[str]:
        found, waiting = [], []
        for message in window:
            if isinstance(message, ToolMessage):
                if message.tool_call_id not in waiting:
                    found.append("a result without its call")
                else:
                    waiting.remove(message.tool_call_id)
                continue
            if waiting:
                found.append("a call without all its results")
            calls = message.tool_calls if isinstance(message, AIMessage) else []
            waiting = [call["id"] for call in calls]
        if waiting:
            found.append("a call without all its results")
        rest = [m for m in window if not isinstance(m, SystemMessage)]
        if not rest or not isinstance(rest[0], HumanMessage):
            found.append("does not begin with the user")
        return found

    return find
