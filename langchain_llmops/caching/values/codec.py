"""How an answer is written down: versioned JSON, never pickle.

An own small format rather than `langchain_core.load`: it knows the two shapes that
models return, instantiates nothing else whatever a stored value says, and takes a
fifth of the time. What it cannot carry exactly (a message class of its own, a value
that is not JSON) is refused, not bent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, Generation
from pydantic import BaseModel

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CodecError", "StoredAnswer", "decode", "encode"]

_VERSION: Final = 1
_NEVER: Final = (None, None)
_UNREADABLE: Final = (
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
_MESSAGE_FIELDS: Final = (
    "additional_kwargs",
    "response_metadata",
    "tool_calls",
    "invalid_tool_calls",
    "usage_metadata",
    "name",
)


class CodecError(ValueError):
    """An answer cannot be written exactly, or a stored value cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """An answer as it will be replayed, and what replaying it saves.

    Attributes:
        generations: All of `ChatGeneration` with `AIMessage`s, or all text.
        stored_at: Seconds since the epoch when the provider answered.
        input_tokens: Input tokens that the provider billed for it.
        output_tokens: Output tokens that the provider billed for it.
        total_tokens: Their sum as the provider reported it.
        usd: What the provider billed; `None` if the model has no known price.
        stale_at: Seconds since the epoch when it becomes stale; `None`: never.
        expires_at: When it expires, if that is before it leaves the tiers.
        epochs: The names that it depends on, each with the epoch that it belongs to.
    """

    generations: list[ChatGeneration] | list[Generation]
    stored_at: float
    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    usd: float | None = None
    stale_at: float | None = None
    expires_at: float | None = None
    epochs: Mapping[str, str] = field(default_factory=dict)


def encode(answer: StoredAnswer) -> bytes:
    """Return an answer as UTF-8 JSON.

    Raises:
        CodecError: Something in the answer has no exact JSON form.
    """
    value: dict[str, Any] = {
        "v": _VERSION,
        "t": answer.stored_at,
        "s": [answer.input_tokens, answer.output_tokens, answer.total_tokens],
        "p": answer.usd,
        "g": [_to_json(generation) for generation in answer.generations],
    }
    if answer.stale_at is not None or answer.expires_at is not None:
        value["x"] = [answer.stale_at, answer.expires_at]
    if answer.epochs:
        value["e"] = dict(answer.epochs)
    try:
        text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise CodecError(f"the answer is not JSON: {error}") from error
    return text.encode("utf-8", "surrogatepass")


def decode(value: bytes) -> StoredAnswer:
    """Return the answer that `encode` wrote, made of new objects.

    Raises:
        CodecError: The value is damaged, or another version wrote it.
    """
    try:
        stored = json.loads(value.decode("utf-8", "surrogatepass"))
        if stored["v"] != _VERSION:
            raise CodecError(f"a value of version {stored['v']!r}, not {_VERSION}")
        given, made, total = map(int, stored["s"])
        usd = stored["p"]
        stale_at, expires_at = stored.get("x", _NEVER)
        return StoredAnswer(
            generations=[_from_json(generation) for generation in stored["g"]],
            stored_at=float(stored["t"]),
            input_tokens=given,
            output_tokens=made,
            total_tokens=total,
            usd=None if usd is None else float(usd),
            stale_at=None if stale_at is None else float(stale_at),
            expires_at=None if expires_at is None else float(expires_at),
            epochs=dict(stored.get("e", ())),
        )
    except _UNREADABLE as error:
        raise CodecError(f"a stored value cannot be read: {error}") from error


def _to_json(generation: Generation) -> dict[str, Any]:
    form: dict[str, Any] = {}
    if generation.generation_info:
        form["info"] = generation.generation_info
    if not isinstance(generation, ChatGeneration):
        form["text"] = generation.text
        return form
    message = generation.message
    if type(message) is not AIMessage and type(message) is not AIMessageChunk:
        raise CodecError(f"{type(message).__name__} is not a plain AIMessage")
    form["content"] = message.content
    for name in _MESSAGE_FIELDS:
        if value := getattr(message, name):
            form[name] = value
    if isinstance(parsed := message.additional_kwargs.get("parsed"), BaseModel):
        form["additional_kwargs"] = {
            **message.additional_kwargs,
            "parsed": _parsed_json(message, parsed),
        }
    if message.__pydantic_extra__:
        form["extra"] = message.__pydantic_extra__
    return form


def _parsed_json(message: AIMessage, parsed: BaseModel) -> Any:
    """Return what a structured answer was parsed from: the provider's own JSON."""
    try:
        written = json.loads(message.text)
    except ValueError:
        written = None
    if isinstance(written, dict):
        return written
    return parsed.model_dump(mode="json", by_alias=True)


def _from_json(form: dict[str, Any]) -> Any:
    info = form.pop("info", None)
    if "text" in form:
        return Generation(text=form["text"], generation_info=info)
    extra = form.pop("extra", {})
    message = AIMessage(**form, **extra)
    return ChatGeneration(message=message, generation_info=info)
