"""The steps of a synchronisation's plans (`storage.plans`).

On an event loop stores and embeddings are awaited, and what blocks (the manifest) goes
to a thread.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["Call", "Calls", "Work", "finished"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Work(Generic[T]):
    """Something that blocks: a statement of the manifest, a callback of the user.

    A cancelled task waits for it: nothing goes on behind the caller's back.
    """

    do: Callable[[], T]

    def run(self) -> T:
        """Do it in this thread."""
        return self.do()

    async def arun(self) -> T:
        """Do it in another thread."""
        return await finished(asyncio.create_task(asyncio.to_thread(self.do)))


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """Something that a store or an embedding model does, in either of its ways.

    Args:
        do: The synchronous way.
        ado: The asynchronous way.
        timeout_s: Seconds until it counts as failed; `None` waits for ever. From
            threads a call with a limit runs in a thread of its own, which is left
            behind if it hangs.
    """

    do: Callable[[], T]
    ado: Callable[[], Awaitable[T]]
    timeout_s: float | None = None

    def run(self) -> T:
        """Do it, and wait for it."""
        if self.timeout_s is None:
            return self.do()
        return _Errand(self.do).result(self.timeout_s)

    async def arun(self) -> T:
        """Await it."""
        async with asyncio.timeout(self.timeout_s):
            return await self.ado()


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls to several regions at once; each ends in its result or its error."""

    calls: Mapping[str, Call[Any]]

    def run(self) -> dict[str, Any]:
        """Do them side by side, or one by one where no call has a limit of time."""
        errands = {
            region: _Errand(call.do)
            for region, call in self.calls.items()
            if call.timeout_s is not None and len(self.calls) > 1
        }
        outcomes: dict[str, Any] = {}
        for region, call in self.calls.items():
            try:
                if region in errands and call.timeout_s is not None:
                    outcomes[region] = errands[region].result(call.timeout_s)
                else:
                    outcomes[region] = call.run()
            except Exception as error:  # noqa: BLE001 - the plan's to judge
                outcomes[region] = error
        return outcomes

    async def arun(self) -> dict[str, Any]:
        """Await them side by side."""
        found = await asyncio.gather(
            *(call.arun() for call in self.calls.values()), return_exceptions=True
        )
        for outcome in found:
            if isinstance(outcome, BaseException) and not isinstance(
                outcome, Exception
            ):
                raise outcome
        return dict(zip(self.calls, found, strict=True))


async def finished(task: asyncio.Task[T]) -> T:
    """Wait for a task to its end, even if the waiting is cancelled meanwhile."""
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


class _Errand(Generic[T]):
    """A call in a daemon thread: one that hangs must not keep the process alive."""

    def __init__(self, do: Callable[[], T]) -> None:
        self._done = threading.Event()
        self._error: BaseException | None = None
        self._value: T
        context = contextvars.copy_context()
        threading.Thread(
            target=context.run, args=(self._go, do), daemon=True, name="llmops-kb"
        ).start()

    def _go(self, do: Callable[[], T]) -> None:
        try:
            self._value = do()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self._error = error
        finally:
            self._done.set()

    def result(self, timeout_s: float) -> T:
        if not self._done.wait(timeout_s):
            raise TimeoutError(f"no answer within {timeout_s:g} s")
        if self._error is not None:
            raise self._error
        return self._value
