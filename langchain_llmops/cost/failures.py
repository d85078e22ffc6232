"""Which failed calls a provider may bill: those that it did not refuse."""

from __future__ import annotations

import asyncio
import socket

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
)

from langchain_llmops.errors import (
    BudgetExceededError,
    ConfigurationError,
    StorageError,
)
from langchain_llmops.models.retry_after import causes

__all__ = ["left_by_reader", "may_be_billed"]

_REFUSALS = (
    # Raised by a layer before anything is sent.
    BudgetExceededError,
    ConfigurationError,
    StorageError,
    # Raised for an answer that says no.
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
)
# By name, since the HTTP libraries need not be installed.
_NEVER_CONNECTED = frozenset(
    {"ClientConnectorError", "ConnectError", "ConnectTimeout", "PoolTimeout"}
)
_HTTP_ERROR = 400


def may_be_billed(error: object) -> bool:
    """Say whether a call that failed before its first token may still be billed.

    An HTTP error costs nothing, nor does a connection that never came about. After a
    timeout, a cut connection or an error of unknown kind nobody can tell.

    Args:
        error: What `on_llm_error` was given.
    """
    return not any(
        isinstance(cause, (*_REFUSALS, ConnectionRefusedError, socket.gaierror))
        or _is_http_error(cause)
        or type(cause).__name__ in _NEVER_CONNECTED
        for cause in causes(error)
    )


def left_by_reader(error: object) -> bool:
    """Say whether it was the reader of a stream who ended the call."""
    return isinstance(error, GeneratorExit | asyncio.CancelledError)


def _is_http_error(error: object) -> bool:
    status = getattr(error, "status_code", None)
    return isinstance(status, int) and status >= _HTTP_ERROR
