"""`classify`: what kind of failure an exception is, whoever raised it.

Providers say what went wrong in four ways: a code in the body, the class of the
exception, an HTTP status, and a sentence. Each has a table below, and the most telling
one wins. Classes are known by name, so that no client library has to be installed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from langchain_llmops.models.retry_after import causes, retry_after_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Failure", "FailureKind", "classify"]

FailureKind = Literal[
    "rate_limit",
    "quota",
    "auth",
    "context_length",
    "content_policy",
    "bad_request",
    "not_found",
    "connection",
    "timeout",
    "server",
    "cancelled",
    "refused",
    "unknown",
]
"""What went wrong.

`quota` is an empty account, `rate_limit` too many calls at once; `refused` is an error
of this package, such as a spent budget: nothing was sent.
"""

_BY_CODE: Final[dict[str, FailureKind]] = {
    # OpenAI, Azure, and those who speak their API
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
    "billing_not_active": "quota",
    "rate_limit_exceeded": "rate_limit",
    "tokens_exceeded": "rate_limit",
    "context_length_exceeded": "context_length",
    "string_above_max_length": "context_length",
    "content_filter": "content_policy",
    "content_policy_violation": "content_policy",
    "responsibleaipolicyviolation": "content_policy",
    "invalid_prompt": "content_policy",
    "invalid_api_key": "auth",
    "account_deactivated": "auth",
    "model_not_found": "not_found",
    "deploymentnotfound": "not_found",
    "server_error": "server",
    # Anthropic
    "rate_limit_error": "rate_limit",
    "billing_error": "quota",
    "authentication_error": "auth",
    "permission_error": "auth",
    "not_found_error": "not_found",
    "request_too_large": "context_length",
    "timeout_error": "timeout",
    "overloaded_error": "server",
    "api_error": "server",
    # Google
    "resource_exhausted": "rate_limit",
    "unauthenticated": "auth",
    "permission_denied": "auth",
    "deadline_exceeded": "timeout",
    "unavailable": "server",
    # Amazon
    "throttlingexception": "rate_limit",
    "servicequotaexceededexception": "quota",
    "accessdeniedexception": "auth",
    "validationexception": "bad_request",
    "resourcenotfoundexception": "not_found",
    "modeltimeoutexception": "timeout",
    "modelnotreadyexception": "server",
    "serviceunavailableexception": "server",
}

_BY_CLASS: Final[dict[str, FailureKind]] = {
    # Read from an exception's own class up to its oldest ancestor.
    "LLMOpsError": "refused",
    "CancelledError": "cancelled",
    "GeneratorExit": "cancelled",
    "KeyboardInterrupt": "cancelled",
    "SystemExit": "cancelled",
    # langchain-core
    "ContextOverflowError": "context_length",
    "ModelAuthenticationError": "auth",
    "ModelPermissionDeniedError": "auth",
    "ModelInvalidRequestError": "bad_request",
    "ModelNotFoundError": "not_found",
    "ModelRateLimitError": "rate_limit",
    "ModelTimeoutError": "timeout",
    "ModelConnectionError": "connection",
    "ModelAPIError": "server",
    # The clients of OpenAI, Anthropic and others, made by one generator
    "AuthenticationError": "auth",
    "PermissionDeniedError": "auth",
    "PaymentRequiredError": "quota",
    "NotFoundError": "not_found",
    "RateLimitError": "rate_limit",
    "ContentFilterFinishReasonError": "content_policy",
    "OpenAIRefusalError": "content_policy",
    "APITimeoutError": "timeout",
    "APIConnectionError": "connection",
    "APIResponseValidationError": "server",
    "InternalServerError": "server",
    # HTTP libraries and the standard library
    "TimeoutException": "timeout",
    "ServerTimeoutError": "timeout",
    "TimeoutError": "timeout",
    "Timeout": "timeout",
    "TransportError": "connection",
    "ClientConnectionError": "connection",
    "ClientPayloadError": "connection",
    "ConnectionError": "connection",
    "gaierror": "connection",
    "SSLError": "connection",
    "JSONDecodeError": "server",
}

_BY_STATUS: Final[dict[int, FailureKind]] = {
    401: "auth",
    402: "quota",
    403: "auth",
    404: "not_found",
    408: "timeout",
    409: "server",
    413: "context_length",
    425: "server",
    429: "rate_limit",
    504: "timeout",
}

_PHRASES: Final[dict[FailureKind, tuple[str, ...]]] = {
    "context_length": (
        r"maximum context length",
        r"context[ _]window",
        r"(?:prompt|input) is too long",
        r"input tokens exceed",
        r"too many (?:input )?tokens",
        r"exceeds? the (?:maximum|model'?s?) (?:context|number of tokens)",
    ),
    "quota": (
        r"exceeded your current quota",
        r"credit balance",
        r"billing",
        r"insufficient (?:funds|balance|credits)",
    ),
    "content_policy": (
        r"content (?:management )?policy",
        r"content[ _-]filter",
        r"safety system",
        r"usage polic(?:y|ies)",
    ),
    "auth": (r"resolve authentication method", r"authentication failed"),
    # langchain-core's, for a stream that ended before it began
    "server": (r"no generation chunks were returned",),
}
_BY_TEXT: Final = {
    kind: re.compile("|".join(phrases), re.IGNORECASE)
    for kind, phrases in _PHRASES.items()
}
_TOLD_BY_TEXT: Final = frozenset({"bad_request", "rate_limit", "auth", "unknown"})
"""Kinds that are vague enough for the sentence to say more."""

_CLIENT_ERROR, _SERVER_ERROR, _NO_HTTP_ERROR = 400, 500, 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A call that failed, and why.

    Attributes:
        kind: What went wrong.
        error: The exception, as it was raised.
        retry_after_s: Seconds from now that the provider asks to wait, if it does.
    """

    kind: FailureKind
    error: BaseException
    retry_after_s: float | None = None


