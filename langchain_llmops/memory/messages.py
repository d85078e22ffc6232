"""Turns and answers as messages, however a chain takes and gives them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.load.dump import default
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    convert_to_messages,
)
from langchain_core.prompt_values import PromptValue

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["PARTIAL", "answer_messages", "turn_messages"]

PARTIAL = "partial"
"""Key in `response_metadata` of an answer whose stream was not read to its end."""


def turn_messages(turn: Any) -> list[BaseMessage]:
    """Return what begins a turn as messages.

    Args:
        turn: A text, a message, messages, or a prompt.

    Raises:
        ConfigurationError: It is nothing of these, or empty.
    """
    if isinstance(turn, PromptValue):
        return turn.to_messages()
    if isinstance(turn, str):
        return [HumanMessage(turn)]
    try:
        several = turn if isinstance(turn, list | tuple) else [turn]
        messages = convert_to_messages(several)
    except (NotImplementedError, ValueError) as error:
        raise ConfigurationError(
            f"not a turn of a conversation: {turn!r}; give a text or messages"
        ) from error
    if not messages:
        raise ConfigurationError("an empty turn says nothing: give a text or messages")
    return messages


def answer_messages(
    answer: Any, known: Collection[str | None] = (), *, partial: bool = False
) -> list[BaseMessage]:
    """Return what a chain has answered as messages.

    Args:
        answer: A text, a message, messages, an agent's state with `messages`; anything
            else is kept as its JSON.
        known: Ids of messages that were the chain's input, which an agent's state has
            too.
        partial: Whether it is only the beginning of an answer: its messages say so.
    """
    if isinstance(answer, dict) and isinstance(answer.get("messages"), list):
        answer = answer["messages"]
    if isinstance(answer, BaseMessage):
        answer = [answer]
    if isinstance(answer, str):
        answer = [AIMessage(answer)] if answer else []
    if not _are_messages(answer):
        answer = [AIMessage(json.dumps(answer, default=default, ensure_ascii=False))]
    new = [message for message in answer if not (message.id and message.id in known)]
    return [_marked(message) for message in new] if partial else new


def _are_messages(answer: Any) -> bool:
    return isinstance(answer, list | tuple) and all(
        isinstance(each, BaseMessage) for each in answer
    )


def _marked(message: BaseMessage) -> BaseMessage:
    marks = {**message.response_metadata, PARTIAL: True}
    return message.model_copy(update={"response_metadata": marks})
