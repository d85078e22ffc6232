"""Objects of different classes that are one model.

Three of them share one state (the same `__dict__`, private attributes and set of
fields), so that what one changes all of them see:

```text
the layered model     what the user holds; its public methods open a scope
└─ its scoped twin    lives for one call and knows that call's config: core's
   │                  methods run on it, and its hooks run the layers
   └─ its bare twin   an object of the original class: what the innermost call
                      runs on, where core's defaults may call each other freely
```

A config that travels on an object needs no context variable: streams may interleave,
start late or be read on another thread, and each call still sees its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables.config import ensure_config

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from langchain_core.outputs import ChatGenerationChunk
    from langchain_core.runnables import RunnableConfig

    from langchain_llmops.models.base import ModelLayer

__all__ = [
    "SCOPE_SLOT",
    "Scope",
    "adopt",
    "bare",
    "layers_of",
    "original_class",
    "scope_of",
    "scoped",
]

M = TypeVar("M", bound=BaseChatModel)

SCOPE_SLOT = "__llmops_scope__"
"""Where a scoped twin holds its scope: outside the `__dict__` that it shares."""


class Scope:
    """One call of a public method: its config, and the streams opened under it."""

    __slots__ = ("config", "streams")

    def __init__(self, config: RunnableConfig | None) -> None:
        self.config = ensure_config(config)
        self.streams: list[AsyncGenerator[ChatGenerationChunk, None]] = []

    async def aclose(self) -> None:
        """End what core leaves to the garbage collector when its reader goes."""
        while self.streams:
            await self.streams.pop().aclose()


def adopt(cls: type[M], model: BaseChatModel) -> M:
    """Return an object of another class that shares a model's state."""
    twin = object.__new__(cls)
    put = object.__setattr__
    put(twin, "__dict__", model.__dict__)
    put(twin, "__pydantic_fields_set__", model.__pydantic_fields_set__)
    put(twin, "__pydantic_extra__", model.__pydantic_extra__)
    put(twin, "__pydantic_private__", getattr(model, "__pydantic_private__", None))
    return twin


def bare(model: M) -> M:
    """Return the twin of a layered model that has the original class."""
    return adopt(original_class(type(model)), model)


def scoped(model: M, scope: Scope) -> M:
    """Return the twin of a layered model that lives for one call."""
    twin = adopt(type(model), model)
    object.__setattr__(twin, SCOPE_SLOT, scope)
    return twin


def scope_of(model: BaseChatModel) -> Scope | None:
    """Return the scope of a scoped twin; the user's own object has none."""
    try:
        scope: Scope = object.__getattribute__(model, SCOPE_SLOT)
    except AttributeError:
        return None
    return scope


def original_class(cls: type[M]) -> type[M]:
    """Return the class that a layered class was made from, any other class itself."""
    return cast("type[M]", getattr(cls, "__llmops_class__", cls))


def layers_of(cls: type[BaseChatModel]) -> tuple[ModelLayer, ...]:
    """Return the layers of a model class, outermost first; none if it is bare."""
    return cast("tuple[ModelLayer, ...]", getattr(cls, "__llmops_layers__", ()))
