"""Sending a reply: at its pace, with its fault, billing what was written.

Works on bytes and token counts only, so that every endpoint is delivered, cut and
billed by the same few lines. A client that goes away cancels the handler; the caller
(the `app` module's middleware) then closes the exchange as aborted.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

from langchain_llmops.testing.api_error import ApiError
from langchain_llmops.testing.faults import Cut, Hang, HttpFailure, MalformedSSE

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from langchain_llmops.testing.exchange import Exchange
    from langchain_llmops.testing.faults import Fault, Pace

__all__ = ["Delivery", "Frame", "StreamedReply", "WholeReply"]

BROKEN_EVENT = b'data: {"id": "chatcmpl-broken", "choices": [{"delta": {"conte\n\n'


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is written for one token, or for one token of each of several choices."""

    data: bytes
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedReply:
    """A reply as events: `head` comes with the first frame, `tail` with the last.

    `end` is the marker that closes the stream, also one without any other event.
    """

    head: bytes
    frames: tuple[Frame, ...]
    tail: bytes
    end: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class WholeReply:
    """A reply in one body; `tokens` are generated one after the other before it."""

    body: bytes
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Sends one reply.

    Args:
        request: The HTTP request.
        exchange: Where it is written down.
        pace: When each token is due.
        fault: What goes wrong.
        sleep: How to wait.
    """

    request: web.Request
    exchange: Exchange
    pace: Pace
    fault: Fault | None
    sleep: Callable[[float], Awaitable[None]]

    async def refuse(self) -> None:
        """Fail in the ways that come before any work: nothing is billed.

        Raises:
            ApiError: The fault is an HTTP error.
        """
        fault = self.fault
        if isinstance(fault, HttpFailure):
            raise ApiError(
                fault.status,
                fault.message,
                kind=fault.kind,
                code=fault.code,
                retry_after_s=fault.retry_after_s,
            )
        if isinstance(fault, Hang) and fault.at_token is None:
            await self._hang(fault)
        if isinstance(fault, Cut) and fault.at_token is None:
            await self._disconnect()

    async def whole(self, reply: WholeReply) -> web.Response:
        """Send a reply in one body, after the time that its tokens take."""
        fault, total = self.fault, reply.tokens
        stop = self._stop(total)
        try:
            await self._until(self.pace.at(max(0, stop - 1)))
            if isinstance(fault, Hang) and fault.at_token is not None:
                await self._hang(fault)
                stop = total
                await self._until(self.pace.at(max(0, stop - 1)))
        except asyncio.CancelledError:
            due = self.pace.due(self.exchange.elapsed(), total)
            self.exchange.written = min(stop, due)
            raise
        self.exchange.written = stop
        if isinstance(fault, Cut):
            await self._disconnect()
        if isinstance(fault, MalformedSSE):
            self.exchange.close("malformed", 200)
            return _json(reply.body[: len(reply.body) // 2])
        self.exchange.close("completed", 200)
        return _json(reply.body)

    async def streamed(self, reply: StreamedReply) -> web.StreamResponse:
        """Send a reply as server-sent events, each token when it is due."""
        response = web.StreamResponse(
            headers={
                "Content-Type": "text/event-stream; charset=utf-8",
                "Cache-Control": "no-cache",
            }
        )
        await self._until(self.pace.first_token_s)
        await response.prepare(self.request)
        fault, frames = self.fault, reply.frames
        stop = self._stop(len(frames))
        if not isinstance(fault, (Cut, Hang, MalformedSSE)) or fault.at_token is None:
            await self._pour(response, frames, reply.head, reply.tail + reply.end)
            return response
        await self._pour(response, frames[:stop], reply.head)
        if isinstance(fault, Hang):
            await self._hang(fault)
            rest = frames[stop:]
            await self._pour(response, rest, ending=reply.tail + reply.end, past=stop)
        elif isinstance(fault, Cut):
            await self._disconnect()
        else:
            self.exchange.close("malformed", 200)
            await response.write(BROKEN_EVENT + reply.end)
        return response

    async def _pour(
        self,
        response: web.StreamResponse,
        frames: Sequence[Frame],
        head: bytes = b"",
        ending: bytes = b"",
        *,
        past: int = 0,
    ) -> None:
        """Write frames as they fall due; `ending` goes out with the last and settles.

        Args:
            response: Where to.
            frames: What.
            head: Goes out before the first frame.
            ending: Ends the reply, which is then complete.
            past: Frames that were written before these.
        """
        written, data = 0, head
        while True:
            elapsed = self.exchange.elapsed()
            due = max(written, self.pace.due(elapsed, past + len(frames)) - past)
            for frame in frames[written:due]:
                self.exchange.written += frame.tokens
            data += b"".join(frame.data for frame in frames[written:due])
            written = due
            if written == len(frames):
                if ending:
                    self.exchange.close("completed", 200)
                await response.write(data + ending)
                return
            if data:
                await response.write(data)
            data = b""
            await self._until(self.pace.at(past + written))

    def _stop(self, total: int) -> int:
        """Return the token at which the fault stops the reply, or the total."""
        at = getattr(self.fault, "at_token", None)
        return total if at is None else min(total, at)

    async def _until(self, due_s: float) -> None:
        """Wait until the exchange is so many seconds old."""
        left = due_s - self.exchange.elapsed()
        if left > 0:
            await self.sleep(left)

    async def _hang(self, fault: Hang) -> None:
        if fault.for_s is None:
            await asyncio.get_running_loop().create_future()
        else:
            await self.sleep(fault.for_s)

    async def _disconnect(self) -> None:
        """Close the connection after what is written; aiohttp then cancels us."""
        self.exchange.close("cut", self.exchange.status)
        if self.request.transport is not None:
            self.request.transport.close()
        await asyncio.get_running_loop().create_future()


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")
