"""A clock that is set by hand, and a store that can be lost."""

from __future__ import annotations

import pytest

from langchain_llmops import MemoryBudgetStore, TokenCounter

# What `with_layers` reads once in a process; tests make layers on event loops.
TokenCounter("fake-1").count("")


class Clock:
    """Noon of 22 November 2026, until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 1_795_348_800.0

    def __call__(self) -> float:
        return self.now


class FragileStore(MemoryBudgetStore):
    """A store in memory whose every operation fails while it is `lost`."""

    def __init__(self, **options):
        super().__init__(**options)
        self.lost = False
        self.asked = 0

    def _answer(self, name, *args, **kwargs):
        self.asked += 1
        if self.lost:
            raise ConnectionError("the server is gone")
        return getattr(MemoryBudgetStore, name)(self, *args, **kwargs)

    def reserve(self, *args):
        return self._answer("reserve", *args)

    def settle(self, *args, **kwargs):
        return self._answer("settle", *args, **kwargs)

    def balance(self, *args):
        return self._answer("balance", *args)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fragile(clock) -> FragileStore:
    return FragileStore(clock=clock)
