"""`ConcurrencyLayer`: the calls of a model wait for their turn, within its limits."""

from __future__ import annotations

import logging
import math
import time
from contextlib import aclosing, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from langchain_llmops.concurrency.limit_answers import (
    chunk_tokens,
    later_s,
    result_tokens,
)
from langchain_llmops.concurrency.limit_size import CallSize
from langchain_llmops.concurrency.limits import Limits
from langchain_llmops.concurrency.queue_order import Ticket
from langchain_llmops.concurrency.queue_turns import Turnstile
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.models.base import ModelLayer
from langchain_llmops.models.retries import client_retries
from langchain_llmops.types import QUEUE_WAIT_EVENT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from langchain_core.language_models import BaseChatModel
    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_llmops.models.base import (
        AgenerateHandler,
        AstreamHandler,
        GenerateHandler,
        ModelCall,
        StreamHandler,
    )
    from langchain_llmops.types import QueueWaitEvent

__all__ = ["ConcurrencyLayer", "QueueStatus"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """How busy a `ConcurrencyLayer` is: calls under way, and calls that wait."""

    running: int
    waiting: int


class ConcurrencyLayer(ModelLayer):
    """Bound what goes to a model at once and per minute; the rest waits, fairly.

    LangChain's `max_concurrency` holds for one `batch`; this holds for everything
    that uses the layer: every chain, thread and event loop of the process, and every
    model, if one layer is given to several. A stream keeps its slot until its end.

    Calls of different tenants (`config["metadata"]["tenant"]`) take turns, so that one
    with a thousand calls does not hold up one with a single call; none waits for ever.
    A call that cannot have its slot within `queue_timeout_s` is refused at once, and
    one whose time runs out is refused then. One that is cancelled frees its place.

    After an error with a `Retry-After` no further call starts until then (at most a
    minute; the provider can ask again). Calls that failed are not repeated here. A
    client that retries by itself keeps its slot and is counted once: use
    `models.without_client_retries`, and retry outside (`with_retry`, `ModelRouter`).

    A synchronous call on a thread that runs an event loop never waits: it is refused
    where it would have to. How long a call waited goes to its handlers as the custom
    event `types.QUEUE_WAIT_EVENT`, which `MetricsCallbackHandler` records.

    Costs 7 to 18 µs per call; with `tpm`, the counting of its text as well (20 MB a
    second). Safe across threads and event loops. The limits hold within one process.

    Args:
        max_concurrent: Calls under way at once.
        rpm: Calls that start in any 60 seconds.
        tpm: Tokens of the calls that start in any 60 seconds: first the counted input
            with `max_tokens` (or 1,024), then what the provider reports. A call
            larger than the limit goes when nothing else is in the minute.
        queue_timeout_s: How long a call may wait, in seconds; `None` for as long as it
            takes. `config["configurable"]["queue_timeout_s"]` sets it for one call.
        priority: Says how important a call is; higher goes first, 0 without it. One
            departure in ten goes to whoever waits longest, so that nobody starves.
        tenant: The key of the metadata that says on whose behalf a call is.
        clock: Seconds that never go back.

    Raises:
        ConfigurationError: A limit is not positive, or there is none.

    Example:
        ```python
        from langchain_core.language_models import FakeListChatModel
        from langchain_llmops import ConcurrencyLayer, with_layers

        limits = ConcurrencyLayer(max_concurrent=8, rpm=500, queue_timeout_s=20)
        model = with_layers(FakeListChatModel(responses=["Hi"]), limits)
        model.batch(["Hello"] * 20, {"metadata": {"tenant": "acme"}})
        assert limits.status().running == 0
        ```
    """

    def __init__(
        self,
        *,
        max_concurrent: int | None = None,
        rpm: int | None = None,
        tpm: int | None = None,
        queue_timeout_s: float | None = 60.0,
        priority: Callable[[ModelCall], int] | None = None,
        tenant: str = "tenant",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = {"max_concurrent": max_concurrent, "rpm": rpm, "tpm": tpm}
        _check(limits)
        self._timeout_s = _timeout(queue_timeout_s)
        self._priority = priority
        self._tenant = tenant
        self._rated = rpm is not None or tpm is not None
        self._size = None if tpm is None else CallSize()
        self._turnstile = Turnstile(
            Limits(max_concurrent=max_concurrent, rpm=rpm, tpm=tpm), clock
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the layer itself: a copied model shares the limits."""
        return self

    def status(self) -> QueueStatus:
        """Return how many calls are under way, and how many wait."""
        running, waiting = self._turnstile.counts()
        return QueueStatus(running=running, waiting=waiting)

    def attach(self, model: BaseChatModel) -> Mapping[str, Any]:
        """Read what counting needs, and warn of retries that no limit sees."""
        if self._size is not None:
            self._size.load(model)
        if self._rated and client_retries(model):
            logger.warning(
                "The client of %s retries by itself, which rpm and tpm do not count: "
                "pass models.without_client_retries(model) to with_layers",
                type(model).__name__,
            )
        return {}

    def generate(self, call: ModelCall, handler: GenerateHandler) -> ChatResult:
        """Answer when it is the call's turn.

        Raises:
            QueueTimeoutError: It cannot be, or was not, in time.
        """
        ticket = self._ticket(call, self._size.of(call) if self._size else 0)
        self._turnstile.enter(ticket)
        try:
            call.tell(QUEUE_WAIT_EVENT, _waited(ticket))
            result = handler(call)
        except BaseException as error:
            self._turnstile.leave(ticket, later_s=later_s(error))
            raise
        self._turnstile.leave(ticket, tokens=self._used(result))
        return result

    async def agenerate(self, call: ModelCall, handler: AgenerateHandler) -> ChatResult:
        """Answer as `generate` does, on an event loop."""
        ticket = self._ticket(call, await self._size.aof(call) if self._size else 0)
        await self._turnstile.aenter(ticket)
        try:
            await call.atell(QUEUE_WAIT_EVENT, _waited(ticket))
            result = await handler(call)
        except BaseException as error:
            self._turnstile.leave(ticket, later_s=later_s(error))
            raise
        self._turnstile.leave(ticket, tokens=self._used(result))
        return result

    def stream(
        self, call: ModelCall, handler: StreamHandler
    ) -> Iterator[ChatGenerationChunk]:
        """Stream when it is the call's turn, keeping the slot to the end."""
        ticket = self._ticket(call, self._size.of(call) if self._size else 0)
        self._turnstile.enter(ticket)
        tokens = 0
        try:
            call.tell(QUEUE_WAIT_EVENT, _waited(ticket))
            with closing(handler(call)) as chunks:
                for chunk in chunks:
                    if self._size is not None:
                        tokens += chunk_tokens(chunk)
                    yield chunk
        except BaseException as error:
            self._turnstile.leave(ticket, later_s=later_s(error))
            raise
        self._turnstile.leave(ticket, tokens=tokens or None)

    async def astream(
        self, call: ModelCall, handler: AstreamHandler
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Stream as `stream` does, on an event loop."""
        ticket = self._ticket(call, await self._size.aof(call) if self._size else 0)
        await self._turnstile.aenter(ticket)
        tokens = 0
        try:
            await call.atell(QUEUE_WAIT_EVENT, _waited(ticket))
            async with aclosing(handler(call)) as chunks:
                async for chunk in chunks:
                    if self._size is not None:
                        tokens += chunk_tokens(chunk)
                    yield chunk
        except BaseException as error:
            self._turnstile.leave(ticket, later_s=later_s(error))
            raise
        self._turnstile.leave(ticket, tokens=tokens or None)

    def _ticket(self, call: ModelCall, tokens: int) -> Ticket:
        timeout_s = self._timeout_s
        configurable = call.config.get("configurable")
        if configurable and "queue_timeout_s" in configurable:
            timeout_s = _timeout(configurable["queue_timeout_s"])
        return Ticket(
            tenant=str((call.config.get("metadata") or {}).get(self._tenant, "")),
            priority=self._priority(call) if self._priority else 0,
            tokens=tokens,
            timeout_s=timeout_s,
        )

    def _used(self, result: ChatResult) -> int | None:
        return None if self._size is None else result_tokens(result)


def _waited(ticket: Ticket) -> QueueWaitEvent:
    return {"seconds": (ticket.went_at_s or 0.0) - ticket.asked_at_s}


def _check(limits: Mapping[str, object]) -> None:
    if all(limit is None for limit in limits.values()):
        raise ConfigurationError(
            "ConcurrencyLayer without a limit does nothing: give it max_concurrent, "
            "rpm or tpm"
        )
    for name, limit in limits.items():
        whole = isinstance(limit, int) and not isinstance(limit, bool) and limit > 0
        if limit is not None and not whole:
            raise ConfigurationError(
                f"{name}={limit!r} is no limit: give a whole number above 0, or None"
            )


def _timeout(seconds: object) -> float | None:
    if seconds is None:
        return None
    if isinstance(seconds, int | float) and 0 <= seconds < math.inf:
        return float(seconds)
    raise ConfigurationError(
        f"queue_timeout_s={seconds!r} is no time: give seconds from 0, or None"
    )
