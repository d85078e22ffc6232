"""`CacheLayer`: a cache around one model's calls, its streams included."""

from __future__ import annotations

import logging
import time
import warnings
from contextlib import aclosing, closing
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeGuard

from langchain_core.outputs import ChatResult

from langchain_llmops.caching.counter import CacheCounter
from langchain_llmops.caching.flight.lease import LeaseKeeper
from langchain_llmops.caching.flight.single_flight import SingleFlight
from langchain_llmops.caching.requests.canonical import NotCanonicalError
from langchain_llmops.caching.requests.keys import asks_for_several, request_from_call
from langchain_llmops.caching.substitutes import Substitutes
from langchain_llmops.caching.values.chunks import ChunkCollector, replayed_chunks
from langchain_llmops.caching.values.results import complete_answers, hit_answers
from langchain_llmops.errors import ConfigurationError
from langchain_llmops.models.base import ModelLayer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

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

_NEGATIVE_TTL: Final = timedelta(seconds=10)


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

    A request that was refused for what it is gets the same error again for a moment,
    without a model call: a copy with a note, remembered in this process only, until
    `clear` or any `invalidate` of the cache. What the layer does is counted in
    `cache.stats()`.

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
        negative_ttl: How long an error that would come again is remembered: a prompt
            that is too long, a request that the provider refuses as invalid; never a
            rate limit, a timeout, bad credentials or a server error. `None` for none.
        clock: Seconds that only go up, for `negative_ttl`.

    Raises:
        ConfigurationError: It is another kind of cache, `single_flight` is unknown, or
            a time is not positive.

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
        negative_ttl: timedelta | None = _NEGATIVE_TTL,
        clock: Callable[[], float] = time.monotonic,
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
        # The exact answers may lie behind a step over questions: there is what both
        # remember of failures, and what they count.
        exact = getattr(cache, "tier", cache)
        self._counter: CacheCounter = getattr(exact, "counter", None) or CacheCounter()
        self._substitutes = Substitutes(
            cache,
            failures=getattr(exact, "failures", None),
            counter=self._counter,
            negative_s=_seconds(negative_ttl),
            clock=clock,
        )
        leases = None
        if lease is not None:
            failed = partial(self._counter.add, "lease_errors")
            leases = LeaseKeeper(lease, max_wait_s=max_wait_s, on_error=failed)
        self._flights = SingleFlight(max_wait_s=max_wait_s, leases=leases)
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
            return ChatResult(generations=hit_answers(hit, call))
        with self._flights.seat(self._flight(request), since=since) as seat:
            hit = self._cache.get(_again(request)) if seat.look_again else None
            if self._serves(hit, seat):
                return ChatResult(generations=hit_answers(hit, call))
            try:
                with self._substitutes.failing(request):
                    result = handler(call)
            except Exception:
                spare = self._substitutes.spare(request, stale)
                if spare is None:
                    raise
                return ChatResult(generations=hit_answers(spare, call))
            self._commit(request, complete_answers(result), seat)
        return result

    async def agenerate(self, call: ModelCall, handler: AgenerateHandler) -> ChatResult:
        """Answer as `generate` does, on an event loop."""
        request = self._request(call)
        if request is None:
            return await handler(call)
        since = self._flights.landings
        hit, stale = await self._alook(request)
        if hit is not None:
            return ChatResult(generations=hit_answers(hit, call))
        async with self._flights.seat(self._flight(request), since=since) as seat:
            hit = await self._cache.aget(_again(request)) if seat.look_again else None
            if self._serves(hit, seat):
                return ChatResult(generations=hit_answers(hit, call))
            try:
                with self._substitutes.failing(request):
                    result = await handler(call)
            except Exception:
                spare = await self._substitutes.aspare(request, stale)
                if spare is None:
                    raise
                return ChatResult(generations=hit_answers(spare, call))
            await self._acommit(request, complete_answers(result), seat)
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
                hit = self._cache.get(_again(request)) if seat.look_again else None
                if not self._serves(hit, seat):
                    collector = ChunkCollector()
                    try:
                        with (
                            self._substitutes.failing(request),
                            closing(handler(call)) as chunks,
                        ):
                            for chunk in chunks:
                                collector.add(chunk)
                                yield chunk
                    except Exception:
                        if collector.started:
                            raise
                        hit = self._substitutes.spare(request, stale)
                        if hit is None:
                            raise
                    else:
                        # Reached only when the stream ended by itself.
                        hit = None
                        self._commit(request, collector.generations(), seat)
        if hit is not None:
            yield from replayed_chunks(hit_answers(hit, call)[0])

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
                    hit = await self._cache.aget(_again(request))
                if not self._serves(hit, seat):
                    collector = ChunkCollector()
                    try:
                        with self._substitutes.failing(request):
                            async with aclosing(handler(call)) as chunks:
                                async for chunk in chunks:
                                    collector.add(chunk)
                                    yield chunk
                    except Exception:
                        if collector.started:
                            raise
                        hit = await self._substitutes.aspare(request, stale)
                        if hit is None:
                            raise
                    else:
                        # Reached only when the stream ended by itself.
                        hit = None
                        await self._acommit(request, collector.generations(), seat)
        if hit is not None:
            for chunk in replayed_chunks(hit_answers(hit, call)[0]):
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

    def _serves(self, hit: CacheHit | None, seat: Seat) -> TypeGuard[CacheHit]:
        """Return whether a second look ends the matter: only a fresh answer does."""
        if hit is not None and not hit.stale:
            seat.end(committed=True)
            return True
        if seat.took_over:
            self._counter.add("takeovers")
        return False

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
        stores = self._stores(request, answers)
        seat.end(committed=stores and self._cache.put(request, answers))

    async def _acommit(
        self, request: CacheRequest, answers: list[ChatGeneration], seat: Seat
    ) -> None:
        stores = self._stores(request, answers)
        seat.end(committed=stores and await self._cache.aput(request, answers))

    def _stores(self, request: CacheRequest, answers: list[ChatGeneration]) -> bool:
        self._substitutes.answered(request)
        if not request.store:
            self._counter.skip("tool_error" if request.tool_failed else "no_store")
            return False
        wanted = self._store_if is None or self._wanted(answers, self._store_if)
        if not wanted:
            self._counter.skip("store_if")
        return wanted

    def _wanted(
        self, answers: list[ChatGeneration], store_if: Callable[[BaseMessage], bool]
    ) -> bool:
        try:
            return all(store_if(answer.message) for answer in answers)
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


def _again(request: CacheRequest) -> CacheRequest:
    """Return the request for a second look: its like was searched in the first."""
    return replace(request, question=None, again=True)


def _seconds(negative_ttl: timedelta | None) -> float:
    if negative_ttl is None:
        return 0.0
    if negative_ttl <= timedelta(0):
        raise ConfigurationError(
            f"negative_ttl={negative_ttl!r} must be positive; None remembers no error"
        )
    return negative_ttl.total_seconds()
