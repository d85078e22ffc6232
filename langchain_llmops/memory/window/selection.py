"""The steps of choosing a window, from what must be in it to what may."""

from __future__ import annotations

from itertools import islice, takewhile
from typing import TYPE_CHECKING

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.memory.window.index import cost_of
from langchain_llmops.memory.window.packing import Packing
from langchain_llmops.memory.window.shortening import shorten_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt
    from langchain_core.messages import BaseMessage

    from langchain_llmops.memory.window.index import WindowIndex
    from langchain_llmops.tokens import TokenCounter

    Worth = npt.NDArray[np.float32]

__all__ = ["Selection"]

_SUMMARIES_SHARE = 0.3
"""What summaries may take of the room beside what must be kept."""


class Selection:
    """Chooses one window; used once.

    Args:
        index: The conversation.
        size: How many of its messages there are to choose from.
        counter: Counts them.
        max_tokens: The budget.

    Raises:
        ConfigurationError: The system messages alone are over the budget.
    """

    def __init__(
        self,
        index: WindowIndex,
        size: int,
        counter: TokenCounter,
        max_tokens: int,
    ) -> None:
        self._units = units = index.units.upto(size)
        self._messages = index.messages
        self._size = size
        self._counter = counter
        opening = counter.measure_messages([])
        room = max_tokens - (opening.upper_bound or opening.tokens)
        self._packing = Packing(index, units, counter, room)
        self._packing.keep(units.systems)
        if self._packing.room < 0:
            raise ConfigurationError(
                f"max_tokens={max_tokens!r} is too small: the system messages take "
                f"{max_tokens - self._packing.room} tokens; allow more tokens or "
                "shorten the system messages"
            )
        self._max_tokens = max_tokens
        self._shorter: dict[int, list[BaseMessage]] = {}
        self._summaries: list[BaseMessage] = []

    def keep(self, last: int, summaries: Sequence[BaseMessage]) -> None:
        """Take what comes before ranking.

        Args:
            last: How many messages to keep at the end, the last turn's among them.
            summaries: Stand for older messages, oldest first.

        Raises:
            ConfigurationError: There is no room for any of the last turn.
        """
        if turn := self._last_turn():
            self._keep_turn(turn)
            begin = self._units.bounds[turn[0]]
            self._keep_before(turn[0], last - (self._size - begin))
        for unit in reversed(self._units.pinned):
            self._packing.keep_if_fits(unit)
        share = int(self._packing.room * _SUMMARIES_SHARE)
        for summary in reversed(summaries):
            tokens = cost_of(summary, self._counter)
            if tokens <= share:
                share -= tokens
                self._packing.room -= tokens
                self._summaries.insert(0, summary)

    def fill(self, worth: Callable[[], Worth] | None) -> None:
        """Use what is left of the budget.

        Args:
            worth: What each unit is worth for its tokens, asked for only if there is a
                choice; `None` takes the newest.
        """
        if worth is None:
            self._keep_before(len(self._units), self._size)
        elif len(self._packing.taken) < len(self._units):
            self._packing.fill(worth()[: len(self._units)])

    def window(self) -> list[BaseMessage]:
        """Return what was chosen, in the order of the conversation.

        Raises:
            ConfigurationError: None of the messages can be sent.
        """
        if not self._summaries:
            self._packing.begin_with_human()
        chosen: list[BaseMessage] = []
        messages, bounds, shorter = self._messages, self._units.bounds, self._shorter
        for unit in sorted(self._packing.taken):
            if unit in shorter:
                chosen += shorter[unit]
            else:
                chosen += messages[bounds[unit] : bounds[unit + 1]]
        if not chosen:
            raise ConfigurationError(
                f"none of {self._size} messages can be sent: tool calls need "
                "their results and results their calls; add what is missing"
            )
        leading = takewhile(lambda pair: pair[0] == pair[1], enumerate(self._systems))
        after = sum(1 for _ in leading)
        chosen[after:after] = self._summaries
        return chosen

    @property
    def _systems(self) -> Sequence[int]:
        return self._units.systems

    def _members(self, unit: int) -> list[BaseMessage]:
        bounds = self._units.bounds
        return self._messages[bounds[unit] : bounds[unit + 1]]

    def _last_turn(self) -> list[int]:
        """Return the user's last message, and what follows it and can be sent."""
        units, systems = self._units, set(self._systems)
        able = [
            unit
            for unit in range(units.humans[-1] if units.humans else 0, len(units))
            if units.sendable[unit] and unit not in systems
        ]
        return able if units.humans else able[-1:]

    def _keep_turn(self, turn: Sequence[int]) -> None:
        packing = self._packing
        if sum(map(packing.cost, turn)) <= packing.room:
            packing.keep(turn)
            return
        # The question and the newest result are what the model goes on from.
        ends = list(dict.fromkeys((turn[0], turn[-1])))
        if sum(map(packing.cost, ends)) <= packing.room:
            packing.keep(ends)
            for unit in reversed(turn[1:-1]):
                packing.keep_if_fits(unit)
        elif not (self._shorten(ends) or self._shorten(turn[:1])):
            needed = self._max_tokens - packing.room
            raise ConfigurationError(
                f"max_tokens={self._max_tokens!r} is too small: the system messages "
                f"take {needed} tokens and leave no room for the last turn; allow more "
                "tokens or shorten the system messages"
            )

    def _shorten(self, units: Sequence[int]) -> bool:
        """Keep units cut to the room there is; say whether that was possible."""
        packing = self._packing
        messages = [message for unit in units for message in self._members(unit)]
        shorter = shorten_unit(messages, packing.room, self._counter)
        if shorter is None:
            return False
        cut = iter(shorter)
        for unit in units:
            self._shorter[unit] = list(islice(cut, len(self._members(unit))))
            packing.taken[unit] = True
        packing.room -= sum(cost_of(message, self._counter) for message in shorter)
        return True

    def _keep_before(self, unit: int, messages: int) -> None:
        """Keep the newest messages before a unit, until one does not fit."""
        systems = set(self._systems)
        while unit > 0 and messages > 0:
            unit -= 1
            messages -= len(self._units.members(unit))
            passed = unit in systems or not self._units.sendable[unit]
            if not passed and not self._packing.keep_if_fits(unit):
                return
