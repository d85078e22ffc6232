"""What is finished of a long text, kept so that another run goes on from there."""

from __future__ import annotations

import hashlib
import json
import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage, message_to_dict, messages_from_dict

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from langchain_core.stores import BaseStore

__all__ = ["Finished", "SegmentStore"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a step made of one segment.

    Attributes:
        output: What it returned.
        summary: What is carried on after it; empty where nothing is.
    """

    output: Any
    summary: str = ""


class SegmentStore:
    """Finished segments in a store of LangChain's, under the hash of what they had.

    A store that fails costs what it would have saved: it is logged once, and the run
    goes on without it.

    Args:
        store: Where they are kept; `None` for nowhere.
        namespace: Goes into each key: another one for another step.
    """

    def __init__(self, store: BaseStore[str, bytes] | None, namespace: str) -> None:
        self._store = store
        self._namespace = namespace
        self._failed = False
        self._lock = threading.Lock()  # workers on several threads share it

    def key(self, text: str, context: str) -> str:
        """Return the key of a segment with what was carried into it."""
        parts = json.dumps([self._namespace, text, context])
        return f"long_text-{hashlib.sha256(parts.encode()).hexdigest()}"

    def get(self, key: str) -> Finished | None:
        """Return what was finished under a key, if anything was."""
        if self._store is None:
            return None
        try:
            (data,) = self._store.mget([key])
        except Exception as error:  # noqa: BLE001 - any store may fail in its own way
            self._lost(error)
            return None
        return self._read(data)

    async def aget(self, key: str) -> Finished | None:
        """Return what was finished under a key, if anything was."""
        if self._store is None:
            return None
        try:
            (data,) = await self._store.amget([key])
        except Exception as error:  # noqa: BLE001 - as above
            self._lost(error)
            return None
        return self._read(data)

    def put(self, key: str, finished: Finished) -> None:
        """Keep what was finished.

        Raises:
            ConfigurationError: The output is neither a message nor JSON.
        """
        if self._store is None:
            return
        data = _dumped(finished)
        try:
            self._store.mset([(key, data)])
        except Exception as error:  # noqa: BLE001 - as above
            self._lost(error)

    async def aput(self, key: str, finished: Finished) -> None:
        """Keep what was finished; raises as `put`."""
        if self._store is None:
            return
        data = _dumped(finished)
        try:
            await self._store.amset([(key, data)])
        except Exception as error:  # noqa: BLE001 - as above
            self._lost(error)

    def _read(self, data: bytes | None) -> Finished | None:
        if data is None:
            return None
        try:
            kept = json.loads(data)
            output = kept["output"]
            if kept["message"]:
                (output,) = messages_from_dict([output])
            return Finished(output=output, summary=kept["summary"])
        except (ValueError, LookupError, TypeError) as error:
            self._lost(error)
            return None

    def _lost(self, error: Exception) -> None:
        with self._lock:
            first, self._failed = not self._failed, True
        if first:
            logger.warning(
                "Finished segments cannot be kept or read: the run goes on without",
                exc_info=error,
            )


def _dumped(finished: Finished) -> bytes:
    output = finished.output
    is_message = isinstance(output, BaseMessage)
    kept = {
        "message": is_message,
        "output": message_to_dict(output) if is_message else output,
        "summary": finished.summary,
    }
    try:
        return json.dumps(kept).encode()
    except TypeError as error:
        raise ConfigurationError(
            f"the step's output, a {type(output).__name__!r}, cannot be kept in a "
            "store: let the step end in a message, a string or what JSON has"
        ) from error
