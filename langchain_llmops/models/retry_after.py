"""When a provider wants to be asked again, as its error says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["causes", "retry_after_s"]

_DEEPEST: Final = 8


def causes(error: object) -> Iterator[BaseException]:
    """Yield an error, what it was raised from, and so on; at most eight."""
    for _ in range(_DEEPEST):
        if not isinstance(error, BaseException):
            return
        yield error
        error = error.__cause__


def retry_after_s(
    error: BaseException, *, now: Callable[[], float] = time.time
) -> float | None:
    """Return for how many seconds a provider wants no call; `None` if it does not say.

    Reads the headers `retry-after-ms` and `Retry-After` (seconds or a date) of the
    error, or of what it was raised from. What makes no sense is left out; never raises.

    Args:
        error: What a model raised.
        now: Seconds since the epoch, for a date.
    """
    waits = (_wait_s(_headers(cause), now) for cause in causes(error))
    return next((wait for wait in waits if wait is not None), None)


def _headers(error: BaseException) -> Mapping[str, Any]:
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):  # botocore's
        metadata = response.get("ResponseMetadata")
        found = metadata.get("HTTPHeaders") if isinstance(metadata, Mapping) else None
    else:
        found = getattr(response, "headers", None) or getattr(error, "headers", None)
    return found if isinstance(found, Mapping) else {}


def _wait_s(headers: Mapping[str, Any], now: Callable[[], float]) -> float | None:
    if (wait := _number(headers.get("retry-after-ms"))) is not None:
        return wait / 1000
    # Clients' headers ignore case; a plain mapping does not.
    raw = headers.get("retry-after", headers.get("Retry-After"))
    if (wait := _number(raw)) is not None:
        return wait
    try:
        return max(0.0, parsedate_to_datetime(str(raw)).timestamp() - now())
    except (ValueError, OverflowError):
        return None


def _number(raw: Any) -> float | None:
    try:
        number = float(raw)
    except (TypeError, ValueError):
        return None
    return number if 0 <= number < float("inf") else None
