"""From layers to one function per way of calling: outermost in, the model last.

A chain depends on the layers only, never on a model object: it is composed once for
a layered class, and the model travels in the `ModelCall`. A layer that does not
override a method costs nothing in that method's chain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from langchain_llmops.models.base import ModelLayer
from langchain_llmops.models.closable import aclosable, closable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Sequence

    from langchain_core.outputs import ChatGenerationChunk, ChatResult

    from langchain_llmops.models.base import (
        AgenerateHandler,
        AstreamHandler,
        GenerateHandler,
        ModelCall,
        StreamHandler,
    )

__all__ = ["agenerate_chain", "astream_chain", "generate_chain", "stream_chain"]

# The model's own hooks are private by name and public by contract: they are what a
# class implements to be a chat model, and what core calls.
# ruff: noqa: SLF001


def generate_chain(layers: Sequence[ModelLayer]) -> GenerateHandler:
    """Compose what a synchronous call goes through."""
    handler: GenerateHandler = _generate_model
    for method in _overriding(layers, "generate"):
        handler = _hop(method, handler)
    return handler


def agenerate_chain(layers: Sequence[ModelLayer]) -> AgenerateHandler:
    """Compose what an asynchronous call goes through."""
    handler: AgenerateHandler = _agenerate_model
    for method in _overriding(layers, "agenerate"):
        handler = _hop(method, handler)
    return handler


def stream_chain(layers: Sequence[ModelLayer]) -> StreamHandler:
    """Compose what a synchronous stream goes through."""
    handler: StreamHandler = _stream_model
    for method in _overriding(layers, "stream"):
        handler = _stream_hop(method, handler)
    return handler


def astream_chain(layers: Sequence[ModelLayer]) -> AstreamHandler:
    """Compose what an asynchronous stream goes through."""
    handler: AstreamHandler = _astream_model
    for method in _overriding(layers, "astream"):
        handler = _astream_hop(method, handler)
    return handler


def _overriding(
    layers: Sequence[ModelLayer],
    name: Literal["generate", "agenerate", "stream", "astream"],
) -> list[Callable[..., Any]]:
    """Return the method of each layer that has its own, innermost first."""
    inherited = getattr(ModelLayer, name)
    methods = (getattr(layer, name) for layer in reversed(layers))
    return [m for m in methods if getattr(m, "__func__", None) is not inherited]


def _hop(method: Callable[..., Any], inner: Callable[[ModelCall], Any]) -> Any:
    return lambda call: method(call, inner)


def _stream_hop(method: Callable[..., Any], inner: StreamHandler) -> StreamHandler:
    return lambda call: closable(method(call, inner))


def _astream_hop(method: Callable[..., Any], inner: AstreamHandler) -> AstreamHandler:
    return lambda call: aclosable(method(call, inner))


# The model at the end of each chain. It waits for its rate limiter here, and not in
# core's methods: an answer or a refusal by a layer takes none of its rate.


def _generate_model(call: ModelCall) -> ChatResult:
    limiter = call.model.rate_limiter
    if limiter is not None:
        limiter.acquire(blocking=True)
    return call.model._generate(call.messages, **_arguments(call))


async def _agenerate_model(call: ModelCall) -> ChatResult:
    limiter = call.model.rate_limiter
    if limiter is not None:
        await limiter.aacquire(blocking=True)
    return await call.model._agenerate(call.messages, **_arguments(call))


def _stream_model(call: ModelCall) -> Generator[ChatGenerationChunk, None, None]:
    if call.model.rate_limiter is not None:
        return _paced(call)
    return closable(call.model._stream(call.messages, **_arguments(call)))


def _astream_model(call: ModelCall) -> AsyncGenerator[ChatGenerationChunk, None]:
    if call.model.rate_limiter is not None:
        return _apaced(call)
    return aclosable(call.model._astream(call.messages, **_arguments(call)))


def _paced(call: ModelCall) -> Generator[ChatGenerationChunk, None, None]:
    assert call.model.rate_limiter is not None  # noqa: S101  # the caller looked
    call.model.rate_limiter.acquire(blocking=True)
    yield from call.model._stream(call.messages, **_arguments(call))


async def _apaced(call: ModelCall) -> AsyncGenerator[ChatGenerationChunk, None]:
    assert call.model.rate_limiter is not None  # noqa: S101  # the caller looked
    await call.model.rate_limiter.aacquire(blocking=True)
    chunks = aclosable(call.model._astream(call.messages, **_arguments(call)))
    try:
        async for chunk in chunks:
            yield chunk
    finally:
        await chunks.aclose()


def _arguments(call: ModelCall) -> dict[str, Any]:
    """Return what core would pass: a run manager only where it has one to pass."""
    if call.run_manager is None:
        return {**call.kwargs, "stop": call.stop}
    return {**call.kwargs, "stop": call.stop, "run_manager": call.run_manager}