def classify(error: BaseException, *, now: Callable[[], float] = time.time) -> Failure:
    """Return what kind of failure an exception is.

    The exception itself counts first, then what caused it; of a group, the last one.
    Costs some 10 µs, on the way of a failure only; never raises.

    Args:
        error: What a model raised.
        now: Seconds since the epoch, for a `Retry-After` that is a date.

    Example:
        ```python
        from langchain_llmops.routing import classify

        print(classify(TimeoutError("no answer")).kind)
        #> timeout
        ```
    """
    last = _last(error)
    kinds = map(_kind, causes(last))
    known = next((kind for kind in kinds if kind != "unknown"), None)
    return Failure(
        kind=known or "unknown", error=error, retry_after_s=retry_after_s(last, now=now)
    )


def _last(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[-1]
    return error


def _kind(error: BaseException) -> FailureKind:
    for code in _codes(error):
        if known := _BY_CODE.get(code):
            return known
    kind = _by_class(error) or _by_status(_status(error))
    if kind in _TOLD_BY_TEXT:
        text = str(error)
        for told, pattern in _BY_TEXT.items():
            if pattern.search(text):
                return told
    return kind


def _by_class(error: BaseException) -> FailureKind | None:
    kinds = (_BY_CLASS.get(cls.__name__) for cls in type(error).__mro__)
    return next((kind for kind in kinds if kind), None)


def _by_status(status: int | None) -> FailureKind:
    if status is None or not _CLIENT_ERROR <= status < _NO_HTTP_ERROR:
        return "unknown"
    rest: FailureKind = "server" if status >= _SERVER_ERROR else "bad_request"
    return _BY_STATUS.get(status, rest)


def _codes(error: BaseException) -> Iterator[str]:
    """Yield what the provider calls it, the most precise first, in lower case."""
    places: list[Mapping[str, Any]] = [getattr(error, "__dict__", {})]
    for key in ("body", "response"):
        if isinstance(outer := places[0].get(key), Mapping):
            places.append(outer)
    for place in places:
        inside = (place.get(key) for key in ("error", "Error", "innererror"))
        # What is found here is looked into next.
        places.extend(inner for inner in inside if isinstance(inner, Mapping))
    for key in ("error_code", "code", "Code", "type", "status"):
        for place in reversed(places):
            if isinstance(value := place.get(key), str):
                yield value.lower()


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        response = response.get("ResponseMetadata")
        return _whole(response, "HTTPStatusCode")
    for holder in (error, response):
        for name in ("status_code", "status", "code"):
            if isinstance(status := getattr(holder, name, None), int):
                return status
    return None


def _whole(holder: Any, key: str) -> int | None:
    value = holder.get(key) if isinstance(holder, Mapping) else None
    return value if isinstance(value, int) else None
