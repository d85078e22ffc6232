"""Iterators as generators, so that whoever holds one can end it.

Hooks and layers are free to return any iterator; nearly all return a generator, which
passes through here untouched.
"""

from __future__ import annotations

from types import AsyncGeneratorType, GeneratorType
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

__all__ = ["aclosable", "closable"]

T = TypeVar("T")


def closable(items: Iterator[T]) -> Generator[T, None, None]:
    """Return an iterator as something with `close`."""
    return items if isinstance(items, GeneratorType) else _generator(items)


def aclosable(items: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """Return an asynchronous iterator as something with `aclose`."""
    return items if isinstance(items, AsyncGeneratorType) else _agenerator(items)


def _generator(items: Iterator[T]) -> Generator[T, None, None]:
    yield from items


async def _agenerator(items: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    async for item in items:
        yield item
