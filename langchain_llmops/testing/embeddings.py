"""`POST /v1/embeddings`."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import numpy as np

from langchain_llmops.testing.api_error import ApiError, bad_request
from langchain_llmops.testing.delivery import WholeReply
from langchain_llmops.testing.embedding import embed
from langchain_llmops.testing.exchange import Bill
from langchain_llmops.testing.price_list import LISTED, look_up

if TYPE_CHECKING:
    from aiohttp import web

    from langchain_llmops.testing.call import Call
    from langchain_llmops.testing.desk import Desk
    from langchain_llmops.testing.encoder import Encoder

__all__ = ["serve_embeddings"]

_MAX_INPUTS = 2048
_UNLISTED = LISTED["text-embedding-3-small"]


async def serve_embeddings(call: Call) -> web.Response:
    """Answer one embeddings request."""
    body = call.body
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise ApiError(400, "you must provide a model parameter")
    inputs = _inputs(body.get("input"))
    dimensions = _dimensions(body.get("dimensions"))
    draw = call.desk.draw(call.exchange, "embeddings", call.raw)
    delivery = call.delivery(draw)
    await delivery.refuse()
    entry = look_up(model)
    known = entry or _UNLISTED
    coder = await call.desk.coder(known.encoding)
    counts = _counts(inputs, coder, known.window)
    texts = [_text(item, coder) for item in inputs]
    # Off the loop: a large batch, or a model of its own, would hold up the streams.
    vectors = await asyncio.to_thread(_embed, call.desk, texts, dimensions)
    tokens = sum(counts)
    call.exchange.bill = Bill(
        id=f"embd-{draw.id}",
        entry=known,
        priced=entry is not None,
        tier="default",
        input_tokens=tokens,
    )
    encoded = _encoded(vectors, body.get("encoding_format") or "float")
    reply = {
        "object": "list",
        "model": model,
        "data": [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(encoded)
        ],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return await delivery.whole(WholeReply(body=json.dumps(reply).encode(), tokens=0))


def _counts(inputs: list[str | list[int]], coder: Encoder, window: int) -> list[int]:
    counts = [len(i) if isinstance(i, list) else len(coder.encode(i)) for i in inputs]
    if max(counts) > window:
        raise bad_request(
            f"This model's maximum context length is {window} tokens, however you "
            f"requested {max(counts)} tokens.",
            "input",
            "context_length_exceeded",
        )
    return counts


def _embed(desk: Desk, texts: list[str], dimensions: int | None) -> np.ndarray:
    if desk.embedder is None:
        return embed(texts, dimensions or desk.settings.dimensions)
    vectors = np.asarray(desk.embedder(texts), dtype=np.float32)
    if dimensions is None or dimensions == vectors.shape[1]:
        return vectors
    shortened = vectors[:, :dimensions]
    lengths = np.linalg.norm(shortened, axis=1, keepdims=True)
    return np.asarray(shortened / lengths)


def _text(item: str | list[int], coder: Encoder) -> str:
    if isinstance(item, str):
        return item
    text = coder.decode(item)
    if text is None:
        raise bad_request(
            "'input' holds token ids that cannot be decoded"
            + ("." if coder.exact else ": the rank file of cl100k_base is missing."),
            "input",
        )
    return text


def _inputs(value: object) -> list[str | list[int]]:
    """Return the inputs: texts, or lists of token ids."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        raise bad_request(
            "Invalid 'input': expected a string, an array of strings or of tokens.",
            "input",
        )
    items = [value] if all(_is_token(item) for item in value) else value
    if len(items) > _MAX_INPUTS:
        raise bad_request(
            f"Invalid 'input': at most {_MAX_INPUTS} inputs per request.", "input"
        )
    for item in items:
        tokens = isinstance(item, list) and item and all(map(_is_token, item))
        if not (isinstance(item, str) or tokens):
            raise bad_request(f"Invalid 'input': {item!r} is no text.", "input")
    return items


def _is_token(item: object) -> bool:
    return isinstance(item, int) and not isinstance(item, bool)


def _dimensions(value: object) -> int | None:
    if value is None:
        return None
    if not _is_token(value) or not 1 <= value <= 4096:  # type: ignore[operator]  # noqa: PLR2004
        raise bad_request(f"Invalid 'dimensions': {value!r}.", "dimensions")
    return value  # type: ignore[return-value]


def _encoded(vectors: np.ndarray, form: str) -> list[Any]:
    if form == "base64":
        return [b64encode(v.astype("<f4").tobytes()).decode() for v in vectors]
    return list(vectors.tolist())
