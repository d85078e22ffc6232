"""What a retrieval asks of the outside, so that its logic is written once.

A plan is a generator that yields `Embed`, `EmbedQuery`, `Search` and `Rerank` and is
sent the answers; `perform` runs it with blocking calls, `aperform` on an event loop.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from langchain_core.runnables import run_in_executor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.vectorstores import VectorStore

__all__ = [
    "Embed",
    "EmbedQuery",
    "Plan",
    "Rerank",
    "Scored",
    "Search",
    "aperform",
    "perform",
]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Embed:
    """The vectors of documents' texts."""

    model: Embeddings
    texts: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedQuery:
    """The vector of a query."""

    model: Embeddings
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Documents of a store, with its scores if its method returns any.

    Args:
        store: Where to search.
        method: Name of the synchronous method.
        query: A text or a vector, as the method takes it.
        k: How many.
        options: Further keyword arguments.
    """

    store: VectorStore
    method: str
    query: str | list[float]
    k: int
    options: dict[str, Any]

    @property
    def amethod(self) -> str:
        """Name of the asynchronous method."""
        return self.method.replace("similarity", "asimilarity", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerank:
    """Documents in another order, some of them perhaps left out."""

    compressor: BaseDocumentCompressor
    documents: Sequence[Document]
    query: str
    callbacks: Callbacks


Scored: TypeAlias = "list[tuple[Document, float]]"
"""Documents with their scores."""

Step: TypeAlias = Embed | EmbedQuery | Search | Rerank
Plan: TypeAlias = Generator[Step, Any, _T]


def perform(plan: Plan[_T]) -> _T:
    """Run a plan with blocking calls, and return its result."""
    answer: Any = None
    failed: Exception | None = None
    while True:
        try:
            step = plan.send(answer) if failed is None else plan.throw(failed)
        except StopIteration as end:
            result: _T = end.value
            return result
        try:
            answer, failed = _do(step), None
        except NotImplementedError as error:
            # The plan may know another way; whatever else fails, fails for the caller.
            failed = error


async def aperform(plan: Plan[_T]) -> _T:
    """Run a plan through the asynchronous methods, and return its result."""
    answer: Any = None
    failed: Exception | None = None
    while True:
        try:
            step = plan.send(answer) if failed is None else plan.throw(failed)
        except StopIteration as end:
            result: _T = end.value
            return result
        try:
            answer, failed = await _ado(step), None
        except NotImplementedError as error:
            failed = error


def _do(step: Step) -> Any:
    if isinstance(step, Embed):
        return step.model.embed_documents(list(step.texts))
    if isinstance(step, EmbedQuery):
        return step.model.embed_query(step.text)
    if isinstance(step, Rerank):
        return step.compressor.compress_documents(
            step.documents, step.query, callbacks=step.callbacks
        )
    search = getattr(step.store, step.method)
    return search(step.query, k=step.k, **step.options)


async def _ado(step: Step) -> Any:
    if isinstance(step, Embed):
        return await step.model.aembed_documents(list(step.texts))
    if isinstance(step, EmbedQuery):
        return await step.model.aembed_query(step.text)
    if isinstance(step, Rerank):
        return await step.compressor.acompress_documents(
            step.documents, step.query, callbacks=step.callbacks
        )
    search = getattr(step.store, step.amethod, None)
    if search is not None:
        try:
            return await search(step.query, k=step.k, **step.options)
        except NotImplementedError:
            pass  # core's own, of a store that has only the synchronous method
    return await run_in_executor(None, _do, step)
