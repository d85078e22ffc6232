"""`POST /v1/chat/completions`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops.testing import chat_wire
from langchain_llmops.testing.api_error import bad_request
from langchain_llmops.testing.chat_request import parse_chat
from langchain_llmops.testing.completion import Choice, Completion, choices, filtered
from langchain_llmops.testing.delivery import StreamedReply
from langchain_llmops.testing.exchange import Bill
from langchain_llmops.testing.faults import ContentFiltered, EmptyStream
from langchain_llmops.testing.price_list import UNLISTED, look_up
from langchain_llmops.testing.prompt_cache import prompt_tokens
from langchain_llmops.testing.token_count import count_chat

if TYPE_CHECKING:
    from aiohttp import web

    from langchain_llmops.testing.call import Call
    from langchain_llmops.testing.chat_request import ChatRequest
    from langchain_llmops.testing.desk import Desk, Draw
    from langchain_llmops.testing.encoder import Encoder
    from langchain_llmops.testing.price_list import ListedModel

__all__ = ["serve_chat"]


async def serve_chat(call: Call) -> web.StreamResponse:
    """Answer one chat completion request."""
    asked = parse_chat(call.body)
    draw = call.desk.draw(call.exchange, "chat", call.raw)
    delivery = call.delivery(draw)
    await delivery.refuse()
    entry = look_up(asked.model)
    known = entry or UNLISTED
    coder = await call.desk.coder(known.encoding)
    completion = _complete(call.desk, asked, known, coder, draw)
    call.exchange.bill = Bill(
        id=completion.id,
        entry=known,
        priced=entry is not None,
        tier=known.tier(asked.service_tier),
        input_tokens=completion.input_tokens,
        cached_tokens=completion.cached_tokens,
        reasoning_tokens=completion.reasoning_tokens,
    )
    if not asked.stream:
        return await delivery.whole(chat_wire.whole(completion))
    if isinstance(draw.fault, EmptyStream):
        return await delivery.streamed(
            StreamedReply(head=b"", frames=(), tail=b"", end=chat_wire.DONE)
        )
    return await delivery.streamed(
        chat_wire.streamed(completion, include_usage=asked.include_usage)
    )


def _complete(
    desk: Desk, asked: ChatRequest, known: ListedModel, coder: Encoder, draw: Draw
) -> Completion:
    input_tokens = count_chat(asked, coder)
    if input_tokens + (asked.max_tokens or 0) > known.window:
        raise bad_request(
            f"This model's maximum context length is {known.window} tokens. However, "
            f"you requested {input_tokens + (asked.max_tokens or 0)} tokens "
            f"({input_tokens} in the messages, {asked.max_tokens or 0} in the "
            "completion). Please reduce the length of the messages or completion.",
            "messages",
            "context_length_exceeded",
        )
    cached = 0
    if desk.settings.prompt_caching:
        cached = desk.prompts.cached_tokens(asked.model, prompt_tokens(asked, coder))
    reasoning = desk.settings.reasoning_tokens if known.reasons else 0
    limit = asked.max_tokens
    if limit is not None:
        reasoning = min(reasoning, limit)
        limit -= reasoning
    answers = choices(asked, coder, rng=draw.rng, limit=limit, script=desk.script)
    if isinstance(draw.fault, ContentFiltered):
        answers = tuple(filtered(c, draw.fault.at_token or 0) for c in answers)
    elif isinstance(draw.fault, EmptyStream):
        answers, reasoning = tuple(Choice() for _ in answers), 0
    return Completion(
        id=f"chatcmpl-{draw.id}",
        created=int(desk.books.now().timestamp()),
        model=asked.model,
        choices=answers,
        input_tokens=input_tokens,
        cached_tokens=min(cached, input_tokens),
        reasoning_tokens=reasoning,
        service_tier=known.tier(asked.service_tier),
    )
