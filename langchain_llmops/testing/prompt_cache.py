"""OpenAI's automatic prompt caching: a long prefix that was seen before costs less."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_llmops.testing.chat_request import ChatRequest
    from langchain_llmops.testing.encoder import Encoder

__all__ = ["PromptCache", "prompt_tokens"]

_SHORTEST, _STEP = 1024, 128
_CAPACITY = 200_000


class PromptCache:
    """Prefixes of prompts, in steps of 128 tokens from 1,024 tokens on."""

    def __init__(self) -> None:
        # A dictionary keeps the order of arrival, so the oldest can be dropped first.
        self._known: dict[bytes, None] = {}

    def cached_tokens(self, model: str, tokens: Sequence[int]) -> int:
        """Return how many leading tokens are known, and remember all of them."""
        digest = blake2b(model.encode(), digest_size=16)
        known, hit = 0, True
        for end in range(_SHORTEST, len(tokens) + 1, _STEP):
            start = 0 if end == _SHORTEST else end - _STEP
            digest.update(b",".join(b"%d" % token for token in tokens[start:end]))
            key = digest.digest()
            hit = hit and key in self._known
            known = end if hit else known
            self._known[key] = None
        while len(self._known) > _CAPACITY:
            del self._known[next(iter(self._known))]
        return known


def prompt_tokens(request: ChatRequest, coder: Encoder) -> list[int]:
    """Return the tokens of a request in the order in which prefixes are compared."""
    parts = [request.raw.get("tools"), request.raw.get("response_format")]
    parts += [message.body for message in request.messages]
    return [token for part in parts if part for token in coder.encode(json.dumps(part))]
