"""Who listens to the custom events of a call: in streams, too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    BaseCallbackHandler,
    BaseCallbackManager,
)
from langchain_core.callbacks.manager import ahandle_event, handle_event
from langchain_core.utils.uuid import uuid7

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from langchain_core.callbacks import Callbacks

    from langchain_llmops.models.base import ModelCall

__all__ = ["Audience", "audience_of"]

_EVENT, _UNLESS = "on_custom_event", "ignore_custom_event"
_SILENT = (BaseCallbackHandler.on_custom_event, AsyncCallbackHandler.on_custom_event)


class Audience(NamedTuple):
    """The handlers that listen, and what they are told with each event."""

    handlers: list[BaseCallbackHandler]
    run_id: UUID
    tags: list[str]
    metadata: dict[str, Any]

    def hear(self, name: str, data: object) -> None:
        """Send an event, as core does."""
        handle_event(self.handlers, _EVENT, _UNLESS, name, data, **self._told())

    async def ahear(self, name: str, data: object) -> None:
        """Send an event on an event loop."""
        await ahandle_event(self.handlers, _EVENT, _UNLESS, name, data, **self._told())

    def _told(self) -> dict[str, Any]:
        return {"run_id": self.run_id, "tags": self.tags, "metadata": self.metadata}


def audience_of(call: ModelCall) -> Audience | None:
    """Return who listens during a call; `None` if nobody does.

    Handlers that only inherit the event are left out: on an event loop core would
    hand each of them to a thread, to do nothing.
    """
    run = call.run_manager
    if run is not None:
        handlers = _listening(run.handlers)
        if not handlers:
            return None
        return Audience(handlers, run.run_id, run.tags, run.metadata)
    # Core hands none to a stream, whose own it made of these.
    config, model = call.config, call.model
    callbacks = config.get("callbacks")
    handlers = _listening((*_handlers(callbacks), *_handlers(model.callbacks)))
    if not handlers:
        return None
    chain = callbacks if isinstance(callbacks, BaseCallbackManager) else None
    run_id = config.get("run_id") or (chain and chain.parent_run_id) or uuid7()
    inherited = (*chain.tags, *chain.inheritable_tags) if chain else ()
    tags = (*inherited, *(config.get("tags") or ()), *(model.tags or ()))
    metadata = {**(config.get("metadata") or {}), **(model.metadata or {})}
    return Audience(handlers, run_id, list(dict.fromkeys(tags)), metadata)


def _handlers(callbacks: Callbacks) -> list[BaseCallbackHandler]:
    if isinstance(callbacks, BaseCallbackManager):
        return callbacks.handlers
    return callbacks or []


def _listening(handlers: Iterable[BaseCallbackHandler]) -> list[BaseCallbackHandler]:
    """Return the handlers that have the event, each once."""
    listening: list[BaseCallbackHandler] = []
    for handler in handlers:
        if type(handler).on_custom_event in _SILENT:
            continue
        if not any(handler is known for known in listening):
            listening.append(handler)
    return listening
