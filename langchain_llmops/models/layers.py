"""`with_layers`: a chat model with layers around its calls, otherwise the same."""

from __future__ import annotations

from typing import Any, TypeVar

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.runnables.configurable import DynamicRunnable

from langchain_llmops.errors import ConfigurationError
from langchain_llmops.models.base import ModelCall, ModelLayer
from langchain_llmops.models.layered_class import adopt_layers
from langchain_llmops.models.twins import bare, layers_of

__all__ = ["ModelCall", "ModelLayer", "with_layers"]

M = TypeVar("M", bound=BaseChatModel)


def with_layers(model: M, *layers: ModelLayer) -> M:
    """Return a copy of a chat model whose calls go through layers.

    The copy keeps the model's class (`isinstance`), name, tools, profile, tracing and
    keys in LangChain's own cache: whatever takes the model takes the copy. Each layer
    sees each call once, in whichever way it is made. Layers are shared by the copies
    that LangChain makes of a model (`bind_tools`, `model_copy`, `configurable_fields`,
    `deepcopy`), and pickled with it.

    The model's `rate_limiter` is waited for at the end of the layers: a layer that
    answers or refuses by itself takes none of the rate.

    Args:
        model: Any chat model. One that already has layers gets the new ones around
            them.
        layers: Outermost first. A layer that is known to belong inside another (a
            budget inside a cache) comes after it.

    Returns:
        The layered copy; without layers a plain copy. The first copy for a class and
        these layers takes some milliseconds, a further one microseconds. Safe to call
        and to use from any thread and event loop.

    Raises:
        ConfigurationError: `model` is not a chat model (what `bind_tools` returns is
            not), or something among the layers is not a `ModelLayer`.

    Example:
        ```python
        from langchain_core.language_models import FakeListChatModel

        from langchain_llmops import ModelLayer, with_layers


        class Politely(ModelLayer):
            def generate(self, call, handler):
                result = handler(call)
                result.generations[0].message.content += ", please"
                return result


        model = with_layers(FakeListChatModel(responses=["Wait"]), Politely())
        assert model.invoke("And now?").content == "Wait, please"
        ```
    """
    _check(model, layers)
    updates: dict[str, Any] = {}
    for layer in layers:
        updates |= layer.attach(model)
    copy = model.model_copy(update=updates)
    # What core remembers of how the model looks, serialised, may be true no more.
    copy.__dict__.pop("_serialized", None)
    if not layers:
        return copy
    return adopt_layers(bare(copy), (*layers, *layers_of(type(model))))


def _check(model: object, layers: tuple[object, ...]) -> None:
    if isinstance(model, RunnableBindingBase | DynamicRunnable):
        raise ConfigurationError(
            f"{type(model).__name__!r} wraps a model and cannot be layered: layer the "
            "model first, then bind or configure it, "
            "with_layers(model, ...).bind_tools(...)"
        )
    if not isinstance(model, BaseChatModel):
        raise ConfigurationError(
            f"with_layers needs a BaseChatModel, and got {type(model).__name__!r}"
        )
    for layer in layers:
        if not isinstance(layer, ModelLayer):
            raise ConfigurationError(
                f"{layer!r} is not a ModelLayer: pass objects of subclasses of "
                "ModelLayer, made (`CacheLayer(...)`), not the class"
            )
