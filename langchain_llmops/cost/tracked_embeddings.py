"""`TrackedEmbeddings`: what embeddings cost, which no callback tells."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from langchain_core.embeddings import Embeddings
from langchain_core.runnables.config import var_child_runnable_config
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from langchain_llmops.cost.embedding_requests import (
    EmbeddingRequest,
    metered,
    model_name,
    provider_name,
)
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langchain_llmops.cost.embedding import EmbeddingTracker

__all__ = ["TrackedEmbeddings"]


class TrackedEmbeddings(BaseModel, Embeddings):
    """Embed as before, and book each request's tokens and price with a tracker.

    OpenAI's embeddings (Azure's too) are booked from the provider's own count, one
    charge for each request that their client makes, so that the report equals the
    invoice. Others keep that count to themselves: one charge per call is booked from
    the tokens counted here, by tiktoken where it knows the model, and flagged
    `estimated`.

    A request that the provider refused is billed nothing; one whose end is unknown
    (timed out, cancelled) is booked as `unsettled`. Errors reach the caller as they
    are. What a client repeats by itself is seen as one request.

    Wrap the model itself and cache around it, so that only what is paid for is
    counted: `CachedEmbeddings(TrackedEmbeddings(model, costs))`. Booking takes some
    twenty microseconds per request, without I/O; counting tokens 50 ms per megabyte,
    off the event loop. Safe across threads and event loops, if the model is.

    Args:
        embeddings: The model.
        tracker: Who keeps account: a `CostCallbackHandler`, which also writes its
            ledger, or a `MetricsCallbackHandler`.
        metadata: What embeddings are for (`feature`, `tenant`, `user`) where no chain
            around the call says so in its `config["metadata"]`.
        clock: Seconds since the epoch.
        timer: Seconds on a clock that never goes backwards.

    Raises:
        ConfigurationError: `embeddings` are none, or `tracker` cannot book them.

    Example:
        ```python
        from langchain_core.embeddings import DeterministicFakeEmbedding
        from langchain_llmops import CostCallbackHandler, TrackedEmbeddings

        costs = CostCallbackHandler()
        model = DeterministicFakeEmbedding(size=8)
        embeddings = TrackedEmbeddings(model, costs, metadata={"feature": "ingest"})
        embeddings.embed_documents(["Tea is steeped.", "Coffee is brewed."])
        report = costs.report().by_feature["ingest"]
        assert (report.calls, report.estimated, report.unpriced) == (1, 1, 1)
        ```
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    embeddings: Embeddings
    # What is excluded changes no embedding: caches leave it out of their keys.
    tracker: Any = Field(exclude=True)
    metadata: dict[str, Any] = Field(default_factory=dict, exclude=True)
    _clock: Callable[[], float] = PrivateAttr(default=time.time)
    _timer: Callable[[], float] = PrivateAttr(default=time.perf_counter)

    def __init__(
        self,
        embeddings: Embeddings,
        tracker: EmbeddingTracker,
        *,
        metadata: Mapping[str, Any] | None = None,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        if not isinstance(embeddings, Embeddings):
            raise ConfigurationError(
                f"embeddings={embeddings!r} are none: pass a LangChain `Embeddings`"
            )
        if not callable(getattr(tracker, "book_embedding", None)):
            raise ConfigurationError(
                f"tracker={tracker!r} cannot book embeddings: "
                "pass a CostCallbackHandler() or a MetricsCallbackHandler()"
            )
        super().__init__(
            embeddings=embeddings, tracker=tracker, metadata=dict(metadata or {})
        )
        self._clock = clock
        self._timer = timer

    def embed_documents(self, texts: list[str], **kwargs: Any) -> list[list[float]]:
        """Return the embedding of each text; books what they cost."""
        if twin := metered(self.embeddings, self._request):
            return twin.embed_documents(texts, **kwargs)  # type: ignore[no-any-return]
        with self._request() as request:
            vectors = self.embeddings.embed_documents(texts, **kwargs)
        request.count(texts)
        return vectors

    async def aembed_documents(
        self, texts: list[str], **kwargs: Any
    ) -> list[list[float]]:
        """Return what `embed_documents` returns; never blocks the event loop."""
        if twin := metered(self.embeddings, self._request):
            return await twin.aembed_documents(texts, **kwargs)  # type: ignore[no-any-return]
        with self._request() as request:
            vectors = await self.embeddings.aembed_documents(texts, **kwargs)
        await asyncio.to_thread(request.count, texts)
        return vectors

    def embed_query(self, text: str, **kwargs: Any) -> list[float]:
        """Return the embedding of a question; books what it costs."""
        if twin := metered(self.embeddings, self._request):
            return twin.embed_query(text, **kwargs)  # type: ignore[no-any-return]
        with self._request() as request:
            vector = self.embeddings.embed_query(text, **kwargs)
        request.count(text)
        return vector

    async def aembed_query(self, text: str, **kwargs: Any) -> list[float]:
        """Return what `embed_query` returns; never blocks the event loop."""
        if twin := metered(self.embeddings, self._request):
            return await twin.aembed_query(text, **kwargs)  # type: ignore[no-any-return]
        with self._request() as request:
            vector = await self.embeddings.aembed_query(text, **kwargs)
        await asyncio.to_thread(request.count, text)
        return vector

    def _request(self) -> EmbeddingRequest:
        return EmbeddingRequest(
            tracker=self.tracker,
            requested=model_name(self.embeddings),
            provider=provider_name(self.embeddings),
            metadata={**self.metadata, **_metadata_around()},
            clock=self._clock,
            timer=self._timer,
        )


def _metadata_around() -> Mapping[str, Any]:
    """Return the metadata of the chain that this call is made in, if it is in one."""
    config = var_child_runnable_config.get()
    return (config or {}).get("metadata") or {}
