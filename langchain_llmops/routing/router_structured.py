"""The parser behind a router: that of the candidate that has answered."""

from __future__ import annotations

from contextlib import aclosing
from itertools import chain
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable
from langchain_core.runnables.config import ensure_config

from langchain_llmops.models.closable import aclosable
from langchain_llmops.routing.router_stamp import model_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from langchain_core.messages import AIMessage
    from langchain_core.runnables import RunnableConfig

    Parser = Runnable[Any, Any]

__all__ = ["CandidateParser"]

# Core names the parameters (`input`).
# ruff: noqa: A002


class CandidateParser(Runnable[Any, Any]):
    """Parse each answer as the candidate that gave it would.

    Which one it was, the message says: so an answer out of a cache parses too. An
    answer that does not parse is the chain's error; no other candidate is asked.

    Args:
        parser_of: The parser of a candidate, by its name; of any, if that is `None`.
        include_raw: Whether to return the message as well, and a parsing error
            instead of raising it.
    """

    def __init__(
        self, parser_of: Callable[[str | None], Parser], *, include_raw: bool
    ) -> None:
        self._parser_of = parser_of
        self._include_raw = include_raw

    def invoke(
        self, input: AIMessage, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Return what the schema asks for."""
        parser = self._parser_of(model_of(input))
        if not self._include_raw:
            return parser.invoke(input, config, **kwargs)
        try:
            return _raw(input, parsed=parser.invoke(input, config, **kwargs))
        except Exception as error:  # noqa: BLE001 - whatever parsers raise is returned
            return _raw(input, error=error)

    async def ainvoke(
        self, input: AIMessage, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """Return what the schema asks for."""
        parser = self._parser_of(model_of(input))
        if not self._include_raw:
            return await parser.ainvoke(input, config, **kwargs)
        try:
            return _raw(input, parsed=await parser.ainvoke(input, config, **kwargs))
        except Exception as error:  # noqa: BLE001 - whatever parsers raise is returned
            return _raw(input, error=error)

    def transform(
        self,
        input: Iterator[AIMessage],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> Iterator[Any]:
        """Yield what is there of it so far, as far as the parser does."""
        if self._include_raw:
            yield from super().transform(input, config, **kwargs)
            return
        first = next(input, None)
        if first is not None:
            parser = self._parser_of(model_of(first))
            yield from parser.transform(chain([first], input), config, **kwargs)

    async def atransform(
        self,
        input: AsyncIterator[AIMessage],
        config: RunnableConfig | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[Any]:
        """Yield what is there of it so far, as far as the parser does."""
        if self._include_raw:
            parsed = super().atransform(input, ensure_config(config), **kwargs)
            async for item in parsed:
                yield item
            return
        first = await anext(input, None)
        if first is None:
            return
        parser = self._parser_of(model_of(first))
        parts = parser.atransform(_chained(first, input), config, **kwargs)
        async with aclosing(aclosable(parts)) as items:
            async for item in items:
                yield item


def _raw(
    message: AIMessage, *, parsed: Any = None, error: Exception | None = None
) -> dict[str, Any]:
    return {"raw": message, "parsed": parsed, "parsing_error": error}


async def _chained(
    first: AIMessage, rest: AsyncIterator[AIMessage]
) -> AsyncIterator[AIMessage]:
    yield first
    async for item in rest:
        yield item
