"""What a selection policy is told about a call: `RoutingRequest`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.pricing import Usage
from langchain_llmops.routing.catalog import capability_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from langchain_core.messages import BaseMessage
    from langchain_core.runnables import RunnableConfig

__all__ = ["RoutingRequest", "prompt_text", "routing_request"]

_BLOCKS: Final = {
    "audio": "audio_inputs",
    "file": "pdf_inputs",
    "image": "image_inputs",
    "image_url": "image_inputs",
    "input_audio": "audio_inputs",
    "input_image": "image_inputs",
    "video": "video_inputs",
}
# "auto" and "none" leave the model its choice; anything else forces a tool on it.
_FREE_CHOICE: Final = (None, "auto", "none", False)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingRequest:
    """A call, as far as choosing a model for it goes.

    Attributes:
        input_tokens: Tokens of the prompt.
        output_tokens: Tokens that the answer is expected to take; 0 is unknown.
        needs: Capabilities that the call cannot do without.
        tenant: Whom it is for.
        user: Who asked.
        feature: Which part of the product asked.
        task: What kind of work it is: `capabilities` and `complexity` read it.
        region: Where the call must be served; `None` is anywhere.
        max_usd: What it may cost.
        deadline_s: Seconds that are left for it.
        affinity: Digest of what a provider's prompt cache would share between this
            call and others: see `sticky`.
        difficulty: How much it needs a strong model, from 0 to 1; `None` is unknown.
        at: When it is made, for prices that change; `None` is now.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    needs: frozenset[str] = frozenset()
    tenant: str | None = None
    user: str | None = None
    feature: str | None = None
    task: str | None = None
    region: str | None = None
    max_usd: Decimal | None = None
    deadline_s: float | None = None
    affinity: bytes | None = None
    difficulty: float | None = None
    at: datetime | None = None

    @property
    def usage(self) -> Usage:
        """The tokens of the call, as prices take them."""
        return Usage(self.input_tokens, self.output_tokens)


def routing_request(
    messages: Sequence[BaseMessage],
    *,
    input_tokens: int,
    output_tokens: int = 0,
    kwargs: Mapping[str, Any] | None = None,
    config: RunnableConfig | None = None,
    difficulty: float | None = None,
    at: datetime | None = None,
) -> RoutingRequest:
    """Read a call into a `RoutingRequest`; a pure function of its arguments.

    `config["metadata"]` gives `tenant`, `user`, `feature`, `task` and `capabilities`
    (names that the call needs on top of what shows); `config["configurable"]` gives
    `region`, `max_usd`, `deadline_s` and the conversation (`thread_id`, `session_id`).

    Args:
        messages: The prompt.
        input_tokens: Its tokens.
        output_tokens: Tokens that the answer is expected to take.
        kwargs: What is bound to the model: `tools`, `tool_choice`, `response_format`.
        config: The config of the call.
        difficulty: What an estimator said about it.
        at: When it is made.

    Raises:
        ConfigurationError: `max_usd` or `deadline_s` is no positive number.
    """
    config = config or {}
    metadata = config.get("metadata") or {}
    switches = config.get("configurable") or {}
    kwargs = kwargs or {}
    max_usd = switches.get("max_usd")
    deadline_s = switches.get("deadline_s")
    thread = switches.get("thread_id") or switches.get("session_id")
    return RoutingRequest(
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        needs=_needs(messages, kwargs, metadata.get("capabilities")),
        **{name: _text(metadata, name) for name in _WHO},
        region=_text(switches, "region"),
        max_usd=None if max_usd is None else _positive("max_usd", max_usd),
        deadline_s=(
            None if deadline_s is None else float(_positive("deadline_s", deadline_s))
        ),
        affinity=_affinity(messages, kwargs, thread),
        difficulty=difficulty,
        at=at,
    )


_WHO: Final = ("tenant", "user", "feature", "task")


def prompt_text(messages: Sequence[BaseMessage]) -> str:
    """Return what an estimator of difficulty reads: the text of the last question."""
    for message in reversed(messages):
        if message.type == "human":
            return str(message.text)
    return str(messages[-1].text) if messages else ""


def _text(values: Mapping[str, Any], key: str) -> str | None:
    value = values.get(key)
    return None if value is None else str(value)


def _positive(name: str, value: object) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal(0)
    if not number.is_finite() or number <= 0:
        raise ConfigurationError(
            f"configurable[{name!r}] is {value!r}: give a positive number"
        )
    return number


def _needs(
    messages: Sequence[BaseMessage], kwargs: Mapping[str, Any], named: Any
) -> frozenset[str]:
    needs = {_BLOCKS[kind] for kind in _block_types(messages) if kind in _BLOCKS}
    if kwargs.get("tools") or kwargs.get("functions"):
        needs.add("tool_calling")
        if kwargs.get("tool_choice") not in _FREE_CHOICE:
            needs.add("tool_choice")
    if kwargs.get("response_format"):
        needs.add("structured_output")
    names = [named] if isinstance(named, str) else named or ()
    return frozenset(needs.union(map(capability_name, names)))


def _block_types(messages: Sequence[BaseMessage]) -> set[Any]:
    return {
        block.get("type")
        for message in messages
        if isinstance(message.content, list)
        for block in message.content
        if isinstance(block, Mapping)
    }


def _affinity(
    messages: Sequence[BaseMessage], kwargs: Mapping[str, Any], thread: Any
) -> bytes | None:
    """Digest what stays the same in a conversation: its id, or how it begins.

    The tools, the system prompt and the first question: the next turns repeat them, so
    that a prompt cache has them, and another conversation may go elsewhere.
    """
    digest = hashlib.blake2b(digest_size=16)
    if thread:
        digest.update(str(thread).encode("utf-8", "surrogatepass"))
        return digest.digest()
    if not messages:
        return None
    if tools := kwargs.get("tools"):
        digest.update(_bytes(tools))
    for message in messages:
        digest.update(_bytes([message.type, message.content]))
        if message.type != "system":
            break
    return digest.digest()


def _bytes(value: object) -> bytes:
    return json.dumps(value, default=str).encode()
