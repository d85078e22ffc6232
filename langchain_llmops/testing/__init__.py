"""I want to test against a provider: one that runs here, costs nothing and fails.

`LocalProvider` is a real HTTP server on loopback that speaks the OpenAI API; `Latency`
and the faults say how slow it is and how it breaks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from langchain_llmops._lazy import lazy_names

if TYPE_CHECKING:
    from langchain_llmops.testing.desk import ProviderSettings
    from langchain_llmops.testing.faults import (
        ContentFiltered,
        Cut,
        EmptyStream,
        Fault,
        Hang,
        HttpFailure,
        Latency,
        MalformedSSE,
        RateLimited,
        ServerError,
        SlowTokens,
    )
    from langchain_llmops.testing.invoice import InvoiceRow, RequestRecord
    from langchain_llmops.testing.local_provider import LocalProvider, serve

__all__ = (
    "ContentFiltered",
    "Cut",
    "EmptyStream",
    "Fault",
    "Hang",
    "HttpFailure",
    "InvoiceRow",
    "Latency",
    "LocalProvider",
    "MalformedSSE",
    "ProviderSettings",
    "RateLimited",
    "RequestRecord",
    "ServerError",
    "SlowTokens",
    "serve",
)

_MODULES = {
    "desk": ("ProviderSettings",),
    "faults": (
        "ContentFiltered",
        "Cut",
        "EmptyStream",
        "Fault",
        "Hang",
        "HttpFailure",
        "Latency",
        "MalformedSSE",
        "RateLimited",
        "ServerError",
        "SlowTokens",
    ),
    "invoice": ("InvoiceRow", "RequestRecord"),
    "local_provider": ("LocalProvider", "serve"),
}

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        name: f"{__name__}.{module}"
        for module, names in _MODULES.items()
        for name in names
    },
)
