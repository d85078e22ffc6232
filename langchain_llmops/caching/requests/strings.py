"""From the two strings that LangChain hands to a `BaseCache` to a `CacheRequest`."""

from __future__ import annotations

import ast
import json
from collections import OrderedDict
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from langchain_core.runnables.config import var_child_runnable_config

from langchain_llmops.caching.requests.canonical import (
    NotCanonicalError,
    answer_arguments,
    canonical_json,
)
from langchain_llmops.caching.requests.keys import (
    UNREVIVED,
    Setting,
    Switches,
    build_request,
)
from langchain_llmops.caching.requests.messages import Form, message_forms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_llmops.caching.base import CacheRequest

__all__ = ["StringRequests"]

_CONSTRUCTOR: Final = {"lc", "type", "id", "kwargs"}
_MESSAGES: Final = ["langchain", "schema", "messages"]
_LONG: Final = 4_000


class StringRequests:
    """Turn LangChain's strings into requests, and remember the last few thousand.

    The prompt is parsed again, so that ids and usage of earlier turns do not make a key
    of their own; a prompt that comes back is recognised by its digest. The config is
    the one of the chain that runs the model: a config given to a model that is called
    directly never reaches a `BaseCache` (`CacheLayer` sees it). Safe across threads.

    Args:
        remembered: How many requests are remembered, of some 500 bytes each.
    """

    def __init__(self, *, remembered: int = 4096) -> None:
        self._remembered = remembered
        self._requests: OrderedDict[bytes, CacheRequest] = OrderedDict()
        self._lock = Lock()

    def request(self, prompt: str, llm_string: str) -> CacheRequest:
        """Return the request behind the strings.

        Args:
            prompt: Serialised messages of a chat model, or a text model's prompt.
            llm_string: LangChain's description of the model and its arguments.

        Raises:
            NotCanonicalError: The strings do not determine the request: they show only
                the name of a schema class, say, or the address of an object.
        """
        switches = Switches.of(var_child_runnable_config.get() or {})
        context = canonical_json([switches.scope, llm_string])
        digest = blake2b(context.encode("utf-8", "surrogatepass"), digest_size=20)
        digest.update(prompt.encode("utf-8", "surrogatepass"))
        strings = digest.digest()
        with self._lock:
            known = self._requests.get(strings)
            if known is not None:
                self._requests.move_to_end(strings)
        if known is None:
            plain = Switches(scope=switches.scope, read=True, store=True)
            known = build_request(_setting(llm_string), _forms(prompt), plain)
            self._remember(strings, known)
        if switches.plain:
            return known
        return replace(
            known,
            read=switches.read,
            store=known.store and switches.store,
            tags=switches.tags,
            max_age_s=switches.max_age_s,
        )

    def _remember(self, strings: bytes, request: CacheRequest) -> None:
        if len(request.question or "") > _LONG:
            return
        with self._lock:
            self._requests[strings] = request
            while len(self._requests) > self._remembered:
                self._requests.popitem(last=False)


def _setting(llm_string: str) -> Setting:
    setting = _parsed_setting(llm_string)
    if setting is None:
        raise NotCanonicalError(
            "LangChain describes the model or its arguments by what a cache cannot "
            "compare (a class, an object's address): use with_layers(model, "
            "CacheLayer(cache)), which sees the objects themselves"
        )
    return setting


@lru_cache(maxsize=256)
def _parsed_setting(llm_string: str) -> Setting | None:
    """Parse `json(model)---[(name, value), ...]`, or the list alone."""
    model: Mapping[str, Any] = {}
    rest = llm_string
    try:
        if llm_string.startswith("{"):
            model, end = json.JSONDecoder().raw_decode(llm_string)
            rest = llm_string[end:].removeprefix("---")
        if not rest.startswith("["):
            # Not LangChain's: whoever made this string says that it is enough.
            return Setting.of(llm_string, {})
        # An object without a literal form (a class, an open client) ends here.
        arguments = answer_arguments(dict(ast.literal_eval(rest)))
        fields = answer_arguments(model.get("kwargs") or {})
        text = canonical_json([model.get("id"), fields, arguments])
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return None if UNREVIVED in text else Setting.of(text, {**fields, **arguments})


def _forms(prompt: str) -> list[Form]:
    if prompt.startswith("["):
        try:
            messages = json.loads(prompt)
        except (ValueError, RecursionError):
            messages = []
        if messages and all(map(_is_message, messages)):
            return message_forms(message["kwargs"] for message in messages)
    return [["prompt", prompt]]


def _is_message(value: Any) -> bool:
    """Return whether a value is one of core's messages; others are taken as text."""
    return (
        isinstance(value, dict)
        and value.keys() == _CONSTRUCTOR
        and value["type"] == "constructor"
        and value["id"][:-1] == _MESSAGES
    )
