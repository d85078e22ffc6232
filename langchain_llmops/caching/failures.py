"""Errors that would come again: remembered for a moment, raised again for nothing.

Which ones is `comes_again`, a pure decision. What is kept is a copy of the error
without its traceback, which would hold the frames, and with them the prompts, of the
call that failed.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelError,
    ModelInvalidRequestError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FailureMemory", "comes_again"]

_E = TypeVar("_E", bound=Exception)

_REFUSED: Final = frozenset({400, 413, 422})
"""HTTP: a bad request, one that is too large, one that makes no sense."""

_AT_ONCE: Final = 256
"""Errors may hold the request and the response that they are about."""

_NOTE: Final = (
    "Remembered by CacheLayer, the model was not asked again: the same request failed "
    "so {age:.1f} s ago (negative_ttl={ttl:g} s)."
)


def comes_again(error: BaseException) -> bool:
    """Return whether the same request would fail in the same way.

    So do a prompt that is too long and a request that the provider finds invalid or
    against its rules. Nothing else: no rate limit, timeout, lost connection or server
    error, and no wrong credentials or missing model, which others put right.
    """
    if isinstance(error, ModelError):
        return isinstance(error, ContextOverflowError | ModelInvalidRequestError)
    # Integrations that do not use core's errors yet: what HTTP clients have in common.
    status = getattr(error, "status_code", None)
    if status is None:
        status = getattr(getattr(error, "response", None), "status_code", None)
    return isinstance(error, Exception) and status in _REFUSED


class _Failure(NamedTuple):
    error: Exception
    since: float
    ttl_s: float


class FailureMemory:
    """Remember errors by the key of their request, in this process only.

    At most 256, the oldest leaves. Every method takes constant time, or that of what
    has expired. Safe across threads and event loops.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        # In the order in which they came, which is nearly that of their end.
        self._kept: dict[str, _Failure] = {}

    def __len__(self) -> int:
        """Return how many are kept, some of which may be over."""
        return len(self._kept)

    def remember(self, key: str, error: Exception, *, ttl_s: float, now: float) -> None:
        """Keep an error, in place of one that was there.

        Args:
            key: The key of the request that failed.
            error: What it failed with; left as it is.
            ttl_s: Seconds that it is kept.
            now: Seconds of a clock, as in `recall`.
        """
        try:
            failure = _Failure(_bare(error), now, ttl_s)
        except Exception:  # noqa: BLE001 - one that cannot be copied is not kept
            return
        with self._lock:
            self._kept.pop(key, None)
            self._kept[key] = failure
            self._sweep(now)

    def recall(self, key: str, now: float) -> Exception | None:
        """Return the error of a request as a new object with a note, or `None`."""
        if not self._kept:
            return None
        with self._lock:
            self._sweep(now)
            failure = self._kept.get(key)
        if failure is None or not 0 <= now - failure.since < failure.ttl_s:
            return None
        error = _bare(failure.error)
        error.add_note(_NOTE.format(age=now - failure.since, ttl=failure.ttl_s))
        return error

    def forget(self, key: str) -> None:
        """Forget the error of a request: it was answered."""
        if self._kept:
            with self._lock:
                self._kept.pop(key, None)

    def clear(self) -> None:
        """Forget every error."""
        with self._lock:
            self._kept.clear()

    def _sweep(self, now: float) -> None:
        """Let go of what is over, and of the oldest if there are too many."""
        while self._kept:
            key, failure = next(iter(self._kept.items()))
            if len(self._kept) <= _AT_ONCE and now - failure.since < failure.ttl_s:
                return
            del self._kept[key]


def _bare(error: _E) -> _E:
    """Return a copy of an error without traceback, cause and context.

    Not made by its `__init__`: those of HTTP clients take other arguments than they
    hand on to `args`, so that neither `copy` nor `pickle` can make them again.
    """
    cls = type(error)
    make: Callable[..., _E] = cls.__new__
    copy = make(cls, *error.args)
    vars(copy).update(vars(error))
    if notes := getattr(error, "__notes__", None):
        copy.__notes__ = list(notes)
    return copy
