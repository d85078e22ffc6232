"""The steps of memory's plans: calls with an asynchronous twin, and work."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Call", "Work"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A method with an asynchronous twin, whose name is the same after an `a`.

    Args:
        of: A store or a Runnable.
        name: The method.
        arguments: Its positional arguments.
        options: Its other arguments.
    """

    of: Any
    name: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    def run(self) -> T:
        """Call it in this thread."""
        result: T = getattr(self.of, self.name)(*self.arguments, **self.options)
        return result

    async def arun(self) -> T:
        """Await its twin."""
        twin = getattr(self.of, f"a{self.name}")
        result: T = await twin(*self.arguments, **self.options)
        return result


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """Work that may take milliseconds, or wait for a lock: never on an event loop."""

    work: Callable[[], T]

    def run(self) -> T:
        """Do it in this thread."""
        return self.work()

    async def arun(self) -> T:
        """Do it in another thread."""
        return await asyncio.to_thread(self.work)
