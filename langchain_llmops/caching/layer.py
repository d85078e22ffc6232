"""`CacheLayer`: a cache around one model's calls, its streams included."""

from __future__ import annotations

import logging
import warnings
from contextlib import aclosing, closing, suppress
from typing import TYPE_CHECKING, Any, cast

from langchain_core.outputs import ChatResult
from pydantic import BaseModel, ValidationError

from langchain_llmops.caching.canonical import NotCanonicalError
from langchain_llmops.caching.chunks import ChunkCollector, replayed_chunks
from langchain_llmops.caching.keys import asks_for_several, request_from_call
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.models.base import ModelLayer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from langchain_core.language_models import BaseChatModel
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk

    from langchain_llmops.caching.base import AnswerCache, CacheHit, CacheRequest
    from langchain_llmops.models.base import (
        AgenerateHandler,
        AstreamHandler,
        GenerateHandler,
        ModelCall,
        StreamHandler,
    )

__all__ = ["CacheLayer"]

logger = logging.getLogger(__name__)


class CacheLayer(ModelLayer):
    """Answer a model's calls out of a cache, in every mode.

    A layer sees what LangChain's own cache hook does not: streams, the config of the
    call (so that tenants never share), tools and schemas as objects. `invoke`,
    `stream`, their async twins and `batch` share their answers. What is stored: answers
    that ended cleanly; never a stream that was cut or abandoned, an empty or withheld
    answer, or one that reports on a failed tool. A hit takes no rate of the model's
    `rate_limiter`, and its usage is zero.

    Switches of one call: see `langchain_llmops.caching.keys`. The layer turns off the
    `cache` of the model itself, which would store hits once more. Safe across threads
    and event loops.

    Args:
        cache: A `TieredCache` or `SemanticCache`.

    Raises:
        ConfigurationError: It is another kind of cache.

    Example:
        ```python
        from langchain_core.language_models import FakeListChatModel
        from langchain_llmops import CacheLayer, TieredCache, with_layers

        model = FakeListChatModel(responses=["4"])
        model = with_layers(model, CacheLayer(TieredCache()))
        model.invoke("2 + 2 = ?")
        assert "".join(c.text for c in model.stream("2 + 2 = ?")) == "4"
        ```
    """

    def __init__(self, cache: AnswerCache) -> None:
        if not all(hasattr(cache, name) for name in ("get", "aget", "put", "aput")):
            raise ConfigurationError(
                f"CacheLayer cannot use {cache!r}: give it a TieredCache or a "
                "SemanticCache; any other BaseCache goes to the model, as cache=…"
            )
        self._cache = cache
        self._told = False

    def attach(self, model: BaseChatModel) -> Mapping[str, Any]:
        """Turn off the model's own cache, with a warning if it had one."""
        if model.cache:
            warnings.warn(
                f"CacheLayer takes the place of cache={model.cache!r} on "
                f"{type(model).__name__}: remove that one",
                stacklevel=3,
            )
        return {"cache": False}

    def generate(self, call: ModelCall, handler: GenerateHandler) -> ChatResult:
        """Answer from the cache, or from the model and remember it."""
        request = self._request(call)
        if request is None:
            return handler(call)
        hit = self._cache.get(request) if request.read else None
        if hit is not None:
            return ChatResult(generations=_answers(hit, call))
        result = handler(call)
        if request.store:
            self._cache.put(request, _complete(result))
        return result

    async def agenerate(self, call: ModelCall, handler: AgenerateHandler) -> ChatResult:
        """Answer as `generate` does, on an event loop."""
        request = self._request(call)
        if request is None:
            return await handler(call)
        hit = await self._cache.aget(request) if request.read else None
        if hit is not None:
            return ChatResult(generations=_answers(hit, call))
        result = await handler(call)
        if request.store:
            await self._cache.aput(request, _complete(result))
        return result

    def stream(
        self, call: ModelCall, handler: StreamHandler
    ) -> Iterator[ChatGenerationChunk]:
        """Replay from the cache in chunks, or stream and remember a clean end."""
        request = None if asks_for_several(call) else self._request(call)
        hit = self._cache.get(request) if request and request.read else None
        if hit is not None:
            yield from replayed_chunks(_answers(hit, call)[0])
            return
        collector = ChunkCollector()
        with closing(handler(call)) as chunks:
            for chunk in chunks:
                collector.add(chunk)
                yield chunk
        # Reached only when the stream ended by itself.
        if request is not None and request.store:
            self._cache.put(request, collector.generations())

    async def astream(
        self, call: ModelCall, handler: AstreamHandler
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Stream as `stream` does, on an event loop."""
        request = None if asks_for_several(call) else self._request(call)
        hit = await self._cache.aget(request) if request and request.read else None
        if hit is not None:
            for chunk in replayed_chunks(_answers(hit, call)[0]):
                yield chunk
            return
        collector = ChunkCollector()
        async with aclosing(handler(call)) as chunks:
            async for chunk in chunks:
                collector.add(chunk)
                yield chunk
        # Reached only when the stream ended by itself.
        if request is not None and request.store:
            await self._cache.aput(request, collector.generations())

    def _request(self, call: ModelCall) -> CacheRequest | None:
        try:
            return request_from_call(call)
        except NotCanonicalError as error:
            if not self._told:
                self._told = True
                logger.warning(
                    "calls of %s are not cached: %s", type(call.model).__name__, error
                )
            return None


def _complete(result: ChatResult) -> list[ChatGeneration]:
    """Return the answers with what the provider said of all of them together.

    Core adds it only after the layers; a hit has nowhere else to take it from.
    """
    return [
        generation.model_copy(
            update={
                "message": generation.message.model_copy(
                    update={
                        "response_metadata": {
                            **(result.llm_output or {}),
                            **generation.message.response_metadata,
                        }
                    }
                )
            }
        )
        for generation in result.generations
    ]


def _answers(hit: CacheHit, call: ModelCall) -> list[ChatGeneration]:
    generations = cast("list[ChatGeneration]", hit.generations)
    schema = call.kwargs.get("response_format")
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        for generation in generations:
            _revive_parsed(generation.message.additional_kwargs, schema)
    return generations


def _revive_parsed(additional: dict[str, Any], schema: type[BaseModel]) -> None:
    """Put the object back that the client parses structured output into."""
    if isinstance(additional.get("parsed"), dict):
        # What the schema refuses by now, it also refuses from the provider: the
        # caller's parser says so.
        with suppress(ValidationError):
            additional["parsed"] = schema.model_validate(additional["parsed"])
