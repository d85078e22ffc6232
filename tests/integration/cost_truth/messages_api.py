"""A Messages API on loopback that bills as Anthropic does, prompt cache included.

Small on purpose: a word is a token, an answer is what the constructor was given, and
prices are Anthropic's list prices for Claude Haiku 4.5, written down by hand.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MODEL", "Bill", "MessagesApi"]

MODEL = "claude-haiku-4-5-20251001"
# USD per million tokens.
_INPUT, _WRITE_5M, _WRITE_1H, _READ, _OUTPUT = map(
    Decimal, ["1", "1.25", "2", "0.10", "5"]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a provider charges for one call."""

    input_tokens: int
    output_tokens: int
    usd: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class _Counts:
    fresh: int = 0
    written_5m: int = 0
    written_1h: int = 0
    read: int = 0
    output: int = 0

    def bill(self) -> Bill:
        usd = (
            _INPUT * self.fresh
            + _WRITE_5M * self.written_5m
            + _WRITE_1H * self.written_1h
            + _READ * self.read
            + _OUTPUT * self.output
        )
        return Bill(
            input_tokens=self.fresh + self.written_5m + self.written_1h + self.read,
            output_tokens=self.output,
            usd=usd.scaleb(-6),
        )

    def usage(self, *, whole: bool) -> dict[str, Any]:
        """Return what the wire says; only whole answers split the cache writes."""
        usage: dict[str, Any] = {
            "input_tokens": self.fresh,
            "cache_creation_input_tokens": self.written_5m + self.written_1h,
            "cache_read_input_tokens": self.read,
            "output_tokens": self.output,
        }
        if whole:
            usage["cache_creation"] = {
                "ephemeral_5m_input_tokens": self.written_5m,
                "ephemeral_1h_input_tokens": self.written_1h,
            }
        return usage


class MessagesApi:
    """The server; `bills` is the invoice, in order of arrival."""

    def __init__(self, answer: str = "Yes it is red indeed") -> None:
        self.bills: list[Bill] = []
        self._answer = answer
        self._known: set[str] = set()
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                counts = api._count(body)
                api.bills.append(counts.bill())
                stream = bool(body.get("stream"))
                sent = b"".join(api._events(counts)) if stream else api._whole(counts)
                kind = "text/event-stream" if stream else "application/json"
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _count(self, body: Mapping[str, Any]) -> _Counts:
        fresh = written_5m = written_1h = read = 0
        for block in _blocks(body):
            words = len(block["text"].split())
            control = block.get("cache_control")
            if control is None:
                fresh += words
            elif block["text"] in self._known:
                read += words
            elif control.get("ttl") == "1h":
                written_1h += words
            else:
                written_5m += words
            if control is not None:
                self._known.add(block["text"])
        return _Counts(
            fresh=fresh,
            written_5m=written_5m,
            written_1h=written_1h,
            read=read,
            output=len(self._answer.split()),
        )

    def _head(self) -> dict[str, Any]:
        head = {"id": f"msg_{len(self.bills)}", "type": "message", "role": "assistant"}
        return {**head, "model": MODEL, "stop_sequence": None}

    def _whole(self, counts: _Counts) -> bytes:
        return json.dumps(
            {
                **self._head(),
                "content": [{"type": "text", "text": self._answer}],
                "stop_reason": "end_turn",
                "usage": counts.usage(whole=True),
            }
        ).encode()

    def _events(self, counts: _Counts) -> Iterator[bytes]:
        usage = counts.usage(whole=True) | {"output_tokens": 1}
        message = {**self._head(), "content": [], "stop_reason": None, "usage": usage}
        yield _event("message_start", message=message)
        text = {"type": "text", "text": ""}
        yield _event("content_block_start", index=0, content_block=text)
        for word in self._answer.split():
            delta = {"type": "text_delta", "text": f"{word} "}
            yield _event("content_block_delta", index=0, delta=delta)
        yield _event("content_block_stop", index=0)
        end = {"stop_reason": "end_turn", "stop_sequence": None}
        yield _event("message_delta", delta=end, usage=counts.usage(whole=False))
        yield _event("message_stop")


def _blocks(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    contents = [body.get("system") or []]
    contents += [message["content"] for message in body["messages"]]
    for content in contents:
        if isinstance(content, str):
            yield {"text": content}
        else:
            yield from content


def _event(kind: str, **rest: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **rest})}\n\n".encode()
