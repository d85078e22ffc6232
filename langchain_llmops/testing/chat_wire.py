"""A chat completion as bytes: one JSON body, or one server-sent event per token."""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from langchain_llmops.testing.delivery import Frame, StreamedReply, WholeReply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_llmops.testing.completion import Choice, Completion

__all__ = ["streamed", "whole"]

DONE = b"data: [DONE]\n\n"


def whole(completion: Completion) -> WholeReply:
    """Return the response of a call that does not stream."""
    body = {
        **_envelope(completion, "chat.completion"),
        "choices": [
            {
                "index": index,
                "message": _message(choice),
                "logprobs": None,
                "finish_reason": choice.finish_reason,
            }
            for index, choice in enumerate(completion.choices)
        ],
        "usage": _usage(completion),
    }
    return WholeReply(
        body=json.dumps(body, ensure_ascii=False).encode(),
        tokens=completion.output_tokens,
    )


def streamed(completion: Completion, *, include_usage: bool) -> StreamedReply:
    """Return the events of a call that streams.

    Args:
        completion: The answer.
        include_usage: Whether a last event carries the usage (and all others a null).
    """
    events = _Events(completion, include_usage=include_usage)
    steps = zip_longest(
        *(events.of(index, choice) for index, choice in enumerate(completion.choices))
    )
    frames = [Frame(data=b"", tokens=1)] * completion.reasoning_tokens
    for step in steps:
        parts = [frame for frame in step if frame is not None]
        frames.append(
            Frame(
                data=b"".join(part.data for part in parts),
                tokens=sum(part.tokens for part in parts),
            )
        )
    return StreamedReply(
        head=events.heads(), frames=tuple(frames), tail=events.tails(), end=DONE
    )


class _Events:
    """Writes the events of one completion; what they share is encoded once."""

    def __init__(self, completion: Completion, *, include_usage: bool) -> None:
        self._completion = completion
        self._include_usage = include_usage
        envelope = json.dumps(_envelope(completion, "chat.completion.chunk"))
        self._start = b"data: " + envelope[:-1].encode() + b', "choices": ['
        self._end = b'], "usage": null}\n\n' if include_usage else b"]}\n\n"

    def _event(self, index: int, delta: str, finish: str = "null") -> bytes:
        choice = f'{{"index": {index}, "delta": {delta}, "finish_reason": {finish}}}'
        return self._start + choice.encode() + self._end

    def heads(self) -> bytes:
        """Return the events that open each choice."""
        return b"".join(
            self._event(
                index,
                '{"role": "assistant", "content": null}'
                if choice.calls
                else '{"role": "assistant", "content": "", "refusal": null}',
            )
            for index, choice in enumerate(self._completion.choices)
        )

    def of(self, index: int, choice: Choice) -> Iterator[Frame]:
        """Return one frame per token of a choice."""
        for piece in choice.pieces:
            # A token that ends inside a character shows with the next one.
            data = self._event(index, f'{{"content": {json.dumps(piece)}}}')
            yield Frame(data=data if piece else b"", tokens=1)
        for number, call in enumerate(choice.calls):
            function = {"name": call.name, "arguments": ""}
            opening = {
                "index": number,
                "id": call.id,
                "type": "function",
                "function": function,
            }
            delta = json.dumps({"tool_calls": [opening]})
            yield Frame(data=self._event(index, delta), tokens=call.name_tokens)
            for piece in call.pieces:
                part = {"index": number, "function": {"arguments": piece}}
                delta = json.dumps({"tool_calls": [part]})
                yield Frame(data=self._event(index, delta), tokens=1)

    def tails(self) -> bytes:
        """Return the events that close each choice, and the usage."""
        events = [
            self._event(index, "{}", json.dumps(choice.finish_reason))
            for index, choice in enumerate(self._completion.choices)
        ]
        if self._include_usage:
            usage = json.dumps(_usage(self._completion)).encode()
            events.append(self._start + b'], "usage": ' + usage + b"}\n\n")
        return b"".join(events)


def _envelope(completion: Completion, kind: str) -> dict[str, Any]:
    return {
        "id": completion.id,
        "object": kind,
        "created": completion.created,
        "model": completion.model,
        "service_tier": completion.service_tier,
        "system_fingerprint": "fp_local",
    }


def _message(choice: Choice) -> dict[str, Any]:
    text = "".join(choice.pieces)
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if choice.calls else text,
        "refusal": None,
    }
    if choice.calls:
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": "".join(call.pieces)},
            }
            for call in choice.calls
        ]
    return message


def _usage(completion: Completion) -> dict[str, Any]:
    output = completion.output_tokens
    return {
        "prompt_tokens": completion.input_tokens,
        "completion_tokens": output,
        "total_tokens": completion.input_tokens + output,
        "prompt_tokens_details": {
            "cached_tokens": completion.cached_tokens,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": completion.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
