"""The course of one stream, step by step, without I/O: sync and async share it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from langchain_llmops.streaming.stream_limits import StreamTimeoutError
from langchain_llmops.streaming.stream_pieces import Pieces, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.streaming.stream_limits import StreamLimits, TimeoutKind
    from langchain_llmops.streaming.stream_pieces import Boundary

__all__ = ["ELAPSED", "END", "StreamCourse"]


class _Mark:
    """A value that no stream brings."""


ELAPSED: Final = _Mark()
"""What a feed brings in place of a chunk when the given time has come."""

END: Final = _Mark()
"""What a feed brings when the stream has ended, or failed."""


class StreamCourse:
    """What is to be done next in one stream: wait until when, hand out what.

    Args:
        limits: How long the stream may take.
        boundary: Where pieces end.
        flush_chars: Fewest characters of a piece.
        flush_s: Seconds that text may be held back.
        now: The time at which the stream is first asked for something.
    """

    def __init__(
        self,
        limits: StreamLimits,
        *,
        boundary: Boundary,
        flush_chars: int | None,
        flush_s: float | None,
        now: float,
    ) -> None:
        self.over = False
        self.error: BaseException | None = None
        self._limits = limits
        self._limited = limits.limited
        self._pieces = Pieces(boundary, flush_chars)
        self._flush_s = flush_s
        self._started = now
        self._begun = False
        self._texts: list[str] = []
        self._held_since: float | None = None
        self._due: tuple[float, TimeoutKind, float] | None = None
        self._flushes = False

    def wait_until(self, now: float) -> float | None:
        """Return until when to wait for a chunk from `now` on; `None` for ever."""
        self._due = (
            self._limits.due(now, started=self._started, begun=self._begun)
            if self._limited
            else None
        )
        until = self._due[0] if self._due else None
        self._flushes = False
        if self._flush_s is not None and self._held_since is not None:
            flush_at = self._held_since + self._flush_s
            if until is None or flush_at <= until:
                self._flushes, until = True, flush_at
        return until

    def take(
        self, item: Any, now: float, error: BaseException | None = None
    ) -> Sequence[Any]:
        """Take what a feed has brought; return what the consumer gets.

        Args:
            item: A chunk, `ELAPSED` or `END`.
            now: The time.
            error: With `END`: what the stream failed with.
        """
        if item is ELAPSED:
            return self._elapsed()
        if item is END:
            self.error = error
            return self.finish()
        text = text_of(item)
        self._begun = self._begun or text != ""
        if seen := (getattr(item, "text", "") if text is None else text):
            self._texts.append(seen)
        ready = self._pieces.push(item, text)
        if not self._pieces.waiting:
            self._held_since = None
        elif self._held_since is None or ready:
            self._held_since = now
        return ready

    def finish(self) -> Sequence[Any]:
        """Return what was held back at the end of the stream."""
        self.over = True
        return self._pieces.flush()

    def _elapsed(self) -> Sequence[Any]:
        if not self._flushes and self._due is not None:
            _, kind, limit_s = self._due
            self.over = True
            self.error = StreamTimeoutError(kind, limit_s, "".join(self._texts))
        self._held_since = None
        return self._pieces.flush()
