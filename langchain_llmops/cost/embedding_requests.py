"""One request for embeddings, from its start to the call that is booked for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from langchain_llmops.cost.embedding import EmbeddingCall
from langchain_llmops.cost.failures import may_be_billed
from langchain_llmops.pricing.usage import token_count
from langchain_llmops.tokens import TokenCounter

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.embeddings import Embeddings

    from langchain_llmops.cost.charge import Basis
    from langchain_llmops.cost.embedding import EmbeddingTracker

__all__ = ["EmbeddingRequest", "metered", "model_name", "provider_name"]

_MODEL_FIELDS = ("model", "model_name", "model_id")


@dataclass(slots=True, kw_only=True)
class EmbeddingRequest:
    """A request under way: enter it around the call, then say what it used.

    Leaving it with an error books that: `refused` where nobody bills it, else
    `unsettled`.

    Attributes:
        tracker: Who keeps account.
        requested: The model that was asked for.
        provider: Who serves it.
        metadata: What it is for.
        clock: Seconds since the epoch.
        timer: Seconds on a clock that never goes backwards.
    """

    tracker: EmbeddingTracker
    requested: str | None
    provider: str | None
    metadata: Mapping[str, Any]
    clock: Callable[[], float]
    timer: Callable[[], float]
    _started_at: float = field(default=0.0, init=False)
    _began: float = field(default=0.0, init=False)
    _ended: float = field(default=0.0, init=False)

    def __enter__(self) -> Self:
        self._started_at = self.clock()
        self._began = self.timer()
        return self

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        self._ended = self.timer()
        if error is not None:
            basis: Basis = "unsettled" if may_be_billed(error) else "refused"
            self._book(basis, error=type(error).__name__)

    def count(self, texts: object) -> None:
        """Book a request that nobody counted: its tokens are counted here.

        Args:
            texts: What went in: a text, token ids, or a list of either.
        """
        if tokens := _tokens(texts, TokenCounter(self.requested or "")):
            self._book("estimated", tokens)

    def settle(self, response: object, texts: object) -> None:
        """Book what a response of OpenAI's reports, or what is counted if it is silent.

        Args:
            response: Its object or dictionary.
            texts: What went in.
        """
        tokens = token_count(_entry(_entry(response, "usage"), "prompt_tokens"))
        if tokens:
            model = _entry(response, "model")
            named = model if model and isinstance(model, str) else None
            self._book("reported", tokens, model=named)
        else:
            self.count(texts)

    def _book(
        self,
        basis: Basis,
        tokens: int = 0,
        *,
        model: str | None = None,
        error: str | None = None,
    ) -> None:
        self.tracker.book_embedding(
            EmbeddingCall(
                basis=basis,
                tokens=tokens,
                model=model,
                requested=self.requested,
                provider=self.provider,
                metadata=self.metadata,
                started_at=self._started_at,
                duration_s=max(0.0, self._ended - self._began),
                error=error,
            )
        )


class _MeteredClient:
    """OpenAI's embeddings resource; each of its answers is booked."""

    def __init__(self, client: Any, request: Callable[[], EmbeddingRequest]) -> None:
        self._client = client
        self._request = request

    def create(self, **asked: Any) -> Any:
        with self._request() as request:
            response = self._client.create(**asked)
        request.settle(response, asked.get("input"))
        return response


class _MeteredAsyncClient(_MeteredClient):
    async def create(self, **asked: Any) -> Any:
        with self._request() as request:
            response = await self._client.create(**asked)
        if _entry(response, "usage") is None:
            await asyncio.to_thread(request.count, asked.get("input"))
        else:
            request.settle(response, asked.get("input"))
        return response


def metered(
    embeddings: Embeddings, request: Callable[[], EmbeddingRequest]
) -> Any | None:
    """Return a twin of OpenAI's embeddings whose client books each of its answers.

    LangChain's class drops the usage that the client returns; the client is a declared
    field, so that a copy with another one needs no patch.

    Args:
        embeddings: The model; it stays as it is.
        request: Makes the request that is booked.

    Returns:
        `None` for models of other kinds.
    """
    if _openai_class(embeddings) is None:
        return None
    model: Any = embeddings
    clients = {
        "client": model.client and _MeteredClient(model.client, request),
        "async_client": model.async_client
        and _MeteredAsyncClient(model.async_client, request),
    }
    return model.model_copy(update=clients)


def model_name(embeddings: Embeddings) -> str | None:
    """Return the model that embeddings are asked of, if a usual field says."""
    names = (getattr(embeddings, name, None) for name in _MODEL_FIELDS)
    return next((name for name in names if name and isinstance(name, str)), None)


def provider_name(embeddings: Embeddings) -> str:
    """Return who serves embeddings, by their class, as core does for chat models."""
    name = (_openai_class(embeddings) or type(embeddings)).__name__
    return name.removesuffix("Embeddings").removesuffix("OpenAI").lower() or "openai"


def _openai_class(embeddings: Embeddings) -> type | None:
    """Return the class of langchain_openai that embeddings are, if of any.

    By name: that package takes two seconds to import, and nobody has imported it where
    the model is another's.
    """
    classes = type(embeddings).__mro__
    ours = (cls for cls in classes if cls.__module__.startswith("langchain_openai."))
    return next(ours, None)


def _tokens(texts: object, counter: TokenCounter) -> int:
    if isinstance(texts, str):
        return counter.count(texts)
    if not isinstance(texts, list):
        return 0
    if texts and isinstance(texts[0], int):
        return len(texts)
    return sum(_tokens(text, counter) for text in texts)


def _entry(holder: object, name: str) -> object:
    if isinstance(holder, Mapping):
        return holder.get(name)
    return getattr(holder, name, None)
