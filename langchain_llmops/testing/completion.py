"""What the provider answers to a chat request, before it is put on the wire."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from langchain_llmops.testing.reading import quote, read, reply
from langchain_llmops.testing.schema_fill import fill, object_schema
from langchain_llmops.testing.token_count import CALL_OVERHEAD
from langchain_llmops.testing.tool_use import decide

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

    from langchain_llmops.testing.chat_request import ChatRequest
    from langchain_llmops.testing.desk import Script
    from langchain_llmops.testing.encoder import Encoder
    from langchain_llmops.testing.reading import Reading
    from langchain_llmops.testing.tool_use import ToolCall

__all__ = ["Choice", "Completion", "WrittenCall", "choices", "filtered"]

# Ways to begin the same answer, for callers who ask for variety.
_OPENINGS = ("", "In short: ", "According to the context: ", "Here is what I found. ")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenCall:
    """A tool call as tokens: `name_tokens` for its name, a piece per argument token."""

    id: str
    name: str
    name_tokens: int
    pieces: tuple[str, ...]

    @property
    def tokens(self) -> int:
        """Output tokens of the call."""
        return self.name_tokens + len(self.pieces)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One answer, cut into the pieces that its tokens are."""

    pieces: tuple[str, ...] = ()
    calls: tuple[WrittenCall, ...] = ()
    finish_reason: str = "stop"

    @property
    def tokens(self) -> int:
        """Visible output tokens."""
        return len(self.pieces) + sum(call.tokens for call in self.calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A whole answer with its usage."""

    id: str
    created: int
    model: str
    choices: tuple[Choice, ...]
    input_tokens: int
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    service_tier: str = "default"

    @property
    def output_tokens(self) -> int:
        """Hidden and visible output tokens of all choices."""
        return self.reasoning_tokens + sum(choice.tokens for choice in self.choices)


def choices(
    request: ChatRequest,
    coder: Encoder,
    *,
    rng: random.Random,
    limit: int | None,
    script: Script | None = None,
) -> tuple[Choice, ...]:
    """Answer a request.

    Args:
        request: The request.
        coder: Cuts answers into tokens.
        rng: Where a positive temperature without a seed gets its variety from.
        limit: Visible tokens that each choice may have.
        script: Answers in place of the context, given the messages as they were sent.

    Returns:
        `request.n` choices. They differ unless the temperature is 0.
    """
    reading = read(request.messages)
    calls = decide(request, reading.question, answered=bool(reading.results))
    if calls:
        return (_called(calls, coder, rng, limit),) * request.n
    texts = _texts(request, reading, rng, script)
    return tuple(_write_text(text, request, coder, limit) for text in texts)


def _texts(
    request: ChatRequest, reading: Reading, rng: random.Random, script: Script | None
) -> list[str]:
    """Return the text of each choice."""
    if script is not None:
        return [script([message.body for message in request.messages])] * request.n
    if request.schema is not None or request.json_object:
        prompt = "\n".join(message.text for message in request.messages)
        schema = request.schema or object_schema(prompt)
        filled = fill(schema, quote(reading) or reading.question)
        return [json.dumps(filled, ensure_ascii=False)] * request.n
    text = reply(reading)
    if request.temperature == 0:
        return [text] * request.n
    free = request.temperature and request.seed is None
    first = rng.randrange(len(_OPENINGS)) if free else 0
    return [
        _OPENINGS[(first + turn) % len(_OPENINGS)] + text for turn in range(request.n)
    ]


def filtered(choice: Choice, at_token: int) -> Choice:
    """Return a choice that a content filter has stopped after some tokens."""
    return replace(
        choice,
        pieces=choice.pieces[:at_token],
        calls=(),
        finish_reason="content_filter",
    )


def _write_text(
    text: str, request: ChatRequest, coder: Encoder, limit: int | None
) -> Choice:
    ends = [at for stop in request.stop if (at := text.find(stop)) >= 0]
    pieces = tuple(coder.pieces(text[: min(ends)] if ends else text))
    if limit is not None and len(pieces) > limit:
        return Choice(pieces=pieces[:limit], finish_reason="length")
    return Choice(pieces=pieces)


def _called(
    calls: Sequence[ToolCall], coder: Encoder, rng: random.Random, limit: int | None
) -> Choice:
    written = tuple(
        WrittenCall(
            id=f"call_{rng.getrandbits(96):024x}",
            name=call.name,
            name_tokens=len(coder.encode(call.name)) + CALL_OVERHEAD,
            pieces=tuple(coder.pieces(call.arguments)),
        )
        for call in calls
    )
    return _limited_calls(Choice(calls=written, finish_reason="tool_calls"), limit)


def _limited_calls(choice: Choice, limit: int | None) -> Choice:
    """Cut calls where the answer's length ends: the last arguments stay incomplete."""
    if limit is None or choice.tokens <= limit:
        return choice
    kept, left = [], limit
    for call in choice.calls:
        if left < call.name_tokens:
            break
        left -= call.name_tokens
        kept.append(replace(call, pieces=call.pieces[:left]))
        left -= len(kept[-1].pieces)
    return Choice(calls=tuple(kept), finish_reason="length")
