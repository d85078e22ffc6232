"""What a call must have used, where its provider never said: counted from the wire."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from langchain_llmops.pricing.usage import Usage

if TYPE_CHECKING:
    from langchain_llmops.cost.runs import OpenRun
    from langchain_llmops.tokens import TokenCounter

__all__ = ["answer_text", "estimate", "streamed_text"]

# What content blocks and the deltas of protocol events carry their text under.
_TEXTS = ("text", "reasoning", "thinking", "refusal", "args", "partial_json")


def estimate(
    run: OpenRun, model: str | None, output: str | None, so_far: Usage
) -> Usage:
    """Count the tokens of a call from its input and from the output that was seen.

    Hidden reasoning cannot be seen, nor can what a provider went on writing after the
    reader left; a provider may bill both.

    Args:
        run: The call.
        model: Its model; unknown ones are estimated.
        output: The text that came back, if only in part, for at least one token;
            `None` if nothing came.
        so_far: What the provider had reported until then.
    """
    counter = _counter(model or "")
    seen = 0 if output is None else max(1, counter.count(output))
    if so_far.input_tokens:
        return so_far._replace(output_tokens=max(seen, so_far.output_tokens))
    if run.is_chat:
        tokens_in = counter.count_messages(run.input, run.tools)  # type: ignore[arg-type]
    else:
        tokens_in = counter.count(str(run.input))
    return Usage(max(1, tokens_in), max(seen, so_far.output_tokens))


def streamed_text(pieces: Iterable[object]) -> str:
    """Return what a stream brought until it broke off, tool calls included."""
    return "".join(map(_piece_text, pieces))


def answer_text(response: object) -> str:
    """Return the text of all generations of an `LLMResult`, tool calls included."""
    generations = getattr(response, "generations", None)
    return "".join(_piece_text(each) for each in _flat(generations))


def _flat(generations: object) -> Iterable[object]:
    for each in generations if isinstance(generations, list) else ():
        if isinstance(each, list):
            yield from each
        else:
            yield each


def _piece_text(piece: object) -> str:
    if isinstance(piece, str | list):
        return _content_text(piece)
    if isinstance(piece, Mapping):
        return _event_text(piece)
    message = getattr(piece, "message", None)
    if message is None:
        text = getattr(piece, "text", "")
        return text if isinstance(text, str) else ""
    return _content_text(getattr(message, "content", "")) + _calls_text(message)


def _event_text(event: Mapping[Any, Any]) -> str:
    """Return the text of a protocol event (`stream_events` v3)."""
    if event.get("event") == "content-block-start":
        content = event.get("content")
        name = content.get("name") if isinstance(content, Mapping) else None
        return name if isinstance(name, str) else ""
    if event.get("event") == "content-block-delta":
        return _block_text(event.get("delta"))
    return ""


def _content_text(content: object) -> str:
    if isinstance(content, str):
        return content
    blocks = content if isinstance(content, list) else ()
    return "".join(_block_text(block) for block in blocks)


def _block_text(block: object) -> str:
    if isinstance(block, str):
        return block
    if not isinstance(block, Mapping):
        return ""
    texts = (block.get(key) for key in _TEXTS)
    return next((text for text in texts if text and isinstance(text, str)), "")


def _calls_text(message: object) -> str:
    chunks = getattr(message, "tool_call_chunks", None)
    if chunks:
        return "".join(f"{c.get('name') or ''}{c.get('args') or ''}" for c in chunks)
    calls = getattr(message, "tool_calls", None) or ()
    return "".join(
        f"{call.get('name')}{json.dumps(call.get('args'), default=str)}"
        for call in calls
    )


@lru_cache(maxsize=64)
def _counter(model: str) -> TokenCounter:
    from langchain_llmops.tokens import TokenCounter  # noqa: PLC0415 # only if needed

    return TokenCounter(model)
