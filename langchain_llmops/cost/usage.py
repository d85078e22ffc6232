"""What a reply says about its own cost, in whichever way its integration says it.

Pure: dictionaries in, values out. Replies come from dozens of integrations, so that
whatever is missing or odd is left out and nothing raises.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_llmops.pricing.usage import Usage, tier_of, token_count
from langchain_llmops.types import CACHE_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Reply", "mark_in", "read_reply", "usage_so_far"]

# Where integrations without `usage_metadata` (text completion models, older chat
# models) leave the provider's own dictionary, and how providers name its entries.
_RAW_USAGE = ("token_usage", "usage")
_INPUT_NAMES = ("prompt_tokens", "input_tokens", "prompt_token_count", "inputTokens")
_OUTPUT_NAMES = (
    "completion_tokens",
    "output_tokens",
    "candidates_token_count",
    "outputTokens",
)
_HOUR = "ephemeral_1h_input_tokens"
_MODEL_NAMES = ("model_name", "model", "model_id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What is known of a call from its reply.

    Attributes:
        usage: Tokens that the reply reports; `None` if it reports none.
        model: The model as the provider names it.
        provider: LangChain's name for the provider.
        service_tier: Tier that served the call, where it is not the standard one.
        message_id: Id of the first message.
        mark: The `CacheMark` of an answer that one of our caches gave.
        zero_cost: Whether LangChain's own cache stamped the message as free.
        from_provider: Whether the provider's own envelope (`llm_output`) came along,
            which no cache keeps.
        billed_to_sibling: Whether core emptied the usage of this prompt because one
            request answered several, and the first of them carries it all.
        splits_writes: Whether cache writes are told apart by how long they are kept.
    """

    usage: Usage | None = None
    model: str | None = None
    provider: str | None = None
    service_tier: str | None = None
    message_id: str | None = None
    mark: Mapping[str, Any] | None = None
    zero_cost: bool = False
    from_provider: bool = False
    billed_to_sibling: bool = False
    splits_writes: bool = False


def read_reply(response: object, pieces: Iterable[object] = ()) -> Reply:
    """Read what an `LLMResult` says about usage, model, provider and caches.

    Several generations (`n > 1`) each carry the usage of the whole call: it is read
    once.

    Args:
        response: The `LLMResult` of `on_llm_end`.
        pieces: The chunks of its stream, latest first. Merging chunks joins equal
            strings (`gpt-4ogpt-4o`), so names are read from one of them.
    """
    envelope = _mapping(getattr(response, "llm_output", None))
    messages = [message for message in _messages(response) if message is not None]
    first = messages[0] if messages else None
    said = _mapping(getattr(first, "response_metadata", None))
    named = next(filter(_names_model, map(_metadata_of, pieces)), said)
    metadata: Mapping[str, Any] = next(
        filter(None, (_mapping(getattr(m, "usage_metadata", None)) for m in messages)),
        {},
    )
    return Reply(
        usage=_reported(metadata) or _raw_usage(said) or _raw_usage(envelope),
        model=_text(named, _MODEL_NAMES) or _text(envelope, _MODEL_NAMES),
        provider=_text(said, ("model_provider",)) or _text(named, ("model_provider",)),
        service_tier=tier_of(metadata) or _tier(named) or _tier(envelope),
        message_id=_text({"id": getattr(first, "id", None)}, ("id",)),
        mark=_mark(said),
        zero_cost="total_cost" in metadata and not metadata["total_cost"],
        from_provider=bool(envelope),
        billed_to_sibling=envelope.get("token_usage") == {},
        splits_writes=_HOUR in _mapping(metadata.get("input_token_details")),
    )


def usage_so_far(pieces: Iterable[object]) -> Usage:
    """Add up what the chunks of a broken stream reported before it broke off."""
    messages = (getattr(piece, "message", None) for piece in pieces)
    reports = (_mapping(getattr(each, "usage_metadata", None)) for each in messages)
    return sum(map(Usage.from_metadata, filter(None, reports)), start=Usage())


def mark_in(pieces: Iterable[object]) -> Mapping[str, Any] | None:
    """Return the mark of a stream that one of our caches replays, if it is one."""
    return next(filter(None, (_mark(_metadata_of(piece)) for piece in pieces)), None)


def _mark(metadata: Mapping[str, Any]) -> Mapping[str, Any] | None:
    mark = metadata.get(CACHE_KEY)
    return mark if isinstance(mark, Mapping) and mark.get("hit") else None


def _messages(response: object) -> list[object]:
    """Return the messages of the first prompt's generations."""
    generations = getattr(response, "generations", None)
    if not isinstance(generations, list) or not generations:
        return []
    first = generations[0]
    return [
        getattr(generation, "message", None)
        for generation in (first if isinstance(first, list) else generations)
    ]


def _metadata_of(piece: object) -> Mapping[str, Any]:
    message = getattr(piece, "message", None)
    return _mapping(getattr(message, "response_metadata", None))


def _names_model(metadata: Mapping[str, Any]) -> bool:
    return _text(metadata, _MODEL_NAMES) is not None


def _reported(metadata: Mapping[str, Any]) -> Usage | None:
    usage = Usage.from_metadata(metadata)
    # A call without a single token does not exist: the provider did not count.
    return usage if usage.input_tokens or usage.output_tokens else None


def _raw_usage(holder: Mapping[str, Any]) -> Usage | None:
    """Read the provider's own usage dictionary, if there is one."""
    raws = (_mapping(holder.get(key)) for key in _RAW_USAGE)
    usages = (_from_raw(raw) for raw in raws if raw)
    return next((u for u in usages if u.input_tokens or u.output_tokens), None)


def _from_raw(raw: Mapping[str, Any]) -> Usage:
    details_in = _mapping(raw.get("prompt_tokens_details"))
    details_out = _mapping(raw.get("completion_tokens_details"))
    read = raw.get("cache_read_input_tokens") or raw.get("cacheReadInputTokens")
    write = raw.get("cache_creation_input_tokens") or raw.get("cacheWriteInputTokens")
    apart = token_count(read) + token_count(write)
    return Usage.from_metadata(
        {
            # Anthropic and Bedrock count cached input beside the input.
            "input_tokens": _first_count(raw, _INPUT_NAMES) + apart,
            "output_tokens": _first_count(raw, _OUTPUT_NAMES)
            + token_count(raw.get("thoughts_token_count")),
            "input_token_details": {
                "cache_read": read
                or details_in.get("cached_tokens")
                or raw.get("cached_content_token_count"),
                "cache_creation": write,
                "audio": details_in.get("audio_tokens"),
            },
            "output_token_details": {
                "reasoning": details_out.get("reasoning_tokens")
                or raw.get("thoughts_token_count"),
                "audio": details_out.get("audio_tokens"),
            },
        }
    )


def _first_count(raw: Mapping[str, Any], names: Iterable[str]) -> int:
    return next((n for n in (token_count(raw.get(name)) for name in names) if n), 0)


def _tier(metadata: Mapping[str, Any]) -> str | None:
    # OpenAI: a string; Bedrock: {"type": …}; Anthropic: inside its usage.
    usage = _mapping(metadata.get("usage"))
    if usage.get("speed") == "fast":
        return "fast"
    tier = metadata.get("service_tier") or usage.get("service_tier")
    if isinstance(tier, Mapping):
        tier = tier.get("type")
    return tier if isinstance(tier, str) and tier else None


def _text(holder: Mapping[str, Any], keys: Iterable[str]) -> str | None:
    for key in keys:
        value = holder.get(key)
        if isinstance(value, str) and value:
            return value
    return None


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
