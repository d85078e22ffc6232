"""The tokens of a conversation that grows and is edited, without counting it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.messages import MessageLikeRepresentation

    from langchain_llmops.tokens.count import TokenCount
    from langchain_llmops.tokens.messages import Measured, MessageMeter

__all__ = ["RunningCount"]


class RunningCount:
    """Keeps the token count of a conversation, made by `TokenCounter.running`.

    Edited like the list of messages beside it: each change counts the messages that it
    brings and nothing else, and `total` is at every moment what
    `TokenCounter.count_messages` says of the whole list.

    ```python
    from langchain_core.messages import HumanMessage, SystemMessage
    from langchain_llmops import TokenCounter

    running = TokenCounter("gpt-4o").running([SystemMessage("Be brief.")])
    running.append(HumanMessage("What is a token?"))
    running[1] = HumanMessage("What is a lexer?")  # right after an edit too
    del running[1:]
    running.total
    ```

    Messages are counted as they are when they come in, and are not kept: a message
    whose content was changed in place is counted again by assigning it to its place.
    Belongs to one conversation; like a list, it is not locked against other threads.
    """

    __slots__ = ("_items", "_meter", "_openings", "_systems", "_tokens")

    def __init__(
        self,
        meter: MessageMeter,
        messages: Iterable[MessageLikeRepresentation],
        tools: Sequence[Any],
    ) -> None:
        self._meter = meter
        self._openings = meter.openings(tools)
        self._items: list[Measured] = []
        self._tokens = 0
        self._systems = 0
        self.extend(messages)

    def __len__(self) -> int:
        return len(self._items)

    def __copy__(self) -> RunningCount:
        twin = object.__new__(RunningCount)
        for name in self.__slots__:
            setattr(twin, name, getattr(self, name))
        twin._items = self._items.copy()
        return twin

    def __repr__(self) -> str:
        return f"<RunningCount of {len(self)} messages: {self.total} tokens>"

    def __setitem__(self, index: int | slice, message: Any) -> None:
        if isinstance(index, slice):
            old = self._items[index]
            new = [self._meter.measure(each) for each in message]
            self._items[index] = new
            self._account(old, new)
        else:
            was, now = self._items[index], self._meter.measure(message)
            self._items[index] = now
            self._account((was,), (now,))

    def __delitem__(self, index: int | slice) -> None:
        items = self._items[index] if isinstance(index, slice) else [self._items[index]]
        del self._items[index]
        self._account(items, ())

    def append(self, message: MessageLikeRepresentation) -> None:
        """Count one more message at the end."""
        measured = self._meter.measure(message)
        self._items.append(measured)
        self._tokens += measured.cost.tokens
        self._systems += measured.system

    def extend(self, messages: Iterable[MessageLikeRepresentation]) -> None:
        """Count more messages at the end."""
        for message in messages:
            self.append(message)

    def insert(self, index: int, message: MessageLikeRepresentation) -> None:
        """Count one more message before a place, as `list.insert` finds it."""
        measured = self._meter.measure(message)
        self._items.insert(index, measured)
        self._account((), (measured,))

    @property
    def total(self) -> int:
        """Tokens of the whole request, tools and priming included."""
        return self._tokens + self._openings[self._systems > 0].tokens

    @property
    def count(self) -> TokenCount:
        """Tokens of the whole request, whether exact, and their bound."""
        return sum(
            (item.cost for item in self._items), self._openings[self._systems > 0]
        )

    def _account(self, old: Sequence[Measured], new: Sequence[Measured]) -> None:
        for sign, items in ((-1, old), (1, new)):
            for cost, system in items:
                self._tokens += sign * cost.tokens
                self._systems += sign * system
