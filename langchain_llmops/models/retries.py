"""The retries that a model's HTTP client makes by itself, unseen by everything else.

OpenAI's client repeats a failed request twice unless told otherwise, below callbacks
and layers: a router that fails over waits for it, a limit does not count it, and a
ledger that books one call differs from the invoice. `model_copy(update=…)` changes the
model's field and leaves the clients, built long before, as they were.

The clients of OpenAI, Azure, Anthropic, Groq and others come from one generator
(Stainless), and are known here by what they can do: `max_retries`, `with_options`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from langchain_core.language_models import BaseChatModel

    M = TypeVar("M", bound=BaseChatModel)

__all__ = ["client_retries", "without_client_retries"]


@runtime_checkable
class _Client(Protocol):
    max_retries: int

    def with_options(self, *, max_retries: int) -> _Client: ...


def client_retries(model: BaseChatModel) -> int | None:
    """Return how often the model's client repeats a failed request by itself.

    Args:
        model: Any chat model, with or without layers.

    Returns:
        The highest number among its clients; where none is built yet, what its field
        `max_retries` says; `None` if it has neither, so that nobody can know.
    """
    clients = [client.max_retries for client in _clients(model)]
    if clients:
        return max(clients)
    declared = getattr(model, "max_retries", None)
    return declared if isinstance(declared, int) else None


def without_client_retries(model: M) -> M:
    """Return a copy of a model whose client sends each request once.

    The copy has clients of its own, which share the connections, keys and options of
    the original's; the original stays as it is. Layers stay.

    Args:
        model: Any chat model, with or without layers.

    Returns:
        The copy; the model itself if there is nothing that could be switched off. Ask
        `client_retries` of what comes back: other than 0, it may still retry.
    """
    updates: dict[str, Any] = {}
    if "max_retries" in type(model).model_fields:
        updates["max_retries"] = 0
    rebuilt: dict[int, _Client] = {}
    for name, value in _fields(model):
        client = _client_of(value)
        if client is None:
            continue
        if id(client) not in rebuilt:
            rebuilt[id(client)] = client.with_options(max_retries=0)
        once = rebuilt[id(client)]
        updates[name] = once if value is client else type(value)(once)
    if not updates:
        return model
    copy = model.model_copy(update=updates)
    # What is not a field is a cached property: a client built from the old number,
    # or core's picture of the model with it.
    for name in copy.__dict__.keys() - type(copy).model_fields.keys():
        del copy.__dict__[name]
    return copy


def _clients(model: BaseChatModel) -> Iterator[_Client]:
    for value in model.__dict__.values():
        client = _client_of(value)
        if client is not None:
            yield client


def _fields(model: BaseChatModel) -> Iterator[tuple[str, Any]]:
    fields = type(model).model_fields
    return ((name, value) for name, value in model.__dict__.items() if name in fields)


def _client_of(value: object) -> _Client | None:
    """Return a client, or the one behind a resource such as `chat.completions`."""
    for candidate in (value, getattr(value, "_client", None)):
        if isinstance(candidate, _Client):
            return candidate
    return None
