"""What of a conversation stays when it has to fit: its longest texts are cut first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from langchain_llmops.tokens.counter import TokenCounter

__all__ = ["ShortenedMessages", "shorten_messages"]

_LEAST = 32
"""Tokens that a text keeps at least while there are older messages to leave out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortenedMessages:
    """A conversation that fits, and what was taken out of it.

    Attributes:
        messages: The messages, new ones where a text was cut.
        removed_messages: Messages that are missing.
        removed_tokens: Tokens that are missing.
    """

    messages: list[BaseMessage]
    removed_messages: int = 0
    removed_tokens: int = 0


@dataclass(frozen=True, slots=True)
class _Text:
    """A text that may be cut: of a message, or of a block in its content."""

    message: int
    block: int | None
    text: str
    tokens: int


def shorten_messages(
    messages: Sequence[BaseMessage],
    limit: int,
    *,
    counter: TokenCounter,
    shorten: Callable[[str, int], str],
) -> ShortenedMessages:
    """Return a conversation in a limit of tokens.

    The longest texts are cut, down to the same length each; where that leaves them too
    short, the oldest turns are left out, and then the oldest steps of the last turn: a
    tool call always together with its results. System messages, the last question and
    the last step stay; system messages are never cut.

    Args:
        messages: The conversation.
        limit: Tokens that a request with it may have.
        counter: Counts them.
        shorten: Cuts a text to so many tokens.

    Raises:
        ConfigurationError: What may not be cut has more tokens than the limit.
    """
    total = counter.count_messages(list(messages))
    kept = list(messages)
    if total <= limit:
        return ShortenedMessages(messages=kept)
    droppable = _droppable(kept)
    texts = _texts(kept, counter)
    costs = [counter.measure_message(message).tokens for message in kept]
    gone: set[int] = set()
    rest = total
    while True:
        room = limit - (rest - sum(text.tokens for text in texts))
        cap = _level([text.tokens for text in texts], room)
        if cap >= _LEAST or not droppable:
            break
        dropped = droppable.pop(0)
        gone.update(dropped)
        rest -= sum(costs[place] for place in dropped)
        texts = [text for text in texts if text.message not in gone]
    if cap < 0:
        raise ConfigurationError(
            f"system messages and what else cannot be cut have {limit - room} tokens, "
            f"more than max_tokens={limit}: shorten the system prompt or raise "
            "max_tokens"
        )
    for text in texts:
        if text.tokens > cap:
            kept[text.message] = _with(
                kept[text.message], text, shorten(text.text, cap)
            )
    short = [message for place, message in enumerate(kept) if place not in gone]
    return ShortenedMessages(
        messages=short,
        removed_messages=len(gone),
        removed_tokens=total - counter.count_messages(short),
    )


def _level(tokens: Sequence[int], room: int) -> int:
    """Return the length to which texts are cut so that all fit; negative if none do."""
    if room < 0:
        return -1
    left = len(tokens)
    for each in sorted(tokens):
        if each * left > room:
            return room // left
        room -= each
        left -= 1
    return max(tokens, default=0)


def _texts(messages: Sequence[BaseMessage], counter: TokenCounter) -> list[_Text]:
    """Return the texts that may be cut."""
    texts = []
    for place, message in enumerate(messages):
        if isinstance(message, SystemMessage):
            continue
        if isinstance(message.content, str):
            text = message.content
            texts.append(_Text(place, None, text, counter.count(text)))
            continue
        for at, block in enumerate(message.content):
            text = _text_of(block)
            if text:
                texts.append(_Text(place, at, text, counter.count(text)))
    return texts


def _text_of(block: Any) -> str:
    if isinstance(block, str):
        return block
    return str(block.get("text") or "") if block.get("type") == "text" else ""


def _with(message: BaseMessage, old: _Text, new: str) -> BaseMessage:
    """Return a copy of a message with another text."""
    content: Any = new
    if old.block is not None:
        content = list(message.content)
        block = content[old.block]
        content[old.block] = new if isinstance(block, str) else {**block, "text": new}
    return message.model_copy(update={"content": content})


def _droppable(messages: Sequence[BaseMessage]) -> list[list[int]]:
    """Return what may be left out, in that order: turns, then steps of the last one."""
    groups: list[list[int]] = []
    turns: list[list[int]] = []
    for place, message in enumerate(messages):
        if isinstance(message, SystemMessage):
            continue
        if isinstance(message, HumanMessage) or not turns:
            turns.append([])
        turns[-1].append(place)
    if not turns:
        return []
    for place in turns[-1]:
        message = messages[place]
        if isinstance(message, AIMessage) or not groups:
            groups.append([])
        groups[-1].append(place)
    question = isinstance(messages[turns[-1][0]], HumanMessage)
    return turns[:-1] + groups[1 if question else 0 : -1]
