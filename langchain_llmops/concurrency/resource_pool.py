"""ResourcePool: a few costly things, shared fairly by many threads and tasks."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from langchain_core.runnables.config import run_in_executor

from langchain_llmops.concurrency.pool_slots import PoolSlots
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

__all__ = ["ResourcePool"]

_logger = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class _Kept(Generic[T]):
    resource: T
    uses: int = 0
    idle_since: float = 0.0


class ResourcePool(Generic[T]):
    """Lends out at most `size` resources, and makes them when they are needed.

    ```python
    import sqlite3
    from langchain_llmops import ResourcePool


    def connect() -> sqlite3.Connection:
        return sqlite3.connect("notes.db", check_same_thread=False)


    pool = ResourcePool(connect, size=4, max_idle_s=60)
    with pool.borrow() as connection:
        print(connection.execute("SELECT 1").fetchone())
        #> (1,)
    pool.close()
    ```

    `with pool.borrow()` and `async with pool.aborrow()` wait in one line, first come,
    first served, whatever threads and event loops they are on. The resource that came
    back last is lent first, so that those a quiet time does not need become old.

    A resource is thrown away when it has had `max_uses`, was idle for `max_idle_s`, or
    is not healthy. One whose use ended in an error is kept only if there is `health` to
    ask the next time. A factory that fails raises to its caller; the slot is free
    again.

    Plain functions are run on a thread for async callers, so that nothing blocks the
    loop. Async ones need `aborrow`, and a resource that belongs to a loop a pool of
    its own per loop. A synchronous `borrow` on a thread whose event loop runs does not
    wait: without a free slot it is refused.

    Args:
        factory: Makes a resource; may be async.
        size: Resources lent out at once.
        health: Asked before an idle resource is lent again; false or an error means
            that it is thrown away. May be async.
        max_idle_s: Seconds unused after which a resource is old.
        max_uses: How often one resource is lent.
        close: Called with a resource that is thrown away; may be async. By default its
            `aclose` for async callers, or else its `close`, if it has one. Errors of it
            are logged.
        clock: Seconds that never go back.

    Raises:
        ConfigurationError: A number that is not positive.
    """

    def __init__(
        self,
        factory: Callable[[], T | Awaitable[T]],
        size: int,
        *,
        health: Callable[[T], bool | Awaitable[bool]] | None = None,
        max_idle_s: float | None = None,
        max_uses: int | None = None,
        close: Callable[[T], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        numbers = {"size": size, "max_idle_s": max_idle_s, "max_uses": max_uses}
        for name, number in numbers.items():
            if number is not None and not number > 0:
                raise ConfigurationError(f"{name}={number!r} must be positive")
        self._factory = factory
        self._health = health
        self._max_idle_s = math.inf if max_idle_s is None else max_idle_s
        self._max_uses = math.inf if max_uses is None else max_uses
        self._close = close
        self._clock = clock
        self._slots = PoolSlots(size)
        self._size = size
        self._lock = Lock()
        self._idle: list[_Kept[T]] = []  # the one that came back last is at the end
        self._closed = False

    @contextmanager
    def borrow(self, timeout_s: float | None = None) -> Iterator[T]:
        """Lend a resource to a `with` block; waits on this thread.

        Args:
            timeout_s: Seconds to wait for a free slot; `None` for as long as it takes.

        Raises:
            TimeoutError: None became free in time, or an event loop runs here and none
                is free now.
            ConfigurationError: The pool is closed, or one of its functions is async.
        """
        self._check()
        if not self._slots.take(timeout_s):
            raise self._late(timeout_s)
        try:
            kept = self._pick()
            try:
                yield kept.resource
            except BaseException:
                self._back(kept, failed=True)
                raise
            self._back(kept, failed=False)
        finally:
            self._slots.give_back()

    @asynccontextmanager
    async def aborrow(self, timeout_s: float | None = None) -> AsyncIterator[T]:
        """Lend a resource to an `async with` block; waits on this loop.

        Args:
            timeout_s: Seconds to wait for a free slot; `None` for as long as it takes.

        Raises:
            TimeoutError: None became free in time.
            ConfigurationError: The pool is closed.
        """
        self._check()
        if not await self._slots.atake(timeout_s):
            raise self._late(timeout_s)
        try:
            kept = await self._apick()
            try:
                yield kept.resource
            except BaseException:
                await self._aback(kept, failed=True)
                raise
            await self._aback(kept, failed=False)
        finally:
            self._slots.give_back()

    def close(self) -> None:
        """Close what is idle now, and what is lent when it comes back."""
        for kept in self._empty():
            self._discard(kept)

    async def aclose(self) -> None:
        """Close what is idle now, and what is lent when it comes back."""
        for kept in self._empty():
            await self._adiscard(kept)

    def _pick(self) -> _Kept[T]:
        while True:
            kept, old = self._pop()
            for each in old:
                self._discard(each)
            if kept is None:
                return _Kept(resource=_plain(self._factory()))
            try:
                if self._health is None or _plain(self._health(kept.resource)):
                    return kept
            except ConfigurationError:
                self._discard(kept)
                raise
            except Exception as error:  # noqa: BLE001 - no health is bad health
                _logger.info("a health check failed: %r", error)
            self._discard(kept)

    async def _apick(self) -> _Kept[T]:
        while True:
            kept, old = self._pop()
            for each in old:
                await self._adiscard(each)
            if kept is None:
                return _Kept(resource=await self._amake())
            try:
                if self._health is None or await _either(self._health, kept.resource):
                    return kept
            except Exception as error:  # noqa: BLE001 - no health is bad health
                _logger.info("a health check failed: %r", error)
            except BaseException:
                await self._adiscard(kept)  # cancelled amid its check
                raise
            await self._adiscard(kept)

    async def _amake(self) -> T:
        making = asyncio.ensure_future(_either(self._factory))
        try:
            made: T = await asyncio.shield(making)
        except asyncio.CancelledError:
            if inspect.iscoroutinefunction(self._factory):
                making.cancel()
            # A thread cannot be stopped: what it makes is for the next one.
            making.add_done_callback(self._keep_late)
            raise
        return made

    def _keep_late(self, making: asyncio.Future[T]) -> None:
        if not making.cancelled() and making.exception() is None:
            self._back(_Kept(resource=making.result()), failed=False)

    def _pop(self) -> tuple[_Kept[T] | None, list[_Kept[T]]]:
        """Return the resource used last, and all that have become old."""
        oldest = self._clock() - self._max_idle_s
        with self._lock:
            old = [kept for kept in self._idle if kept.idle_since <= oldest]
            self._idle = [kept for kept in self._idle if kept.idle_since > oldest]
            return (self._idle.pop() if self._idle else None), old

    def _keep(self, kept: _Kept[T], *, failed: bool) -> bool:
        kept.uses += 1
        kept.idle_since = self._clock()
        if kept.uses >= self._max_uses or (failed and self._health is None):
            return False
        with self._lock:
            room = not self._closed and len(self._idle) < self._size
            if room:
                self._idle.append(kept)
            return room

    def _back(self, kept: _Kept[T], *, failed: bool) -> None:
        if not self._keep(kept, failed=failed):
            self._discard(kept)

    async def _aback(self, kept: _Kept[T], *, failed: bool) -> None:
        if not self._keep(kept, failed=failed):
            await self._adiscard(kept)

    def _discard(self, kept: _Kept[T]) -> None:
        close = self._close or getattr(type(kept.resource), "close", None)
        if close is None:
            return
        try:
            _plain(close(kept.resource))
        except Exception:
            _logger.warning("a resource could not be closed", exc_info=True)

    async def _adiscard(self, kept: _Kept[T]) -> None:
        kind = type(kept.resource)
        close: Any = self._close or getattr(
            kind, "aclose", getattr(kind, "close", None)
        )
        if close is None:
            return
        try:
            await _either(close, kept.resource)
        except Exception:
            _logger.warning("a resource could not be closed", exc_info=True)

    def _empty(self) -> list[_Kept[T]]:
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        return idle

    def _check(self) -> None:
        if self._closed:
            raise ConfigurationError("the pool is closed: make a new ResourcePool")

    def _late(self, timeout_s: float | None) -> TimeoutError:
        return TimeoutError(
            f"none of {self._size!r} resources became free within "
            f"timeout_s={timeout_s!r}: raise size or timeout_s, or use aborrow where "
            "an event loop runs"
        )


def _plain(value: Any) -> Any:
    """Return a value, and refuse one that has to be awaited."""
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise ConfigurationError(
            "the pool's factory, health or close is async: use aborrow and aclose"
        )
    return value


async def _either(call: Callable[..., Any], *args: Any) -> Any:
    """Call a plain function on a thread, an async one here."""
    if inspect.iscoroutinefunction(call):
        return await call(*args)
    value = await run_in_executor(None, call, *args)
    return await value if inspect.isawaitable(value) else value
