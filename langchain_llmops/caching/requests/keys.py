"""From a call to a `CacheRequest`: the key, the partition, the switches.

A key is a digest of what changes the answer: who may share it (the scope), the model
and its settings, tools, schemas and stop words, and every message. Nothing else enters:
no ids, no usage, no timeouts, no streaming flags.

Switches of one call come from its config, else from the `cache_scope` around it:

- `configurable["cache_scope"]`, else `cache_scope(…)`, else `metadata["tenant"]`: who
  shares answers. Two different scopes never do; without one, all unscoped calls share.
- `configurable["cache_tags"]`: names of what the answer depends on, to invalidate it.
- `configurable["cache_bypass"]`: ask the model, whatever is stored; its answer is
  remembered.
- `configurable["cache_no_store"]`: an answer may be read, but not remembered.
- `configurable["cache_max_age"]`: how old a stored answer may be, in seconds or as a
  `timedelta`.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

from langchain_llmops.caching.base import CacheRequest
from langchain_llmops.caching.requests.canonical import (
    NotCanonicalError,
    answer_arguments,
    canonical_json,
    model_form,
)
from langchain_llmops.caching.requests.messages import Form, message_forms, question_of
from langchain_llmops.caching.requests.scope import ambient_scope, seconds, tag_names

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmops.models import ModelCall

__all__ = [
    "HOT_TEMPERATURE",
    "UNREVIVED",
    "Setting",
    "Switches",
    "asks_for_several",
    "build_request",
    "request_from_call",
]

HOT_TEMPERATURE: Final = 1.0
"""Above this temperature a caller wants variety: paraphrases do not share answers."""

UNREVIVED: Final = '"type":"not_implemented"'
"""How core's serialiser writes down what it cannot; two such values look alike."""

_VERSION: Final = b"llmops-cache-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A model configuration: its form, and what is asked of it besides the key."""

    form: Any
    model: str | None
    semantic: bool
    deterministic: bool

    @classmethod
    def of(cls, form: Any, values: Mapping[str, Any]) -> Setting:
        """Return the setting with a form that stands for these named values."""
        # An argument is called `model` everywhere, whatever the field's name is.
        model = values.get("model") or values.get("model_name")
        return cls(
            form=form,
            model=model if isinstance(model, str) else None,
            semantic=not (
                _exceeds(values.get("temperature"), HOT_TEMPERATURE)
                or _exceeds(values.get("n"), 1)
                or values.get("tools")
                or values.get("functions")
            ),
            # Where no temperature is set the provider has its own, which is not 0.
            deterministic=values.get("temperature") == 0
            or values.get("seed") is not None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """What the config of a call, and the scopes around it, say about caching."""

    scope: Any
    read: bool
    store: bool
    tags: tuple[str, ...] = ()
    max_age_s: float | None = None

    @property
    def plain(self) -> bool:
        """Whether nothing is asked beside the scope."""
        return self.read and self.store and not self.tags and self.max_age_s is None

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Switches:
        """Read the switches of a config; what it leaves open, the scopes say.

        Raises:
            ConfigurationError: Tags are not texts, or the age is no length of time.
        """
        given, around = config.get("configurable") or {}, ambient_scope()
        scope = given.get("cache_scope")
        if scope is None:
            scope = around.scope
        if scope is None:
            scope = (config.get("metadata") or {}).get("tenant")
        tags, max_age = given.get("cache_tags"), given.get("cache_max_age")
        return cls(
            scope=scope,
            read=not given.get("cache_bypass", around.bypass),
            store=not given.get("cache_no_store", around.no_store),
            tags=around.tags if tags is None else tag_names(tags),
            max_age_s=around.max_age_s
            if max_age is None
            else seconds("cache_max_age", max_age),
        )


def request_from_call(call: ModelCall) -> CacheRequest:
    """Return the request that a layer sees.

    Args:
        call: Model, messages, stop words, arguments and config of one model call.

    Raises:
        NotCanonicalError: The call has no deterministic key: it must not be cached.
    """
    cls, fields = model_form(call.model)
    arguments = answer_arguments(call.kwargs)
    setting = Setting.of([cls, fields, call.stop, arguments], {**fields, **arguments})
    forms = message_forms(
        # Fields that a caller added to a message count as the declared ones do.
        {**vars(message), **message.__pydantic_extra__}
        if message.__pydantic_extra__
        else vars(message)
        for message in call.messages
    )
    return build_request(setting, forms, Switches.of(call.config))


def build_request(
    setting: Setting, forms: list[Form], switches: Switches
) -> CacheRequest:
    """Return the request of a conversation with a model.

    Raises:
        NotCanonicalError: The scope, the model or a message has no deterministic text.
    """
    *head, last = forms or [[None, None]]
    earlier = canonical_json([switches.scope, setting.form, head])
    turn = canonical_json(last)
    if UNREVIVED in earlier or UNREVIVED in turn:
        raise NotCanonicalError("a message holds what core cannot serialise")
    # Each part is one JSON text: where it ends is never ambiguous.
    digest = blake2b(
        earlier.encode("utf-8", "surrogatepass"), digest_size=20, person=_VERSION
    )
    partition = digest.hexdigest()
    digest.update(turn.encode("utf-8", "surrogatepass"))
    tool_failed = _tool_failed(forms)
    return CacheRequest(
        key=digest.hexdigest(),
        partition=partition,
        question=question_of(last) if setting.semantic else None,
        model=setting.model,
        read=switches.read,
        store=switches.store and not tool_failed,
        deterministic=setting.deterministic,
        namespace=None if switches.scope is None else canonical_json(switches.scope),
        tags=switches.tags,
        max_age_s=switches.max_age_s,
        tool_failed=tool_failed,
    )


def asks_for_several(call: ModelCall) -> bool:
    """Return whether a call wants more than one answer: a stream has only one."""
    return _exceeds(call.kwargs.get("n", getattr(call.model, "n", None)), 1)


def _tool_failed(forms: list[Form]) -> bool:
    """Return whether the answer reports on a tool that failed in this turn."""
    for kind, _, *more in reversed(forms):
        if kind == "human":
            return False
        if kind == "tool" and more and more[0].get("status") == "error":
            return True
    return False


def _exceeds(value: object, limit: float) -> bool:
    """Return whether a setting is above a limit, or cannot be compared with it."""
    return value is not None and not (isinstance(value, int | float) and value <= limit)
