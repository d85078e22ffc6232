"""Work on a store, written once and done from a thread or on an event loop.

A plan is a generator that yields operations and is sent their results. `run` does them
one after the other; `arun` awaits them. So the logic of the store, with its retries and
its order, exists once, and both sides are native.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Compute", "Operation", "Plan", "arun", "ask", "run"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_LONG: Final = 200_000
"""Characters whose encoding would hold up an event loop: a few milliseconds."""


class Operation(Protocol[T_co]):
    """One step that a store does, synchronously or not."""

    def run(self) -> T_co:
        """Do it in this thread."""
        ...

    async def arun(self) -> T_co:
        """Do it without blocking the event loop."""
        ...


Plan: TypeAlias = Generator[Operation[Any], Any, T]
"""Operations, one after the other, that end in a value."""


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


def ask(operation: Operation[T]) -> Plan[T]:
    """Have one operation done, and return its result."""
    result: T = yield operation
    return result


def run(plan: Plan[T]) -> T:
    """Carry out a plan in this thread."""
    try:
        operation = next(plan)
        while True:
            try:
                result = operation.run()
            except Exception as error:  # noqa: BLE001 - the plan's to handle
                operation = plan.throw(error)
            else:
                operation = plan.send(result)
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        plan.close()


async def arun(plan: Plan[T]) -> T:
    """Carry out a plan on the event loop."""
    try:
        operation = next(plan)
        while True:
            try:
                result = await operation.arun()
            except Exception as error:  # noqa: BLE001 - the plan's to handle
                operation = plan.throw(error)
            else:
                operation = plan.send(result)
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        plan.close()
