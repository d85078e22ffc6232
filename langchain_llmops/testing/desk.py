"""What one running provider knows: settings, faults, books, and who asked what before.

Everything here belongs to the provider's event loop, except what is said to be safe
from any thread.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from langchain_llmops.testing.encoder import encoder
from langchain_llmops.testing.faults import Pace, Situation, SlowTokens, latency_of
from langchain_llmops.testing.prompt_cache import PromptCache

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike

    from langchain_llmops.testing.encoder import Encoder
    from langchain_llmops.testing.exchange import Books, Exchange
    from langchain_llmops.testing.faults import Endpoint, Fault, Latency

__all__ = ["Desk", "Draw", "Embedder", "ProviderSettings", "Script"]

Script: TypeAlias = "Callable[[Sequence[Mapping[str, Any]]], str]"
"""Writes an answer, given the messages as they were sent."""

Embedder: TypeAlias = "Callable[[Sequence[str]], ArrayLike]"
"""Turns texts into vectors, one row each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """How a `LocalProvider` differs from the usual one.

    Args:
        api_key: Refuse requests with another key (401); `None` accepts any.
        strict: Refuse models that are not on the price list (404) instead of serving
            them at gpt-4o's prices.
        prompt_caching: Bill repeated prefixes of 1,024 tokens and more as cached
            input, as OpenAI does.
        reasoning_tokens: Hidden tokens that reasoning models (o-series, gpt-5) write
            before they answer.
        dimensions: Length of embeddings whose request does not say.
    """

    api_key: str | None = None
    strict: bool = False
    prompt_caching: bool = False
    reasoning_tokens: int = 0
    dimensions: int = 384


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """What fate has in store for one request.

    Args:
        pace: How fast it is answered.
        fault: What goes wrong.
        rng: For everything else about it that varies.
        id: Hexadecimal id, unique in this provider and the same in its next run.
    """

    pace: Pace
    fault: Fault | None
    rng: random.Random
    id: str


@dataclass(slots=True, eq=False)
class _Injected:
    fault: Fault
    count: int = 0


@dataclass(slots=True, kw_only=True, eq=False)
class Desk:
    """State of one provider.

    Args:
        settings: The provider's settings.
        seed: Where all chance comes from.
        latency: How fast it answers, for all models or by name pattern.
        script: Answers in place of the context.
        embedder: Embeds in place of the lexical vectors.
        sleep: How to wait.
        books: Where requests are written down.
    """

    settings: ProviderSettings
    seed: int
    latency: Latency | Mapping[str, Latency]
    script: Script | None
    embedder: Embedder | None
    sleep: Callable[[float], Awaitable[None]]
    books: Books
    started: float
    faults: tuple[_Injected, ...] = ()
    asked: Counter[bytes] = field(default_factory=Counter)
    prompts: PromptCache = field(default_factory=PromptCache)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    coders: dict[str, Encoder] = field(default_factory=dict)

    async def coder(self, encoding: str) -> Encoder:
        """Return an encoder, read on another thread when it is wanted first."""
        if encoding not in self.coders:
            self.coders[encoding] = await asyncio.to_thread(encoder, encoding)
        return self.coders[encoding]

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Know the current task, so that it can be cancelled when the provider stops.

        aiohttp would first wait for it; a hung stream would make it wait in vain.
        """
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self.tasks.add(task)
        try:
            yield
        finally:
            self.tasks.discard(task)

    def inject(self, *faults: Fault) -> None:
        """Add faults; from any thread, seen by the next request."""
        self.faults = (*self.faults, *map(_Injected, faults))

    def reset(self, books: Books) -> None:
        """Start new books and forget who asked what; from any thread."""
        self.books = books
        self.asked = Counter()
        self.prompts = PromptCache()

    def draw(self, exchange: Exchange, endpoint: Endpoint, body: bytes) -> Draw:
        """Decide about a request.

        Chance depends on the seed, the body and how often the body came before: on
        nothing that concurrency could reorder.
        """
        digest = blake2b(body, key=str(self.seed).encode()[:64], digest_size=12)
        self.asked[digest.digest()] += 1
        turn = self.asked[digest.digest()]
        name = f"{digest.hexdigest()}{turn:04x}"
        rng = random.Random(name)  # noqa: S311 - chance that repeats is the point
        pace = latency_of(self.latency, exchange.model).draw(rng)
        situation = Situation(
            endpoint=endpoint,
            model=exchange.model,
            elapsed_s=self.books.clock() - self.started,
            active=len(self.books.open),
        )
        fault = self._strike(situation, rng)
        if isinstance(fault, SlowTokens):
            pace = Pace(
                first_token_s=fault.first_token_s, tokens_per_s=fault.tokens_per_s
            )
        exchange.fault = type(fault).__name__ if fault else None
        return Draw(pace=pace, fault=fault, rng=rng, id=name)

    def _strike(self, situation: Situation, rng: random.Random) -> Fault | None:
        struck = None
        for injected in self.faults:
            draw = rng.random()
            if not injected.fault.concerns(situation):
                continue
            injected.count += 1
            if struck is None and injected.fault.strikes(
                situation, count=injected.count, draw=draw
            ):
                struck = injected.fault
        return struck
