"""`cache_scope`: the switches of a call, for callers that have no config at hand."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from langchain_llmops.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "NO_SCOPE",
    "AmbientScope",
    "ambient_scope",
    "cache_scope",
    "seconds",
    "tag_names",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class AmbientScope:
    """What the `cache_scope`s around a call say together.

    Attributes:
        scope: Who shares answers; `None` says nothing about it.
        tags: Names of what the answers depend on, sorted.
        bypass: Whether stored answers are passed over.
        no_store: Whether answers are not remembered.
        max_age_s: Seconds that an answer may be old; `None` sets no bound.
    """

    scope: Any = None
    tags: tuple[str, ...] = ()
    bypass: bool = False
    no_store: bool = False
    max_age_s: float | None = None


NO_SCOPE: Final = AmbientScope()
_AMBIENT: ContextVar[AmbientScope] = ContextVar("cache_scope", default=NO_SCOPE)


@contextmanager
def cache_scope(
    scope: Any = None,
    *,
    tags: Iterable[str] = (),
    bypass: bool = False,
    no_store: bool = False,
    max_age: timedelta | float | None = None,
) -> Iterator[None]:
    """Set the switches of every cached call inside the block.

    Works in every mode, in the threads and tasks that LangChain or asyncio start inside
    the block, and through `BaseCache` as through `CacheLayer`. A stream belongs to the
    scope in which its first chunk is asked for. Nested scopes merge: tags and switches
    add up, of `scope` and `max_age` the inner one counts. The config of a call counts
    more; there, the same switches are `configurable["cache_scope"]`, `["cache_tags"]`,
    `["cache_bypass"]`, `["cache_no_store"]` and `["cache_max_age"]`.

    Args:
        scope: Who shares answers: two different scopes never do. Any JSON value; by
            default `metadata["tenant"]` of the call.
        tags: Names of what the answers depend on (a document, a release), for
            `TieredCache.invalidate(tags=…)`.
        bypass: Ask the model, whatever is stored; its answer is remembered.
        no_store: An answer may be read, but not remembered.
        max_age: How old a stored answer may be; a number is seconds.

    Raises:
        ConfigurationError: A tag is not a text, or `max_age` is negative.

    Example:
        ```python
        from langchain_core.language_models import FakeListChatModel
        from langchain_llmops import TieredCache, cache_scope

        cache = TieredCache()
        model = FakeListChatModel(responses=["4", "5"], cache=cache)
        with cache_scope("acme", tags=["handbook"]):
            model.invoke("2 + 2 = ?")
        cache.invalidate(tags=["handbook"])
        ```
    """
    outer = _AMBIENT.get()
    merged = AmbientScope(
        scope=outer.scope if scope is None else scope,
        tags=tag_names((*outer.tags, *tag_names(tags))),
        bypass=outer.bypass or bypass,
        no_store=outer.no_store or no_store,
        max_age_s=outer.max_age_s if max_age is None else seconds("max_age", max_age),
    )
    token = _AMBIENT.set(merged)
    try:
        yield
    finally:
        _AMBIENT.reset(token)


def ambient_scope() -> AmbientScope:
    """Return what the `cache_scope`s around the caller say."""
    return _AMBIENT.get()


def tag_names(tags: Any) -> tuple[str, ...]:
    """Return tags, sorted and each once.

    Raises:
        ConfigurationError: `tags` is one text, or holds something that is none.
    """
    if isinstance(tags, str):
        raise ConfigurationError(f"tags={tags!r} is one text: write [{tags!r}]")
    names = tuple(tags)
    for name in names:
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"the tag {name!r} is not a name: use a text")
    return tuple(sorted(set(names))) if names else ()


def seconds(label: str, age: Any) -> float:
    """Return a length of time in seconds.

    Raises:
        ConfigurationError: It is no length of time, or a negative one.
    """
    if isinstance(age, timedelta):
        age = age.total_seconds()
    if isinstance(age, bool) or not isinstance(age, int | float) or not age >= 0:
        raise ConfigurationError(
            f"{label}={age!r} is not a length of time: give seconds or a timedelta"
        )
    return float(age)
