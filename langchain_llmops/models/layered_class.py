"""The class of a layered model: a subclass of the model's own class, made once."""

from __future__ import annotations

import threading
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakValueDictionary

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables.config import ensure_config

from langchain_llmops.models.base import ModelCall
from langchain_llmops.models.chain import (
    agenerate_chain,
    astream_chain,
    generate_chain,
    stream_chain,
)
from langchain_llmops.models.entry_points import EntryPoints
from langchain_llmops.models.twins import SCOPE_SLOT, adopt, bare, layers_of, scope_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatGenerationChunk, ChatResult
    from langchain_core.rate_limiters import BaseRateLimiter

    from langchain_llmops.models.base import ModelLayer

__all__ = ["adopt_layers", "layered_class"]

# The hooks are private by name and public by contract: what a class implements to be
# a chat model, and what core calls.
# ruff: noqa: SLF001

M = TypeVar("M", bound=BaseChatModel)


def layered_class(cls: type[M], layers: tuple[ModelLayer, ...]) -> type[M]:
    """Return the subclass of a model class whose calls go through layers.

    Making one takes milliseconds (pydantic builds a model), so there is one for each
    class and layers, found by the identity of the layers, for as long as somebody
    holds it. Safe across threads.

    Args:
        cls: The model's own class, without layers.
        layers: The layers, outermost first; at least one.

    Returns:
        A class with the same name, module and fields.
    """
    key = (cls, tuple(map(id, layers)))
    with _LOCK:
        found = _CLASSES.get(key)
        if found is None:
            found = _CLASSES[key] = _make_class(cls, layers)
    return cast("type[M]", found)


# A class holds its layers, so an identity in a key cannot be taken over by another
# object while the entry lives; with the last model of a class its entry goes too.
_CLASSES: WeakValueDictionary[
    tuple[type[BaseChatModel], tuple[int, ...]], type[BaseChatModel]
] = WeakValueDictionary()
_LOCK = threading.Lock()


def adopt_layers(model: M, layers: tuple[ModelLayer, ...]) -> M:
    """Return a model of the layered class that takes over a bare model's state."""
    return adopt(layered_class(type(model), layers), model)


def _make_class(
    cls: type[BaseChatModel], layers: tuple[ModelLayer, ...]
) -> type[BaseChatModel]:
    namespace = {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__slots__": (SCOPE_SLOT,),
        "__reduce_ex__": _reduce,
        **_hooks(cls, layers),
    }
    metaclass: Any = type(cls)
    made = metaclass(cls.__name__, (EntryPoints, cls), namespace)
    made.__llmops_class__ = cls
    made.__llmops_layers__ = layers
    # Set on the finished class, where pydantic does not take them for fields. Core
    # must not wait for the limiter before the layers run: the end of the chain does.
    made.rate_limiter = property(_get_rate_limiter, _set_rate_limiter)
    # Events come from the chunks that passed the layers, not from past them.
    made._stream_chat_model_events = made._astream_chat_model_events = None
    return cast("type[BaseChatModel]", made)


def _hooks(
    cls: type[BaseChatModel], layers: tuple[ModelLayer, ...]
) -> Mapping[str, Callable[..., Any]]:
    """Return the overrides of the hooks that core calls, where the class has them.

    Core looks at the signature of the first two and at the class of the others: so
    they are wrapped (`__wrapped__` shows the original's signature), and a class that
    cannot stream must not seem to.
    """
    generate, agenerate = generate_chain(layers), agenerate_chain(layers)

    @wraps(cls._generate)
    def _generate(self: Any, *args: Any, **kwargs: Any) -> ChatResult:
        return generate(_call(self, *args, **kwargs))

    @wraps(cls._agenerate)
    async def _agenerate(self: Any, *args: Any, **kwargs: Any) -> ChatResult:
        return await agenerate(_call(self, *args, **kwargs))

    hooks: dict[str, Callable[..., Any]] = {
        "_generate": _generate,
        "_agenerate": _agenerate,
    }
    if _overrides(cls, "_stream"):
        hooks["_stream"] = _stream_hook(cls, layers)
    if _overrides(cls, "_stream") or _overrides(cls, "_astream"):
        hooks["_astream"] = _astream_hook(cls, layers)
    return hooks


def _stream_hook(
    cls: type[BaseChatModel], layers: tuple[ModelLayer, ...]
) -> Callable[..., Any]:
    stream = stream_chain(layers)

    @wraps(cls._stream)
    def _stream(self: Any, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
        return stream(_call(self, *args, **kwargs))

    return _stream


def _astream_hook(
    cls: type[BaseChatModel], layers: tuple[ModelLayer, ...]
) -> Callable[..., Any]:
    astream = astream_chain(layers)

    @wraps(cls._astream)
    def _astream(
        self: Any, *args: Any, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        chunks = astream(_call(self, *args, **kwargs))
        scope = scope_of(self)
        if scope is not None:
            scope.streams.append(chunks)
        return chunks

    return _astream


def _overrides(cls: type[BaseChatModel], hook: str) -> bool:
    return getattr(cls, hook) is not getattr(BaseChatModel, hook)


def _call(
    model: BaseChatModel,
    /,  # callers pass `model=` as a parameter of the call
    messages: list[BaseMessage],
    stop: list[str] | None = None,
    run_manager: Any = None,
    **kwargs: Any,
) -> ModelCall:
    scope = scope_of(model)
    return ModelCall(
        model=bare(model),
        messages=messages,
        stop=stop,
        kwargs=kwargs,
        config=ensure_config() if scope is None else scope.config,
        run_manager=run_manager,
    )


def _get_rate_limiter(model: BaseChatModel) -> BaseRateLimiter | None:
    if scope_of(model) is not None:
        return None
    return cast("BaseRateLimiter | None", model.__dict__.get("rate_limiter"))


def _set_rate_limiter(model: BaseChatModel, limiter: BaseRateLimiter | None) -> None:
    model.__dict__["rate_limiter"] = limiter
    model.__pydantic_fields_set__.add("rate_limiter")


def _reduce(model: BaseChatModel, protocol: Any) -> tuple[Any, ...]:
    """Pickle as the bare model is pickled, by whatever means it has, and its layers."""
    del protocol
    return adopt_layers, (bare(model), layers_of(type(model)))
