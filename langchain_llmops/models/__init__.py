"""Layers around the calls of one chat model, and its client's own retries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.models.base import (
        AgenerateHandler,
        AstreamHandler,
        GenerateHandler,
        ModelCall,
        ModelLayer,
        StreamHandler,
    )
    from langchain_llmops.models.layers import with_layers
    from langchain_llmops.models.retries import (
        client_retries,
        without_client_retries,
    )

__all__ = (
    "AgenerateHandler",
    "AstreamHandler",
    "GenerateHandler",
    "ModelCall",
    "ModelLayer",
    "StreamHandler",
    "client_retries",
    "with_layers",
    "without_client_retries",
)

_MODULES = {
    "base": (
        "AgenerateHandler",
        "AstreamHandler",
        "GenerateHandler",
        "ModelCall",
        "ModelLayer",
        "StreamHandler",
    ),
    "retries": ("client_retries", "without_client_retries"),
    "layers": ("with_layers",),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        name: f"{__name__}.{module}"
        for module, names in _MODULES.items()
        for name in names
    },
)
