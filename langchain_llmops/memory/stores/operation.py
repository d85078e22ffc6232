"""The steps that plans of a conversation store share (`storage.plans`)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_llmops.storage.plans import Plan, Step

__all__ = ["Compute", "ask"]

T = TypeVar("T")

_LONG: Final = 200_000
"""Characters whose encoding would hold up an event loop: a few milliseconds."""


@dataclass(frozen=True, slots=True)
class Compute(Generic[T]):
    """Work for the processor: in a thread if it is long.

    Args:
        work: What to do.
        size: Characters or bytes that it goes through.
    """

    work: Callable[[], T]
    size: int

    def run(self) -> T:
        """Do it in this thread."""
        return self.work()

    async def arun(self) -> T:
        """Do it here if it is short, else in a thread."""
        if self.size < _LONG:
            return self.work()
        return await asyncio.to_thread(self.work)


def ask(operation: Step[T]) -> Plan[T]:
    """Have one operation done, and return its result."""
    result: T = yield operation
    return result
