"""Work written once and done from a thread or on an event loop.

A plan is a generator: it yields steps and is sent what came of them. `run` carries it
out in this thread, `arun` awaits each step. So logic with its order and its retries
exists once, and both sides are native.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, Protocol, TypeAlias, TypeVar

__all__ = ["Plan", "Step", "arun", "run"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Step(Protocol[T_co]):
    """Something to do that has two ways of being done."""

    def run(self) -> T_co:
        """Do it in this thread."""
        ...

    async def arun(self) -> T_co:
        """Do it without blocking the event loop."""
        ...


Plan: TypeAlias = Generator[Step[Any], Any, T]
"""Steps, one after the other, that end in a value."""


def run(plan: Plan[T]) -> T:
    """Carry out a plan in this thread."""
    try:
        step = next(plan)
        while True:
            try:
                outcome = step.run()
            except Exception as error:  # noqa: BLE001 - the plan's to handle
                step = plan.throw(error)
            else:
                step = plan.send(outcome)
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        plan.close()


async def arun(plan: Plan[T]) -> T:
    """Carry out a plan on the event loop."""
    try:
        step = next(plan)
        while True:
            try:
                outcome = await step.arun()
            except Exception as error:  # noqa: BLE001 - the plan's to handle
                step = plan.throw(error)
            else:
                step = plan.send(outcome)
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        plan.close()
