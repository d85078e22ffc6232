"""`StreamProcessor`: a stream cut anew, with limits on how long it may take."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, get_args

from langchain_core.runnables import Runnable

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.streaming.stream_course import StreamCourse
from langchain_llmops.streaming.stream_feeds import TaskFeed, ThreadFeed
from langchain_llmops.streaming.stream_limits import StreamLimits
from langchain_llmops.streaming.stream_pieces import Boundary

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Generator,
        Iterable,
        Iterator,
    )

    from langchain_core.runnables import RunnableConfig

__all__ = ["StreamProcessor"]


class StreamProcessor(Runnable[Any, Any]):
    """Cut a stream anew, and end it when it takes too long.

    Put it behind a model, or behind `model | StrOutputParser()`. Strings come out as
    strings, message chunks as chunks of the same type. A chunk with tool calls, usage
    or anything else beside its text is neither cut nor held back: it comes after the
    text before it, or with it if it has text itself. Joined, the pieces are the stream
    that went in. `invoke` and `batch` pass their input on.

    What the consumer gets is complete: text that was held back comes before the error
    when a stream fails or takes too long, and the error of a model or a chain is the
    same object. Cancelling the consumer, or closing its iterator, cancels the stream
    and closes it, even where the stream swallows a cancellation, as `ChatOpenAI` does
    on Python 3.11.

    An async stream is read by one task, which is at most 16 chunks ahead. A sync one is
    read by one thread if it has a limit or `flush_ms`, else directly; a thread that
    hangs in a client cannot be interrupted, so that it stays until that client gives
    up, while the consumer gets its error in time. Safe across threads and event loops:
    nothing is kept between streams.

    Args:
        flush_chars: Fewest characters of a piece. `None` for every unit as it comes.
        flush_ms: Milliseconds that text may be held back; then it comes out, whole unit
            or not. `None` for as long as it takes.
        first_token_timeout_s: Seconds until the first text or tool call.
        idle_timeout_s: Seconds from asking for the next chunk to getting it, once the
            first has come. The consumer's own time does not count.
        total_timeout_s: Seconds from the first request to the end, the consumer's own
            time included.
        boundary: Where a piece may end: anywhere between chunks (`token`), after a
            word, a sentence or a line.

    Raises:
        ConfigurationError: An argument is none of these.
        StreamTimeoutError: While streaming: a limit ran out. `partial_text` is what had
            arrived. With a timeout before the first chunk, the trace shows the error at
            the chain, since this step has not begun.

    Example:
        ```python
        from langchain_core.language_models import FakeListChatModel
        from langchain_llmops import StreamProcessor

        model = FakeListChatModel(responses=["Tea is hot. Drink it slowly."])
        chain = model | StreamProcessor(boundary="sentence", idle_timeout_s=20)
        pieces = [chunk.content for chunk in chain.stream("Hi") if chunk.content]
        assert pieces == ["Tea is hot. ", "Drink it slowly."]
        ```
    """

    def __init__(
        self,
        *,
        flush_chars: int | None = None,
        flush_ms: float | None = None,
        first_token_timeout_s: float | None = None,
        idle_timeout_s: float | None = None,
        total_timeout_s: float | None = None,
        boundary: Boundary = "token",
    ) -> None:
        if boundary not in get_args(Boundary):
            raise ConfigurationError(
                f"boundary={boundary!r} must be one of {get_args(Boundary)!r}"
            )
        for name, value in (("flush_chars", flush_chars), ("flush_ms", flush_ms)):
            if value is not None and not value > 0:
                raise ConfigurationError(
                    f"{name}={value!r} must be more than 0, or None for no such bound"
                )
        self._limits = StreamLimits(
            first_token_timeout_s=first_token_timeout_s,
            idle_timeout_s=idle_timeout_s,
            total_timeout_s=total_timeout_s,
        )
        self._boundary: Boundary = boundary
        self._flush_chars = flush_chars
        self._flush_s = None if flush_ms is None else flush_ms / 1000

    def invoke(
        self,
        input: Any,  # noqa: A002 # core's name
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ARG002 # core's signature
    ) -> Any:
        """Return the input: a whole answer needs no cutting."""
        return self._call_with_config(_same, input, config)

    async def ainvoke(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> Any:
        """Return the input: a whole answer needs no cutting."""
        return await self._acall_with_config(_asame, input, config)

    def stream(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Cut one text or message chunk into pieces."""
        return self.transform(iter((input,)), config, **kwargs)

    async def astream(
        self,
        input: Any,  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Cut one text or message chunk into pieces."""
        async with aclosing(self.atransform(_alone(input), config, **kwargs)) as pieces:
            async for piece in pieces:
                yield piece

    def transform(
        self,
        input: Iterator[Any],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> Generator[Any]:
        """Cut a stream into pieces; see the class for errors and closing."""
        # Pieces are made before core's machinery, whose first step waits for a chunk
        # before anything of ours would run, and which keeps all that goes through it.
        with closing(self._pieces(input)) as pieces:
            yield from self._transform_stream_with_config(pieces, _each, config)

    async def atransform(
        self,
        input: AsyncIterator[Any],  # noqa: A002
        config: RunnableConfig | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> AsyncGenerator[Any]:
        """Cut a stream into pieces; see the class for errors and closing."""
        async with aclosing(self._apieces(input)) as pieces:
            out = self._atransform_stream_with_config(pieces, _aeach, config)
            async with aclosing(out):  # type: ignore[type-var] # it is a generator
                async for piece in out:
                    yield piece

    def _course(self, now: float) -> StreamCourse:
        return StreamCourse(
            self._limits,
            boundary=self._boundary,
            flush_chars=self._flush_chars,
            flush_s=self._flush_s,
            now=now,
        )

    def _pieces(self, stream: Iterable[Any]) -> Generator[Any]:
        if self._flush_s is None and not self._limits.limited:
            yield from self._pieces_directly(iter(stream))
            return
        course = self._course(time.monotonic())
        with ThreadFeed(iter(stream)) as feed:
            while not course.over:
                item = feed.get(course.wait_until(time.monotonic()))
                yield from course.take(item, time.monotonic(), feed.error)
        if course.error is not None:
            raise course.error

    def _pieces_directly(self, stream: Iterator[Any]) -> Generator[Any]:
        course = self._course(0.0)
        try:
            for chunk in stream:
                yield from course.take(chunk, 0.0)
        except Exception:
            yield from course.finish()
            raise
        finally:
            if (close := getattr(stream, "close", None)) is not None:
                close()
        yield from course.finish()

    async def _apieces(self, stream: AsyncIterator[Any]) -> AsyncGenerator[Any]:
        clock = asyncio.get_running_loop().time
        course = self._course(clock())
        async with TaskFeed(stream) as feed:
            while not course.over:
                item = await feed.get(course.wait_until(clock()))
                for piece in course.take(item, clock(), feed.error):
                    yield piece
        if course.error is not None:
            raise course.error


def _same(value: Any) -> Any:
    return value


async def _asame(value: Any) -> Any:
    return value


def _each(pieces: Iterator[Any]) -> Iterator[Any]:
    yield from pieces


async def _aeach(pieces: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for piece in pieces:
        yield piece


async def _alone(value: Any) -> AsyncIterator[Any]:
    yield value
