"""Which runs only handed on what a run inside them brought: they are no calls."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from langchain_llmops.models.retry_after import causes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from langchain_llmops.cost.runs import OpenRun

__all__ = ["Echoes"]

_MARK = "__llmops_run__"


class _Heard(NamedTuple):
    started: int
    model_class: str


class Echoes:
    """Tells the outer run from the inner one where a chat model wraps another.

    Such a model makes two runs of one call. Both report the inner one's message, or
    fail with the inner one's error; where a reader leaves, the outer one ends first.
    Nothing says which run is inside which, so that an echo is one that began earlier,
    of a model of another class, and shares a message or an error with the other.

    Not safe across threads: its owner holds a lock.

    Args:
        most: How many messages and errors are remembered.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._heard: OrderedDict[str | UUID, _Heard] = OrderedDict()

    def of_answer(self, run: OpenRun, message_id: str | None) -> bool:
        """Say whether a run only handed on an answer. Ask once: it is remembered.

        Args:
            run: The run that just ended.
            message_id: Id of the message that it returned.
        """
        return message_id is not None and self._known(run, message_id)

    def of_failure(
        self, run: OpenRun, error: object, open_runs: Iterable[OpenRun]
    ) -> bool:
        """Say whether a run only failed with another. Ask once: it is remembered.

        Args:
            run: The run that just failed, or was left.
            error: What it failed with.
            open_runs: The runs that have not ended.
        """
        if self._known(run, _mark_of(error, run)):
            return True
        message_id = _message_id(run)
        if message_id is None:
            return False
        if self._known(run, message_id):
            return True
        if str(run.run_id) in message_id:  # core's own: no other run's message
            return False
        return any(
            other.started > run.started
            and _message_id(other) == message_id
            and other.model_class != run.model_class
            for other in open_runs
        )

    def _known(self, run: OpenRun, key: str | UUID) -> bool:
        heard = self._heard.get(key)
        if (
            heard is not None
            and heard.started > run.started
            and heard.model_class != run.model_class
        ):
            return True
        self._heard[key] = _Heard(run.started, run.model_class)
        if len(self._heard) > self._most:
            self._heard.popitem(last=False)
        return False


def _mark_of(error: object, run: OpenRun) -> UUID:
    """Return what tells an error, and those that it caused, from all others.

    The error itself carries it: to keep errors would keep alive whatever their
    tracebacks hold, and the `id` of one that is gone may be another's.
    """
    marks = (getattr(cause, _MARK, None) for cause in causes(error))
    mark = next((mark for mark in marks if isinstance(mark, UUID)), run.run_id)
    with suppress(Exception):  # it may refuse attributes
        setattr(error, _MARK, mark)
    return mark


def _message_id(run: OpenRun) -> str | None:
    """Return the id of the message that a run was streaming."""
    for piece in run.pieces:
        if isinstance(piece, Mapping):
            found = piece.get("id") if piece.get("event") == "message-start" else None
        else:
            found = getattr(getattr(piece, "message", None), "id", None)
        if isinstance(found, str) and found:
            return found
    return None
