"""What an embedding depends on: the model, its settings, and the text to the letter."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Literal

from langchain_core.embeddings import Embeddings
from pydantic import BaseModel

from langchain_llmops.caching.requests.canonical import (
    NotCanonicalError,
    answer_arguments,
    canonical_json,
)
from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["EmbeddingKind", "embedding_keys"]

EmbeddingKind = Literal["document", "query"]

_VERSION: Final = b"llmops-embed-1"

# Beside what `answer_arguments` leaves out: how texts travel, not what they become.
_TRANSPORT: Final = frozenset(
    {
        "chunk_size",
        "default_headers",
        "headers",
        "max_workers",
        "openai_organization",
        "retry_max_seconds",
        "retry_min_seconds",
        "show_progress",
        "show_progress_bar",
    }
)


def embedding_keys(
    embeddings: Embeddings, *, namespace: str | None, kind: EmbeddingKind
) -> Callable[[str], str]:
    """Return the function from a text to its key, as the settings are now.

    Args:
        embeddings: The model. The declared fields of a pydantic model count, save those
            that only reach the transport.
        namespace: A name that enters every key. It stands for the settings that cannot
            be read: those of a plain class, or an open client among the fields.
        kind: What the text is embedded as.

    Raises:
        ConfigurationError: There are settings that cannot be read, and no namespace.
    """
    identity = [namespace, kind, _identity(embeddings, namespace)]
    model = blake2b(
        canonical_json(identity).encode("utf-8", "surrogatepass"),
        digest_size=20,
        person=_VERSION,
    )

    def key(text: str) -> str:
        # The identity is one JSON text: where it ends is never ambiguous.
        digest = model.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    return key


def _identity(embeddings: Embeddings, namespace: str | None) -> list[Any]:
    cls = type(embeddings)
    name = f"{cls.__module__}.{cls.__qualname__}"
    if not isinstance(embeddings, BaseModel):
        if namespace is None:
            raise _unreadable(name, "it declares no fields")
        return [name]
    settings = {}
    for field, value in _settings(embeddings).items():
        try:
            settings[field] = (
                _identity(value, namespace)
                if isinstance(value, Embeddings)
                else canonical_json(value)
            )
        except NotCanonicalError as error:
            if namespace is None:
                raise _unreadable(name, f"{field}: {error}") from error
    return [name, settings]


def _settings(model: BaseModel) -> dict[str, Any]:
    """Return the settings that are made; an author's `exclude` says "not a setting"."""
    fields = {
        name: value
        for name, field in type(model).model_fields.items()
        if not field.exclude
        and name not in _TRANSPORT
        and (value := getattr(model, name)) is not None
    }
    return answer_arguments({**fields, **(model.__pydantic_extra__ or {})})


def _unreadable(name: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"what {name} makes of a text cannot be told from its settings ({why}): "
        'give namespace="…" a name for the model, and another one when it changes'
    )
