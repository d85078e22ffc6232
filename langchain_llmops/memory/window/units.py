"""What of a conversation can only be kept whole: a tool call with all its results."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from langchain_core.messages import (
    AIMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

if TYPE_CHECKING:
    from langchain_core.messages import BaseMessage

__all__ = ["UnitLog", "is_pinned", "is_system"]

_NEVER_ALONE = frozenset({"tool", "function", "remove"})
"""Results without their call, and instructions to LangGraph."""


def is_system(message: BaseMessage) -> bool:
    """Return whether a message instructs the model: system and developer messages."""
    if message.type == "chat":
        return getattr(message, "role", "") in {"system", "developer"}
    return isinstance(message, SystemMessage)


def is_pinned(message: BaseMessage) -> bool:
    """Return whether the user has pinned it: `additional_kwargs={"pinned": True}`."""
    extra = message.additional_kwargs
    return bool(extra) and bool(extra.get("pinned"))


class UnitLog:
    """The units of a conversation: which messages belong together, which can be sent.

    A unit is one message, or an assistant's message with tool calls and the results
    that follow it. Providers refuse a call without all its results, a result without
    its call, and anything in between: such units are never sent.

    Attributes:
        bounds: The place of each unit's first message, and where the last unit ends.
        sendable: Whether each unit may be sent.
        systems: Units that are system messages.
        pinned: Units with a pinned message.
        humans: Units that a user has said.
    """

    __slots__ = (
        "_waiting",
        "bounds",
        "humans",
        "pinned",
        "sendable",
        "systems",
    )

    def __init__(self) -> None:
        self.bounds = array("q", [0])
        self.sendable = array("b")
        self.systems: list[int] = []
        self.pinned: list[int] = []
        self.humans: list[int] = []
        self._waiting: list[str | None] = []

    def __len__(self) -> int:
        return len(self.sendable)

    def add(self, message: BaseMessage) -> None:
        """Add the next message of the conversation."""
        if self._waiting and self._answers(message):
            self.bounds[-1] += 1
            if not self._waiting:
                self.sendable[-1] = True
            if is_pinned(message) and self.pinned[-1:] != [len(self) - 1]:
                self.pinned.append(len(self) - 1)
            return
        unit = len(self)
        self._waiting = _calls(message) if isinstance(message, AIMessage) else []
        self.bounds.append(self.bounds[-1] + 1)
        self.sendable.append(not self._waiting and message.type not in _NEVER_ALONE)
        if isinstance(message, HumanMessage):
            self.humans.append(unit)
        elif is_system(message):
            self.systems.append(unit)
        if is_pinned(message):
            self.pinned.append(unit)

    def upto(self, messages: int) -> UnitLog:
        """Return the units that lie within so many messages from the beginning."""
        if messages == self.bounds[-1]:
            return self
        early = UnitLog()
        size = bisect_right(self.bounds, messages) - 1
        early.bounds = self.bounds[: size + 1]
        early.sendable = self.sendable[:size]
        for name in ("systems", "pinned", "humans"):
            units = getattr(self, name)
            setattr(early, name, units[: bisect_left(units, size)])
        return early

    def members(self, unit: int) -> range:
        """Return the places of the messages of a unit."""
        return range(self.bounds[unit], self.bounds[unit + 1])

    def _answers(self, message: BaseMessage) -> bool:
        """Return whether a message is a result that the open call waits for."""
        if not isinstance(message, ToolMessage):
            return False
        if message.tool_call_id not in self._waiting:
            return False
        self._waiting.remove(message.tool_call_id)
        return True


def _calls(message: AIMessage) -> list[str | None]:
    """Return the ids of the calls that a message makes, the malformed ones too."""
    return [call["id"] for call in (*message.tool_calls, *message.invalid_tool_calls)]
