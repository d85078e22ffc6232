"""From a call that ended to the charge that is booked for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from langchain_llmops.cost.charge import Charge
from langchain_llmops.cost.estimate import estimate
from langchain_llmops.cost.usage import Reply
from langchain_llmops.pricing.money import motes
from langchain_llmops.pricing.usage import Usage, token_count

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_llmops.cost.charge import Basis
    from langchain_llmops.cost.runs import OpenRun
    from langchain_llmops.pricing import Prices
    from langchain_llmops.pricing.rates import PriceSheet

__all__ = [
    "from_cache",
    "is_believable",
    "is_hit",
    "refused",
    "settle",
    "settle_by_estimate",
    "unsettled",
]

_HOUR = "1h"
_SILENCE = Reply()
# No context is a hundredth of this: whoever reports it counts something else.
_ABSURD_TOKENS = 10**9


def is_believable(usage: Usage) -> bool:
    """Say whether a call can have used that many tokens."""
    return max(usage) <= _ABSURD_TOKENS


def is_hit(run: OpenRun, reply: Reply) -> bool:
    """Say whether a cache answered, so that no provider was called.

    Our own caches mark their answers. LangChain's stamps the message with a cost of
    zero; but where one `generate` asks the same twice, the stamp lands on the paid
    call's message as well, since the cache shares it. The paid call is told by what no
    cached answer has: the provider's envelope, tokens on the way, an id made of its
    own run. A paid call with none of these passes for a hit: a streaming model with
    ids of the provider's own, under a `generate` with equal prompts and v3 events.

    Args:
        run: The call.
        reply: What came back.
    """
    if reply.mark is not None:
        return True
    if not reply.zero_cost or reply.from_provider:
        return False
    # Replayed hits bring protocol events, too, but never chunks.
    streamed = any(not isinstance(piece, Mapping) for piece in run.pieces)
    return not streamed and str(run.run_id) not in (reply.message_id or "")


def settle(run: OpenRun, reply: Reply, usage: Usage, prices: Prices) -> Charge:
    """Return the charge of a call whose usage the provider reported.

    More than a billion tokens of any kind are not believed: the call is unsettled.
    """
    if usage.cache_write and not reply.splits_writes and _keeps_an_hour(run):
        usage = usage._replace(cache_write_1h=usage.cache_write)
    if not is_believable(usage):
        return unsettled(run)
    return _charge(run, reply, prices, basis="reported", usage=usage)


def settle_by_estimate(
    run: OpenRun, reply: Reply, output: str | None, prices: Prices
) -> Charge:
    """Return the charge of a call whose usage must be counted here.

    Reads tiktoken's rank file if nobody has before, and takes as long as the texts
    are long: not for a callback.

    Args:
        run: The call.
        reply: What is known from its reply, or from what came of it.
        output: The text that came back, if only in part; `None` if nothing came.
        prices: What models cost.
    """
    model = reply.model or run.requested
    usage = estimate(run, model, output, reply.usage or Usage())
    return _charge(run, reply, prices, basis="estimated", usage=usage)


def from_cache(run: OpenRun, reply: Reply, prices: Prices) -> Charge:
    """Return the charge of an answer that a cache gave: nothing, and what it saved."""
    mark = reply.mark or {}
    saved = mark.get("saved_usd")
    if isinstance(saved, int | float) and math.isfinite(saved) and saved >= 0:
        worth: int | None = motes(saved)
    else:
        sheet = _sheet(run, reply, prices)
        usage = reply.usage or _saved_tokens(mark)
        worth = None if sheet is None else sheet.cost(usage)
    kind = mark.get("kind")
    return Charge(
        **_circumstances(run, reply),
        basis="cached",
        saved=worth or 0,
        cache_kind=kind if isinstance(kind, str) else None,
    )


def unsettled(run: OpenRun) -> Charge:
    """Return the charge of a call of which nothing was heard, or nothing credible."""
    return Charge(**_circumstances(run, _SILENCE), basis="unsettled")


def refused(run: OpenRun) -> Charge:
    """Return the charge of a call that nobody bills: none."""
    return Charge(**_circumstances(run, _SILENCE), basis="refused")


def _charge(
    run: OpenRun, reply: Reply, prices: Prices, *, basis: Basis, usage: Usage
) -> Charge:
    sheet = _sheet(run, reply, prices)
    return Charge(
        **_circumstances(run, reply),
        basis=basis,
        usage=usage,
        cost=None if sheet is None else sheet.cost(usage),
        sheet=sheet,
        price_version=None if sheet is None else prices.version,
    )


def _circumstances(run: OpenRun, reply: Reply) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "model": reply.model or run.label,
        "feature": run.said("feature"),
        "tenant": run.said("tenant"),
        "user": run.said("user"),
        "provider": run.provider or reply.provider,
        "service_tier": reply.service_tier or run.service_tier,
        "started_at": run.started_at,
        "duration_s": run.duration_s,
        "first_token_s": run.first_token_s,
        "error": run.error,
        "operation": "chat" if run.is_chat else "text_completion",
        "requested": run.requested,
        "arrivals": run.arrivals[:: run.copies],
    }


def _sheet(run: OpenRun, reply: Reply, prices: Prices) -> PriceSheet | None:
    names = tuple(dict.fromkeys(filter(None, (reply.model, run.requested))))
    return prices.sheet(
        names,
        run.provider or reply.provider,
        reply.service_tier or run.service_tier,
    )


def _saved_tokens(mark: Mapping[str, Any]) -> Usage:
    return Usage(
        token_count(mark.get("saved_input_tokens")),
        token_count(mark.get("saved_output_tokens")),
    )


def _keeps_an_hour(run: OpenRun) -> bool:
    """Say whether a request asked for its prompt cache to be kept for an hour.

    Anthropic's streams report how much was written, but not for how long; only the
    request tells. Where it asks for both lengths, five minutes are assumed.
    """
    asked = [run.parameters.get("cache_control"), *_cache_controls(run.input)]
    asked += _cache_controls(run.tools)
    controls = [each for each in asked if isinstance(each, Mapping)]
    return bool(controls) and all(each.get("ttl") == _HOUR for each in controls)


def _cache_controls(holder: object) -> Iterator[object]:
    for each in holder if isinstance(holder, list) else ():
        content = getattr(each, "content", each)
        for block in content if isinstance(content, list) else (content,):
            if isinstance(block, Mapping):
                yield block.get("cache_control")
