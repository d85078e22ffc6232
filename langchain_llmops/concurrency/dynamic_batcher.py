"""DynamicBatcher: single calls in, batches out, as large as the load makes them."""

from __future__ import annotations

import asyncio
import math
import time
from concurrent.futures import wait
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.utils import Input, Output

from langchain_llmops.concurrency.batch_dispatcher import BatchDispatcher
from langchain_llmops.concurrency.batch_queue import BatchEntry, BatchLimits
from langchain_llmops.concurrency.request_identity import request_identity
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.tokens import TokenCounter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Sequence
    from concurrent.futures import Future

    from langchain_llmops.concurrency.batch_dispatcher import BatchStats

__all__ = ["DynamicBatcher"]


class DynamicBatcher(Runnable[Input, Output]):
    """Collects single calls and hands them to a function of lists.

    ```python
    from langchain_core.runnables import RunnableLambda
    from langchain_llmops import DynamicBatcher


    def lengths(texts: list[str]) -> list[int]:
        return [len(text) for text in texts]


    chain = RunnableLambda(str.strip) | DynamicBatcher(lengths, max_batch=32)
    print(chain.invoke(" tea "))
    #> 3
    ```

    A batch starts as soon as one of `max_in_flight` slots is free, with whatever is
    there: one call at a time is not held up, and under load batches grow while the
    engine is busy. Each caller gets the result of its own item, or its error.

    - If the function raises, it is called again with each half until the items that it
      cannot take are alone (two calls per halving). Errors of the way (`OSError`,
      rate limits, a wrong key) go to all callers of the batch at once.
    - A caller that is cancelled, or out of time, leaves: its item is not sent if it
      still waits. An async batch that nobody waits for is cancelled.
    - Equal requests that are under way together are sent once: texts, numbers, lists
      and dictionaries of them, documents and messages. All but the first caller get a
      deep copy.

    Safe across threads and event loops. A function that is not async runs on a thread
    of the batcher, in a context of its own, since a batch has several callers. An async
    one runs on its callers' event loop, one loop to a batch; synchronous callers of it
    get a loop per call, so prefer a plain function where both kinds call. Costs about
    0.15 ms of CPU per single call, tracing included. Threads start with the first
    batch, and sleep between batches.

    Args:
        fn: Takes a list of items, returns a result or an exception for each, in order.
        max_batch: Items in one call at most.
        max_wait_ms: Milliseconds that a free slot waits for a full batch; 0 for never.
        max_tokens: Tokens in one call at most; a larger item goes alone.
        group_by: Says what an item can share a batch with: those of an equal key.
        priority: Says how many seconds an item lets others pass: 0 for what is urgent,
            5 for what can wait. Nothing starves, since time goes on.
        timeout_s: Seconds that a caller waits at most, for its turn and the result.
        max_in_flight: Calls of the function under way at once.
        on_result: Called with the item and its result or exception, once per caller
            that did not leave, on a thread of the batcher. If it raises, that is logged
            once and counted.
        count_tokens: Tokens of an item, for `max_tokens`; those of `str(item)` as
            `gpt-4o` counts them by default.
        clock: Seconds that never go back.

    Raises:
        ConfigurationError: An argument that cannot be.
    """

    def __init__(  # noqa: PLR0913 - a queue's settings, nearly all optional
        self,
        fn: Callable[
            [list[Input]],
            Sequence[Output | Exception] | Awaitable[Sequence[Output | Exception]],
        ],
        *,
        max_batch: int,
        max_wait_ms: float = 0,
        max_tokens: int | None = None,
        group_by: Callable[[Input], Hashable] | None = None,
        priority: Callable[[Input], float] | None = None,
        timeout_s: float | None = None,
        max_in_flight: int = 1,
        on_result: Callable[[Input, Output | BaseException], object] | None = None,
        count_tokens: Callable[[Input], int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _check_counts(
            max_batch=max_batch, max_in_flight=max_in_flight, max_tokens=max_tokens
        )
        if not 0 <= max_wait_ms < math.inf:
            raise ConfigurationError(
                f"max_wait_ms={max_wait_ms!r} must be 0 or more milliseconds, e.g. 5"
            )
        if timeout_s is not None and not 0 < timeout_s < math.inf:
            raise ConfigurationError(
                f"timeout_s={timeout_s!r} must be positive seconds, or None"
            )
        if max_tokens is not None and count_tokens is None:
            counter = TokenCounter().load()  # reads its file here, not in a loop
            count_tokens = lambda item: counter.count(str(item))  # noqa: E731
        self._group_by = group_by
        self._priority = priority
        self._count_tokens = count_tokens if max_tokens is not None else None
        self._timeout_s = timeout_s
        self._dispatcher = BatchDispatcher(
            fn,
            BatchLimits(
                max_batch=max_batch,
                max_wait_s=max_wait_ms / 1000,
                max_tokens=max_tokens,
            ),
            max_in_flight=max_in_flight,
            on_result=on_result,
            clock=clock,
        )

    @property
    def InputType(self) -> Any:  # noqa: N802 - core's name
        """Anything that the function takes in its list."""
        return Any

    @property
    def OutputType(self) -> Any:  # noqa: N802 - core's name
        """Anything that the function returns in its list."""
        return Any

    @property
    def stats(self) -> BatchStats:
        """Counts of batches, items, merged and cancelled requests so far."""
        return self._dispatcher.stats

    def submit(self, item: Input) -> Future[Output]:
        """Hand in an item without waiting; `on_result` hears of it.

        Returns:
            A future for this call; `cancel()` leaves the batch. `timeout_s` does not
            count here.
        """
        future = self._add(item)
        self._dispatcher.start()
        return future

    def invoke(
        self,
        input: Input,  # noqa: A002 - core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Output:
        """Wait for the result of one item.

        Raises:
            TimeoutError: `timeout_s` is over.
            ConfigurationError: The function is async and this thread's loop runs.
        """
        return self._call_with_config(self._one, input, config, **kwargs)

    async def ainvoke(
        self,
        input: Input,  # noqa: A002 - core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Output:
        """Wait for the result of one item.

        Raises:
            TimeoutError: `timeout_s` is over.
        """
        return await self._acall_with_config(self._aone, input, config, **kwargs)

    def batch(
        self,
        inputs: list[Input],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any | None,
    ) -> list[Output]:
        """Hand in all items at once, and wait for all; no thread per item."""
        return self._batch_with_config(
            self._many, inputs, config, return_exceptions=return_exceptions, **kwargs
        )

    async def abatch(
        self,
        inputs: list[Input],
        config: RunnableConfig | list[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any | None,
    ) -> list[Output]:
        """Hand in all items at once, and wait for all; no task per item."""
        return await self._abatch_with_config(
            self._amany, inputs, config, return_exceptions=return_exceptions, **kwargs
        )

    def _one(self, item: Input) -> Output:
        return _value(self._many([item])[0])

    async def _aone(self, item: Input) -> Output:
        return _value((await self._amany([item]))[0])

    def _many(self, items: list[Input]) -> list[Output | Exception]:
        if self._dispatcher.is_async and _running_loop() is not None:
            raise ConfigurationError(
                "a synchronous call would hold up the event loop that its async fn "
                "needs: use ainvoke or abatch here"
            )
        futures: list[Future[Output]] = []
        try:
            futures.extend(self._add(item) for item in items)
            self._dispatcher.start()
            wait(futures, timeout=self._timeout_s)
        finally:
            _leave(futures)
        return [self._outcome(future) for future in futures]

    async def _amany(self, items: list[Input]) -> list[Output | Exception]:
        loop = asyncio.get_running_loop()
        futures: list[Future[Output]] = []
        try:
            futures.extend(self._add(item) for item in items)
            # A turn later: tasks that are about to call now share the batch.
            loop.call_soon(self._dispatcher.start)
            waiting = [_on_loop(future, loop) for future in futures]
            if waiting:
                await asyncio.wait(waiting, timeout=self._timeout_s)
        finally:
            _leave(futures)
        return [self._outcome(future) for future in futures]

    def _add(self, item: Input) -> Future[Output]:
        clock = self._dispatcher.clock()
        loop = _running_loop() if self._dispatcher.is_async else None
        group = (loop, None if self._group_by is None else self._group_by(item))
        identity = request_identity(item)
        return self._dispatcher.add(
            BatchEntry(
                item=item,
                group=group,
                arrived=clock,
                rank=clock + (0 if self._priority is None else self._priority(item)),
                tokens=0 if self._count_tokens is None else self._count_tokens(item),
                key=None if identity is None else (group, identity),
            )
        )

    def _outcome(self, future: Future[Output]) -> Output | Exception:
        if future.cancelled():
            return TimeoutError(
                f"no result within timeout_s={self._timeout_s!r}: raise it, or "
                "max_batch or max_in_flight if the function has room"
            )
        error = future.exception()
        if error is None:
            return future.result()
        if not isinstance(error, Exception):
            raise error
        return error


def _value(outcome: Output | Exception) -> Output:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _leave(futures: Sequence[Future[Any]]) -> None:
    for future in futures:
        future.cancel()  # does nothing to one that has its result


def _on_loop(
    future: Future[Any], loop: asyncio.AbstractEventLoop
) -> asyncio.Future[None]:
    """Return a future of the loop that is done when the thread's future is."""
    woken: asyncio.Future[None] = loop.create_future()

    def resolve() -> None:
        if not woken.done():
            woken.set_result(None)

    def wake(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody is left to wake
            loop.call_soon_threadsafe(resolve)

    future.add_done_callback(wake)
    return woken


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _check_counts(**counts: int | None) -> None:
    for name, value in counts.items():
        if value is not None and value < 1:
            raise ConfigurationError(f"{name}={value!r} must be a whole number from 1")
