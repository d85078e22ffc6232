"""`StreamCallbackHandler`: what a model streams, handed to a sink as it comes."""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from typing import TYPE_CHECKING, Any, Self

from langchain_core.callbacks import BaseCallbackHandler

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.streaming.stream_times import StreamTimes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from uuid import UUID

    from langchain_protocol.protocol import MessagesData

__all__ = ["StreamCallbackHandler"]

logger = logging.getLogger(__name__)

_MOST_CALLS = 65_536
"""Calls under way that are remembered: a cancelled `ainvoke` never ends."""


class StreamCallbackHandler(BaseCallbackHandler):
    """Hand each text that a model streams to a sink, and note when it came.

    Pass it in `config["callbacks"]`. It hears `stream`, `astream`, `invoke` of a model
    with `streaming=True`, and `stream_events` of each version; a model that reports a
    text in two ways is heard once. It runs inline, so that texts keep their order and
    no thread is used.

    The stream waits for its sink (back pressure). A sink that takes longer than
    `max_pause_s` for one text, or raises, gets nothing more of that call; the call goes
    on, the log says so once per handler, and `dropped` counts. An async sink is
    interrupted at that time; a sync one cannot be, so it must not block, least of all
    on an event loop. For sync calls take a sync sink: LangChain makes an event loop for
    each text that it hands to an async one. One handler may serve any number of calls,
    threads and event loops at once; a sink is then called from all of them.

    Args:
        sink: Takes a text; a function or a coroutine function.
        max_pause_s: Seconds that it may take for one text.
        on_first_token: Called with the seconds from the call's start to its first text.
            Sync; it must not block.
        on_end: Called with the `StreamTimes` of a call that has ended. Sync.
        clock: Seconds, monotonic.

    Raises:
        ConfigurationError: An argument is none of these.

    Example:
        ```python
        from langchain_core.language_models import FakeListChatModel
        from langchain_llmops import StreamCallbackHandler

        texts = []
        handler = StreamCallbackHandler(texts.append)
        model = FakeListChatModel(responses=["Hello"])
        for _ in model.stream("Hi", {"callbacks": [handler]}):
            pass
        assert "".join(texts) == "Hello"
        assert handler.latest.delivered == 5
        ```
    """

    run_inline = True

    latest: StreamTimes | None = None
    """How the call that ended last went."""

    def __new__(cls, sink: object, **_: Any) -> Self:  # noqa: D102
        # Core awaits coroutine functions only, and looks at the method to tell.
        kind = _Awaiting if _is_async(sink) else cls
        return super().__new__(kind)  # type: ignore[return-value] # a subclass

    def __init__(
        self,
        sink: Callable[[str], object] | Callable[[str], Awaitable[object]],
        *,
        max_pause_s: float = 1.0,
        on_first_token: Callable[[float], object] | None = None,
        on_end: Callable[[StreamTimes], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not callable(sink):
            raise ConfigurationError(f"sink={sink!r} must be a function of a text")
        if not max_pause_s > 0:
            raise ConfigurationError(f"max_pause_s={max_pause_s!r} must be more than 0")
        self._sink: Callable[[str], Any] = sink
        self._max_pause_s = max_pause_s
        self._on_first_token = on_first_token
        self._on_end = on_end
        self._clock = clock
        self._calls: dict[UUID, _Call] = {}
        self._complained = False

    def on_chat_model_start(  # noqa: D102 # see BaseCallbackHandler, here and below
        self,
        serialized: dict[str, Any],  # noqa: ARG002 # core's signatures
        messages: list[list[Any]],  # noqa: ARG002
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        self._start(run_id)

    def on_llm_start(  # noqa: D102
        self,
        serialized: dict[str, Any],  # noqa: ARG002
        prompts: list[str],  # noqa: ARG002
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        self._start(run_id)

    def on_llm_new_token(  # noqa: D102
        self,
        token: str | list[Any],
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002
    ) -> Any:
        call = self._heard(run_id, "token")
        if call is not None and (text := _text(token)):
            self._deliver(call, text)

    def on_stream_event(  # noqa: D102
        self,
        event: MessagesData,
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002
    ) -> Any:
        call = self._heard(run_id, "event")
        if call is not None and (text := _delta(event)):
            self._deliver(call, text)

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:  # noqa: ARG002, D102
        self._finish(run_id, None)

    def on_llm_error(  # noqa: D102
        self,
        error: BaseException,
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        self._finish(run_id, type(error).__name__)

    def _start(self, run_id: UUID) -> None:
        if len(self._calls) >= _MOST_CALLS:
            self._calls.pop(next(iter(self._calls)), None)
        self._calls[run_id] = _Call(self._clock())

    def _heard(self, run_id: UUID, way: str) -> _Call | None:
        """Return the call, unless it is heard in another way already."""
        call = self._calls.get(run_id)
        if call is None:
            return None
        if call.way is None:
            call.way = way
        return call if call.way == way else None

    def _arrived(self, call: _Call) -> float:
        """Note that a text has come; return the time."""
        now = self._clock()
        if call.first_token_s is None:
            call.first_token_s = now - call.idle_since
            if self._on_first_token is not None:
                self._tell(self._on_first_token, call.first_token_s)
        else:
            call.gaps_s.append(now - call.idle_since)
        return now

    def _deliver(self, call: _Call, text: str) -> None:
        began = self._arrived(call)
        if not call.lost:
            try:
                self._sink(text)
            except Exception as error:  # noqa: BLE001 # never breaks the call
                self._lose(call, error)
        self._delivered(call, began)

    def _delivered(self, call: _Call, began: float) -> None:
        call.idle_since = now = self._clock()
        if call.lost:
            call.dropped += 1
            return
        call.delivered += 1
        call.sink_s += now - began
        if now - began > self._max_pause_s:
            self._lose(call, None)

    def _lose(self, call: _Call, error: Exception | None) -> None:
        """Give this call's sink up."""
        call.lost = True
        if not self._complained:
            self._complained = True
            logger.warning(
                "the stream sink %r %s: it gets nothing more of this call, which goes "
                "on (logged once; StreamTimes.dropped counts)",
                self._sink,
                f"took longer than {self._max_pause_s} s"
                if error is None
                else f"raised {error!r}",
            )

    def _finish(self, run_id: UUID, error: str | None) -> None:
        call = self._calls.pop(run_id, None)
        if call is None:
            return
        self.latest = times = StreamTimes(
            run_id=run_id,
            first_token_s=call.first_token_s,
            gaps_s=tuple(call.gaps_s),
            sink_s=call.sink_s,
            delivered=call.delivered,
            dropped=call.dropped,
            error=error,
        )
        if self._on_end is not None:
            self._tell(self._on_end, times)

    def _tell(self, listener: Callable[[Any], object], value: object) -> None:
        try:
            listener(value)
        except Exception:
            if not self._complained:
                self._complained = True
                logger.warning("%r raised; logged once", listener, exc_info=True)


class _Awaiting(StreamCallbackHandler):
    """The same, for a sink that is awaited."""

    async def on_llm_new_token(
        self,
        token: str | list[Any],
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        call = self._heard(run_id, "token")
        if call is not None and (text := _text(token)):
            await self._adeliver(call, text)

    async def on_stream_event(
        self,
        event: MessagesData,
        *,
        run_id: UUID,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        call = self._heard(run_id, "event")
        if call is not None and (text := _delta(event)):
            await self._adeliver(call, text)

    async def _adeliver(self, call: _Call, text: str) -> None:
        began = self._arrived(call)
        if not call.lost:
            try:
                async with asyncio.timeout(self._max_pause_s) as limit:
                    await self._sink(text)
            except Exception as error:  # noqa: BLE001 # never breaks the call
                self._lose(call, None if limit.expired() else error)
        self._delivered(call, began)


class _Call:
    """What is known of a call under way."""

    __slots__ = (
        "delivered",
        "dropped",
        "first_token_s",
        "gaps_s",
        "idle_since",
        "lost",
        "sink_s",
        "way",
    )

    def __init__(self, now: float) -> None:
        self.way: str | None = None
        self.first_token_s: float | None = None
        self.gaps_s: list[float] = []
        self.idle_since = now
        self.sink_s = 0.0
        self.delivered = 0
        self.dropped = 0
        self.lost = False


def _is_async(sink: object) -> bool:
    return inspect.iscoroutinefunction(sink) or inspect.iscoroutinefunction(
        getattr(sink, "__call__", None)  # noqa: B004 # an object with async __call__
    )


def _text(token: str | list[Any]) -> str:
    """Return the text of a chunk's content, which may be a list of blocks."""
    if isinstance(token, str):
        return token
    return "".join(
        block if isinstance(block, str) else _block_text(block) for block in token
    )


def _block_text(block: Mapping[str, Any]) -> str:
    return str(block.get("text") or "") if block.get("type") == "text" else ""


def _delta(event: Mapping[str, Any]) -> str:
    """Return the text that an event of the streaming protocol brings."""
    if event.get("event") != "content-block-delta":
        return ""
    delta = event.get("delta") or {}
    return str(delta.get("text") or "") if delta.get("type") == "text-delta" else ""
