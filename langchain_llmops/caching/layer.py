"""`CacheLayer`: a cache around one model's calls, its streams included."""

from __future__ import annotations

import logging
import warnings
from contextlib import aclosing, closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, TypeGuard, cast

from langchain_core.outputs import ChatResult
from pydantic import BaseModel, ValidationError

from langchain_llmops.caching.flight.lease import LeaseKeeper
from langchain_llmops.caching.flight.single_flight import SingleFlight
from langchain_llmops.caching.requests.canonical import NotCanonicalError
from langchain_llmops.caching.requests.keys import asks_for_several, request_from_call
from langchain_llmops.caching.values.chunks import ChunkCollector, replayed_chunks
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.models.base import ModelLayer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGeneration, ChatGenerationChunk

    from langchain_llmops.caching.base import AnswerCache, CacheHit, CacheRequest
    from langchain_llmops.caching.flight.lease import FlightLease
    from langchain_llmops.caching.flight.single_flight import Seat
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

    Identical calls that come at the same time, from threads and event loops, make one
    model call (*single flight*): the first leads, the others read its answer once it is
    stored. If the first fails or is cancelled, or its stream is abandoned, one of the
    others leads next; each gets its own error. If the answer must not be stored, all
    others call the model at once. A synchronous call on a thread whose event loop runs
    never waits. Followers of a stream get nothing before its end. Calls that bypass the
    cache or store nothing share with nobody.

    An answer past its `soft_ttl` is served to all but one of those who ask: that one
    asks the model, and what it gets is remembered. Where the model fails before the
    first chunk, an answer within `stale_if_error` takes the place of the error.

    Switches of one call: see `langchain_llmops.caching.requests.keys`. The layer turns
    off the `cache` of the model itself, which would store hits once more. Safe across
    threads and event loops. Calls share through one layer object: keep it, as you keep
    the cache.

    Args:
        cache: A `TieredCache` or `SemanticCache`.
        single_flight: `True` for calls at temperature 0 or with a seed; `"always"` for
            others too, which then get one sample between them; `False` for none.
        store_if: Asked for each message that is about to be stored; `False` keeps the
            answer out. If it raises, the answer is not stored, which is logged once.
        lease: Extends single flight to all processes that share this lease and a tier:
            a `RedisLease` or `SQLiteLease`. A call that misses then costs two more
            operations of that store.
        max_wait_s: Seconds that a call waits for another before it calls the model
            itself.

    Raises:
        ConfigurationError: It is another kind of cache, `single_flight` is unknown, or
            `max_wait_s` is not positive.

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

    def __init__(
        self,
        cache: AnswerCache,
        *,
        single_flight: bool | Literal["always"] = True,
        store_if: Callable[[BaseMessage], bool] | None = None,
        lease: FlightLease | None = None,
        max_wait_s: float = 60.0,
    ) -> None:
        if not all(hasattr(cache, name) for name in ("get", "aget", "put", "aput")):
            raise ConfigurationError(
                f"CacheLayer cannot use {cache!r}: give it a TieredCache or a "
                "SemanticCache; any other BaseCache goes to the model, as cache=…"
            )
        if single_flight not in (True, False, "always"):
            raise ConfigurationError(
                f"single_flight={single_flight!r} is unknown: "
                'use True, False or "always"'
            )
        self._cache = cache
        self._collapse = single_flight
        self._store_if = store_if
        leases = None if lease is None else LeaseKeeper(lease, max_wait_s=max_wait_s)
        self._flights = SingleFlight(max_wait_s=max_wait_s, leases=leases)
        # What `stale_if_error` keeps; not every cache keeps something.
        self._fallback: Callable[[CacheRequest], CacheHit | None] | None = getattr(
            cache, "fallback", None
        )
        self._afallback: Callable[[CacheRequest], Awaitable[CacheHit | None]] | None = (
            getattr(cache, "afallback", None)
        )
        self._told: set[str] = set()

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
        since = self._flights.landings
        hit, stale = self._look(request)
        if hit is not None:
            return ChatResult(generations=_answers(hit, call))
        with self._flights.seat(self._flight(request), since=since) as seat:
            hit = self._cache.get(_exact(request)) if seat.look_again else None
            if _serves(hit, stale):
                seat.end(committed=True)
                return ChatResult(generations=_answers(hit, call))
            try:
                result = handler(call)
            except Exception:
                spare = self._spare(request, stale)
                if spare is None:
                    raise
                return ChatResult(generations=_answers(spare, call))
            self._commit(request, _complete(result), seat)
        return result

    async def agenerate(self, call: ModelCall, handler: AgenerateHandler) -> ChatResult:
        """Answer as `generate` does, on an event loop."""
        request = self._request(call)
        if request is None:
            return await handler(call)
        since = self._flights.landings
        hit, stale = await self._alook(request)
        if hit is not None:
            return ChatResult(generations=_answers(hit, call))
        async with self._flights.seat(self._flight(request), since=since) as seat:
            hit = await self._cache.aget(_exact(request)) if seat.look_again else None
            if _serves(hit, stale):
                seat.end(committed=True)
                return ChatResult(generations=_answers(hit, call))
            try:
                result = await handler(call)
            except Exception:
                spare = await self._aspare(request, stale)
                if spare is None:
                    raise
                return ChatResult(generations=_answers(spare, call))
            await self._acommit(request, _complete(result), seat)
        return result

    def stream(
        self, call: ModelCall, handler: StreamHandler
    ) -> Iterator[ChatGenerationChunk]:
        """Replay from the cache in chunks, or stream and remember a clean end."""
        request = self._request(call, streams=True)
        if request is None:
            yield from handler(call)
            return
        since = self._flights.landings
        hit, stale = self._look(request)
        if hit is None:
            with self._flights.seat(self._flight(request), since=since) as seat:
                hit = self._cache.get(_exact(request)) if seat.look_again else None
                if _serves(hit, stale):
                    seat.end(committed=True)
                else:
                    collector = ChunkCollector()
                    try:
                        with closing(handler(call)) as chunks:
                            for chunk in chunks:
                                collector.add(chunk)
                                yield chunk
                    except Exception:
                        hit = self._spare(request, stale)
                        if hit is None or collector.started:
                            raise
                    else:
                        # Reached only when the stream ended by itself.
                        hit = None
                        self._commit(request, collector.generations(), seat)
        if hit is not None:
            yield from replayed_chunks(_answers(hit, call)[0])

    async def astream(  # noqa: C901 - one generator: each hop costs per chunk
        self, call: ModelCall, handler: AstreamHandler
    ) -> AsyncIterator[ChatGenerationChunk]:
        """Stream as `stream` does, on an event loop."""
        request = self._request(call, streams=True)
        if request is None:
            async with aclosing(handler(call)) as chunks:
                async for chunk in chunks:
                    yield chunk
            return
        since = self._flights.landings
        hit, stale = await self._alook(request)
        if hit is None:
            async with self._flights.seat(self._flight(request), since=since) as seat:
                if seat.look_again:
                    hit = await self._cache.aget(_exact(request))
                if _serves(hit, stale):
                    seat.end(committed=True)
                else:
                    collector = ChunkCollector()
                    try:
                        async with aclosing(handler(call)) as chunks:
                            async for chunk in chunks:
                                collector.add(chunk)
                                yield chunk
                    except Exception:
                        hit = await self._aspare(request, stale)
                        if hit is None or collector.started:
                            raise
                    else:
                        # Reached only when the stream ended by itself.
                        hit = None
                        await self._acommit(request, collector.generations(), seat)
        if hit is not None:
            for chunk in replayed_chunks(_answers(hit, call)[0]):
                yield chunk

    def _look(self, request: CacheRequest) -> tuple[CacheHit | None, CacheHit | None]:
        """Return what to serve, and what to serve should the model fail."""
        return _turns(self._cache.get(request) if request.read else None)

    async def _alook(
        self, request: CacheRequest
    ) -> tuple[CacheHit | None, CacheHit | None]:
        return _turns(await self._cache.aget(request) if request.read else None)

    def _request(
        self, call: ModelCall, *, streams: bool = False
    ) -> CacheRequest | None:
        if streams and asks_for_several(call):
            return None  # a stream carries one answer
        try:
            return request_from_call(call)
        except NotCanonicalError as error:
            name = type(call.model).__name__
            self._tell("key", f"calls of {name} are not cached: {error}")
            return None

    def _spare(self, request: CacheRequest, stale: CacheHit | None) -> CacheHit | None:
        """Return what to serve instead of the model's error, if there is something."""
        if stale is not None or self._fallback is None or not request.read:
            return stale
        return self._fallback(request)

    async def _aspare(
        self, request: CacheRequest, stale: CacheHit | None
    ) -> CacheHit | None:
        if stale is not None or self._afallback is None or not request.read:
            return stale
        return await self._afallback(request)

    def _flight(self, request: CacheRequest) -> str | None:
        """Return the key of the flight that a call shares, if it shares one."""
        # Whoever must not store has nothing to give to the others.
        shares = request.read and request.store
        if self._collapse == "always":
            return request.key if shares else None
        return (
            request.key if shares and self._collapse and request.deterministic else None
        )

    def _commit(
        self, request: CacheRequest, answers: list[ChatGeneration], seat: Seat
    ) -> None:
        stores = request.store and self._wanted(answers)
        seat.end(committed=stores and self._cache.put(request, answers))

    async def _acommit(
        self, request: CacheRequest, answers: list[ChatGeneration], seat: Seat
    ) -> None:
        stores = request.store and self._wanted(answers)
        seat.end(committed=stores and await self._cache.aput(request, answers))

    def _wanted(self, answers: list[ChatGeneration]) -> bool:
        if self._store_if is None:
            return True
        try:
            return all(self._store_if(answer.message) for answer in answers)
        except Exception as error:  # noqa: BLE001 - a paid answer is not lost to it
            problem = f"{type(error).__name__}: {error}"
            self._tell(
                "store_if", f"an answer is not cached, store_if raised {problem}"
            )
            return False

    def _tell(self, what: str, problem: str) -> None:
        if what not in self._told:
            self._told.add(what)
            logger.warning(problem)


def _turns(hit: CacheHit | None) -> tuple[CacheHit | None, CacheHit | None]:
    """Tell an answer to serve from one that the caller is to refresh.

    Of all who find a stale answer one is told to refresh it: that one asks the model.
    """
    return (None, hit) if hit is not None and hit.refresh else (hit, None)


def _serves(hit: CacheHit | None, stale: CacheHit | None) -> TypeGuard[CacheHit]:
    """Return whether a second look ends the matter: who refreshes wants a fresh one."""
    return hit is not None and not (hit.stale and stale is not None)


def _exact(request: CacheRequest) -> CacheRequest:
    """Return the request for a second look: its like was searched in the first."""
    return replace(request, question=None)


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
