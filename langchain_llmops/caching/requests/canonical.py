"""One text for one value: the deterministic JSON that cache keys are digests of.

Providers are sent JSON, so two values that are the same JSON are the same request. The
order of keys inside a value is kept: a model writes the properties of a schema in the
order it reads them. What has no deterministic text (an open client, a function) raises
`NotCanonicalError`, and the request is not cached: a miss rather than a wrong hit.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from langchain_core.language_models import BaseLanguageModel
from pydantic import BaseModel, SecretBytes, SecretStr
from pydantic.errors import PydanticUserError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "NotCanonicalError",
    "answer_arguments",
    "canonical_json",
    "model_form",
]

# Settings that reach the transport, the tracer or the bill, never the answer. Every
# other setting counts, known or not.
_TRANSPORT: Final = frozenset(
    {
        "cache",
        "callbacks",
        "custom_get_token_ids",
        "disable_streaming",
        "http_socket_options",
        "include_response_headers",
        "ls_structured_output_format",
        "metadata",
        "name",
        "openai_proxy",
        "profile",
        "rate_limiter",
        "stream",
        "stream_options",
        "stream_usage",
        "streaming",
        "structured_output_format",
        "tags",
        "tiktoken_model_name",
        "verbose",
    }
)
_TRANSPORT_ENDINGS: Final = (
    "api_key",
    "client",
    "credentials",
    "max_retries",
    "timeout",
    "token_provider",
)


class NotCanonicalError(TypeError):
    """A value has no deterministic text; the request that holds it is not cached."""


def canonical_json(value: Any) -> str:
    """Return the one text of a value.

    Args:
        value: What a request is made of: JSON, pydantic models and classes, enums,
            sets, dates, dataclasses, language models.

    Returns:
        Compact JSON.

    Raises:
        NotCanonicalError: Something inside has no deterministic text.
    """
    try:
        return _ENCODER.encode(value)
    except NotCanonicalError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise NotCanonicalError(str(error)) from error


def answer_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that can change an answer, sorted by name."""
    return {name: arguments[name] for name in sorted(arguments) if _counts(name)}


def model_form(model: BaseLanguageModel[Any]) -> tuple[str, dict[str, Any]]:
    """Return a model's class and the settings its answers depend on, as they are now.

    Core's own key is made from a serialised form that is computed once per model, so
    that a later `model.temperature = 0.9` goes unseen; this one is never stale.
    """
    cls = type(model)
    fields = vars(model)
    form = {
        name: value
        for name in _config_fields(cls)
        if (value := fields.get(name)) is not None
    }
    if extra := model.__pydantic_extra__:
        form.update(answer_arguments(extra))
    return f"{cls.__module__}.{cls.__qualname__}", form


@lru_cache(maxsize=256)
def _config_fields(cls: type[BaseModel]) -> tuple[str, ...]:
    """Return the fields that count; an author's `exclude=True` says "not settings"."""
    return tuple(
        sorted(
            name
            for name, field in cls.model_fields.items()
            if not field.exclude and _counts(name)
        )
    )


def _counts(name: str) -> bool:
    return name not in _TRANSPORT and not name.endswith(_TRANSPORT_ENDINGS)


@lru_cache(maxsize=256)
def _schema_json(cls: type[BaseModel]) -> str:
    try:
        return json.dumps(cls.model_json_schema())
    except (PydanticUserError, TypeError, ValueError) as error:
        raise NotCanonicalError(
            f"{cls.__qualname__} has no JSON schema: {error}"
        ) from error


def _default(value: Any) -> Any:
    """Return the JSON form of what JSON does not know, or raise."""
    for kind, form in _FORMS:
        if isinstance(value, kind):
            return form(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return _fields_form(value, {name: getattr(value, name) for name in names})
    raise NotCanonicalError(
        f"an object of type {type(value).__qualname__!r} has no deterministic text"
    )


def _class_form(cls: type) -> dict[str, str]:
    if issubclass(cls, BaseModel):
        return {"__schema__": _schema_json(cls)}
    raise NotCanonicalError(
        f"the class {cls.__qualname__!r} is no pydantic model: pass its JSON schema"
    )


def _fields_form(value: object, fields: Mapping[str, Any]) -> dict[str, Any]:
    cls = type(value)
    return {f"__{cls.__module__}.{cls.__qualname__}__": dict(fields)}


def _tagged(form: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    return lambda value: {f"__{type(value).__name__}__": form(value)}


# The first kind that fits counts: a language model is a pydantic model, too.
_FORMS: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    (type, _class_form),
    (SecretStr | SecretBytes, lambda _: None),
    (BaseLanguageModel, model_form),
    (BaseModel, lambda value: _fields_form(value, vars(value))),
    (Mapping, dict),
    (Enum, lambda value: value.value),
    (set | frozenset, _tagged(lambda value: sorted(map(canonical_json, value)))),
    (bytes | bytearray, _tagged(lambda value: value.hex())),
    (date | time | timedelta | Decimal | UUID | PurePath, _tagged(str)),
)
_ENCODER: Final = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), default=_default
)
