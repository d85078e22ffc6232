"""From the provider's answer to the stored one, and from the stored one to a hit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.messages import AIMessage
from langchain_core.outputs import ChatGeneration, Generation

from langchain_llmops.caching.base import CacheHit
from langchain_llmops.caching.values.codec import StoredAnswer
from langchain_llmops.pricing.money import dollars
from langchain_llmops.pricing.usage import Usage, tier_of
from langchain_llmops.types import CACHE_KEY, CacheMark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from langchain_core.messages.ai import UsageMetadata

    from langchain_llmops.pricing import Prices
    from langchain_llmops.types import CacheKind

__all__ = ["replay", "stored_answer"]

_BILLING = ("token_usage", "usage")
_NO_USAGE: UsageMetadata = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}


def stored_answer(
    generations: Sequence[Generation],
    *,
    model: str | None,
    prices: Prices,
    now: float,
) -> StoredAnswer:
    """Return an answer as it will be replayed: usage zeroed, what it cost set aside.

    Args:
        generations: What the provider returned; left as it is.
        model: Name that was asked for.
        prices: What models cost.
        now: Seconds since the epoch.
    """
    usage, names = None, [model] if model else []
    replayed = []
    for generation in generations:
        if isinstance(generation, ChatGeneration) and isinstance(
            generation.message, AIMessage
        ):
            message = generation.message
            replayed.append(_zeroed_generation(generation, message))
            if usage is None and message.usage_metadata:
                # Each of n generations carries the usage of the whole call.
                usage = message.usage_metadata
                if name := message.response_metadata.get("model_name"):
                    names.insert(0, name)
        else:
            replayed.append(generation)
    if usage is None:
        return StoredAnswer(generations=replayed, stored_at=now)
    return StoredAnswer(
        generations=replayed,
        stored_at=now,
        input_tokens=usage.get("input_tokens") or 0,
        output_tokens=usage.get("output_tokens") or 0,
        total_tokens=usage.get("total_tokens") or 0,
        usd=_billed(prices, names, usage),
    )


def replay(
    answer: StoredAnswer,
    *,
    kind: CacheKind,
    tier: str,
    similarity: float | None,
    hit_id: str,
    now: float,
    stale: bool = False,
    refresh: bool = False,
) -> CacheHit:
    """Return a hit made of an answer, whose messages are marked in place.

    Args:
        answer: A freshly decoded answer.
        kind: Whether the very request was found, or one like it.
        tier: Where it was found.
        similarity: How alike the questions are, for a semantic hit.
        hit_id: What names the stored answer later, to report a wrong hit.
        now: Seconds since the epoch.
        stale: Whether it is past its soft ttl, or its ttl.
        refresh: Whether the caller is the one to fetch a new answer.
    """
    mark = CacheMark(
        hit=True,
        kind=kind,
        tier=tier,
        similarity=similarity,
        age_s=max(0.0, now - answer.stored_at),
        saved_tokens=answer.total_tokens,
        saved_input_tokens=answer.input_tokens,
        saved_output_tokens=answer.output_tokens,
        saved_usd=answer.usd,
        hit_id=hit_id,
    )
    for generation in answer.generations:
        if isinstance(generation, ChatGeneration):
            generation.message.response_metadata[CACHE_KEY] = mark.copy()
    return CacheHit(
        generations=answer.generations, mark=mark, stale=stale, refresh=refresh
    )


def _zeroed_generation(generation: ChatGeneration, message: AIMessage) -> Generation:
    metadata = {
        name: _zeroed(value) if name in _BILLING else value
        for name, value in message.response_metadata.items()
        if name != CACHE_KEY
    }
    update = {
        "id": None,
        "response_metadata": metadata,
        "usage_metadata": {**_NO_USAGE, **_zeroed(message.usage_metadata or {})},
    }
    return generation.model_copy(update={"message": message.model_copy(update=update)})


def _zeroed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _zeroed(part) for name, part in value.items()}
    return value if isinstance(value, bool | str | None) else 0


def _billed(
    prices: Prices, names: Sequence[str], usage: Mapping[str, Any]
) -> float | None:
    sheet = prices.sheet(tuple(names), service_tier=tier_of(usage))
    cost = None if sheet is None else sheet.cost(Usage.from_metadata(usage))
    return None if cost is None else float(dollars(cost))
