"""Whether to call a tool, which one, and with what: decided by words alone.

A tool is called when the question shares enough words with its name, description and
parameters. Its arguments are read from the question by the types in its schema.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_llmops.testing.schema_fill import fill
from langchain_llmops.testing.words import STOP_WEIGHT, terms

if TYPE_CHECKING:
    from langchain_llmops.testing.chat_request import ChatRequest, Tool

__all__ = ["ToolCall", "decide"]

_ENOUGH = 2.0
_NAMED = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that the model asks for; `arguments` is JSON."""

    name: str
    arguments: str


def decide(request: ChatRequest, question: str, *, answered: bool) -> list[ToolCall]:
    """Return the calls that a question asks for, often none.

    Args:
        request: Its tools and what it says about choosing among them.
        question: What is asked.
        answered: Whether tools have been called for this question already.
    """
    choice = request.tool_choice
    if not request.tools or choice == "none":
        return []
    if choice not in {"auto", "required"}:
        named = next(tool for tool in request.tools if tool.name == choice)
        return [_call(named, question)]
    if answered and choice == "auto":
        return []
    ranked = sorted(request.tools, key=lambda tool: -_affinity(tool, question))
    best = _affinity(ranked[0], question)
    if best < _ENOUGH and choice == "auto":
        return []
    chosen = [ranked[0]]
    if request.parallel_tool_calls and best >= _ENOUGH:
        chosen += [
            tool
            for tool in ranked[1:]
            if _affinity(tool, question) >= max(best, _NAMED)
        ]
    chosen.sort(key=request.tools.index)
    return [_call(tool, question) for tool in chosen]


def _affinity(tool: Tool, question: str) -> float:
    """Return how much a question asks for a tool; 10 and more if it names it."""
    if re.search(rf"(?<!\w){re.escape(tool.name)}(?!\w)", question, re.IGNORECASE):
        return _NAMED
    asked = _content(question)
    name = _content(re.sub(r"[_\W]+|(?<=[a-z])(?=[A-Z])", " ", tool.name))
    about = _content(tool.description) - name
    parameters = _content(" ".join(tool.parameters.get("properties") or ()))
    return 2.0 * len(asked & name) + 1.0 * len(asked & about) + len(asked & parameters)


def _content(text: str) -> set[str]:
    return {term for term, weight in terms(text) if weight > STOP_WEIGHT}


def _call(tool: Tool, question: str) -> ToolCall:
    arguments = fill(tool.parameters, question)
    return ToolCall(name=tool.name, arguments=json.dumps(arguments, ensure_ascii=False))
